# SPDX-License-Identifier: MIT
"""
What mkdocs is told beside mkdocs.yml, so that one tree serves both readers.

The pages of docs/ are read in the repository and on the site. Some links lead out of
docs/: to a distribution's README, to CONTRIBUTING.md. Those files become pages of
the site, too, and all links between pages are written anew as they leave the place
where the repository has them. A link to anything else outside of docs/ ends the build.

When the site is built, its HTML is looked through: nothing on it may come from another
server, and every public name of the packages' api.txt must have its place in the
reference.
"""

from __future__ import annotations

import posixpath
import re
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parent.parent

#: Pages of the site that the repository keeps outside of docs/: where it has them, and
#: which page each one becomes.
OUTSIDE = {
    **{
        f"packages/{path.parent.name}/README.md": f"packages/{path.parent.name}.md"
        for path in sorted(ROOT.glob("packages/*/README.md"))
    },
    "CONTRIBUTING.md": "contributing.md",
    "integration-tests/sample-device/README.md": "plugins/sample-device.md",
}
#: What a link to another file of the repository leads to.
_INSTEAD = {"README.md": "docs/index.md"}
_PAGES = {page: source for source, page in OUTSIDE.items()}
_LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)]*)?\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)

#: Tags whose attribute makes a browser fetch something by itself.
_FETCHED = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "link": "href",
    "object": "data",
    "script": "src",
    "source": "src",
    "video": "src",
}


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages that lie outside of docs/."""
    from mkdocs.structure.files import File

    for source, page in OUTSIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Write the links of a page anew, but for those inside of code."""
    from mkdocs.exceptions import PluginError

    parts = _FENCE.split(markdown)
    try:
        parts[::2] = [moved(part, page.file.src_uri) for part in parts[::2]]
    except ValueError as error:
        raise PluginError(str(error)) from error
    parts[1::2] = [plain(part) for part in parts[1::2]]
    return "".join(parts)


def plain(block: str) -> str:
    """Give a block of code with the marks that the site knows: a file's name."""
    first, _, rest = block.partition("\n")
    language, *marks = first.split()
    names = [mark[5:] for mark in marks if mark.startswith("file=")]
    title = f' title="{names[0]}"' if names else ""
    return f"{language}{title}\n{rest}"


def moved(text: str, page: str) -> str:
    """Give a page's text with links that lead from page to page of the site."""
    home = _PAGES.get(page, f"docs/{page}")

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(home), match[1]))
        inside = relative(_INSTEAD.get(target, target), page)
        return f"]({inside}{match[2] or ''})"

    return _LINK.sub(link, text)


def relative(target: str, page: str) -> str:
    """Give the way from a page of the site to a file of the repository."""
    for candidate in (target, f"{target}/README.md"):
        if candidate in OUTSIDE:
            inside = OUTSIDE[candidate]
            break
    else:
        if not target.startswith("docs/"):
            raise ValueError(f"{page}: {target} is no page of the site")
        inside = target.removeprefix("docs/")
    return posixpath.relpath(inside, posixpath.dirname(page) or ".")


class _Fetches(HTMLParser):
    """Collects what a page of HTML makes a browser fetch from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one that names a server."""
        value = dict(attrs).get(_FETCHED.get(tag, "")) or ""
        if re.match(r"(?:[a-z]+:)?//", value) and "canonical" not in str(attrs):
            self.foreign.append(f"<{tag}> {value}")


def foreign(html: str) -> list[str]:
    """Give what a page of HTML fetches from other servers."""
    parser = _Fetches()
    parser.feed(html)
    return parser.foreign


def foreign_style(css: str) -> list[str]:
    """Give what a style sheet fetches from other servers."""
    return re.findall(r"(?:url\(|@import )['\"]?(?:https?:)?//[^'\")]+", css)


def anchors(inventory: Path) -> set[str]:
    """Give the names that a built inventory of the reference has."""
    data = inventory.read_bytes()
    body = zlib.decompress(data.split(b"\n", 4)[4]).decode()
    return {line.split(" ", 1)[0] for line in body.splitlines()}


def public_names() -> Iterator[str]:
    """
    Give every name of the packages' api.txt, without arguments.

    Methods that Python's syntax calls are left out: a class tells of them itself.
    """
    for path in sorted(ROOT.glob("packages/*/api.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            name = line.split("(", 1)[0]
            if "__" not in name:
                yield name


def members(name: str) -> list[str]:
    """Give what a name is inside of its class, which may have several homes."""
    return re.findall(r"\.([A-Z]\w*\.\w+)$", name)


def on_post_build(*, config: Any) -> None:
    """Look through what was built."""
    from mkdocs.exceptions import PluginError

    site = Path(config["site_dir"])
    breaches = [
        f"{path.relative_to(site)} fetches {one}"
        for path in sorted(site.rglob("*.html"))
        for one in foreign(path.read_text(encoding="utf-8"))
    ]
    breaches += [
        f"{path.relative_to(site)} fetches {one}"
        for path in sorted(site.rglob("*.css"))
        for one in foreign_style(path.read_text(encoding="utf-8"))
    ]
    known = anchors(site / "objects.inv")
    known |= {member for name in known for member in members(name)}
    missing = [name for name in public_names() if not known & {name, *members(name)}]
    breaches += [f"{name} is not in the reference" for name in missing]
    if breaches:
        raise PluginError("\n".join(breaches))
