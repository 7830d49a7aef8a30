# SPDX-License-Identifier: MIT
"""
The documentation says what the source says.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

import house
import records

pytestmark = pytest.mark.once

DOCS = house.ROOT / "docs"
COMMANDS = (
    "python3 -m pip install nox && python3 -m nox -s quickstart",
    "python3 -m pip install nox && python3 -m nox -s tests",
)


@pytest.mark.parametrize("path", records.records(), ids=house.name)
def test_derived_file_is_current(path: Path) -> None:
    """What `nox -s docs` would write is what is there."""
    assert path.read_text(encoding="utf-8") == records.records()[path]


def test_every_status_has_a_sentence_in_c() -> None:
    """`faster_strerror` gives the comment of status.h, word for word."""
    pattern = r"case (FASTER_\w+):\s*return \"(.*?)\";"
    given = dict(re.findall(pattern, house.text(house.CORE / "base" / "status.c")))
    assert given == {word: sentence for word, (_, sentence) in house.statuses().items()}


def test_every_failure_has_an_exception() -> None:
    """Each negative status of status.h is in the table of errors.py."""
    failures = {str(number) for number, _ in house.statuses().values() if number < 0}
    assert failures
    assert sorted(failures - records.status_exceptions().keys()) == []


def test_every_hook_is_documented_with_its_arguments() -> None:
    """docs/plugins/hooks.md lists each hook of hookspecs.py as it is called."""
    source = house.ROOT / "packages" / "core" / "src" / "pyfaster" / "hookspecs.py"
    hooks = {
        f"{node.name}({', '.join(arg.arg for arg in node.args.args)})"
        for node in ast.parse(house.text(source)).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("pyfaster_")
    }
    page = house.text(DOCS / "plugins" / "hooks.md")
    assert hooks == set(re.findall(r"^\| `(pyfaster_.*?)` \|", page, re.MULTILINE))


def test_reading_order_names_what_exists() -> None:
    """Every path of docs/reading-order.md is in the tree."""
    page = house.text(DOCS / "reading-order.md")
    paths = re.findall(r"`([\w./-]+\.(?:h|c|py|md))`", page)
    assert paths
    assert [path for path in paths if not (house.ROOT / path).is_file()] == []


def test_links_lead_somewhere() -> None:
    """Every relative link between pages has a target."""
    breaches = []
    for page in house.files(".md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", house.text(page)):
            if not (page.parent / target).exists():
                breaches.append(f"{house.name(page)}: {target}")
    assert breaches == []


def test_functions_told_in_the_architecture_exist() -> None:
    """Every function that docs/architecture.md names is defined in the C core."""
    page = house.text(DOCS / "architecture.md")
    named = set(re.findall(r"`(\w+)\(\)`", page))
    sources = [*house.files(".c", ".h")]
    code = "\n".join(house.c_code(house.text(path)) for path in sources)
    assert named
    assert sorted(word for word in named if not re.search(rf"\b{word}\b", code)) == []


def test_glossary_has_each_word_once() -> None:
    """The glossary is sorted and says each word once."""
    page = house.text(DOCS / "glossary.md")
    words = re.findall(r"^\| ([^|]+?) \| ", page, re.MULTILINE)[2:]
    assert len(words) > 20
    assert words == sorted(set(words), key=str.casefold)


def test_readme_gives_the_two_commands() -> None:
    """The README has the two commands, alone on their lines, and nox knows them."""
    lines = house.text(house.ROOT / "README.md").splitlines()
    assert [command for command in COMMANDS if command not in lines] == []
    sessions = re.findall(
        r"^def (\w+)\(session", house.text(house.ROOT / "noxfile.py"), re.M
    )
    assert {"quickstart", "tests"} <= set(sessions)


def test_contributing_knows_every_session() -> None:
    """CONTRIBUTING.md says of each nox session what it is for."""
    sessions = re.findall(
        r"^def (\w+)\(session", house.text(house.ROOT / "noxfile.py"), re.M
    )
    page = house.text(house.ROOT / "CONTRIBUTING.md")
    assert [word for word in sessions if f"`{word}`" not in page] == []


def test_every_dependency_is_explained() -> None:
    """docs/rationale.md says why each distribution that we depend on is used."""
    page = house.text(DOCS / "rationale.md")
    rows = "\n".join(re.findall(r"^\| (.+?) \|", page, re.MULTILINE))
    breaches = []
    for package in house.PACKAGES:
        project = tomllib.loads(house.text(package / "pyproject.toml"))["project"]
        for need in project["dependencies"]:
            word = re.match(r"[\w-]+", need)
            assert word
            if word[0] != "pyfaster" and word[0] not in rows:
                breaches.append(f"{package.name}: {word[0]}")
    assert breaches == []
