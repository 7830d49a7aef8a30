# SPDX-License-Identifier: MIT
"""
The documentation says what the source says.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

import pytest
import typer

import house
import records
from pyfaster import events, hookspecs
from pyfaster._cli import make_app
from pyfaster._config import Settings, StoreConfig, parse_size
from pyfaster._registry import Registry
from pyfaster._stats import StoreStats
from pyfaster.errors import ConfigError

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


def test_every_event_is_documented() -> None:
    """docs/plugins/hooks.md and the hook's docstring name each event."""
    page = house.text(DOCS / "plugins" / "hooks.md")
    told = {words(row[0])[0] for row in rows(page, "event")}
    assert told | {"StoreEvent"} == set(events.__all__)
    docstring = hookspecs.pyfaster_event.__doc__ or ""
    assert [name for name in told if f"`{name}`" not in docstring] == []


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


def rows(page: str, heading: str) -> list[list[str]]:
    """Give the cells of the table of a page whose first column has a heading."""
    tables = re.findall(rf"^\| {heading} \|.*\n\|[- |]+\n((?:\|.*\n)+)", page, re.M)
    lines = "".join(tables).splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def words(cell: str) -> list[str]:
    """Give what a cell has between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def literal(cell: str) -> Any:
    """Give the Python object that a cell shows, None where there is none."""
    return ast.literal_eval(words(cell)[0]) if cell else None


SETTINGS = rows(house.text(DOCS / "settings.md"), "setting")
FIGURES = {one.name for one in fields(StoreStats)} | {
    name for name, one in vars(StoreStats).items() if isinstance(one, property)
}


def test_every_setting_is_documented_with_its_default() -> None:
    """docs/settings.md has StoreConfig's settings in order, with types and defaults."""
    model = StoreConfig.model_fields
    assert [words(row[0])[0] for row in SETTINGS] == list(model)
    said = {words(row[0])[0]: literal(row[2]) for row in SETTINGS}
    assert said == {
        name: field.get_default(call_default_factory=True)
        for name, field in model.items()
    }
    hints = get_type_hints(Settings)
    types = {
        name: get_args(hint) if isinstance(hint, UnionType) else (hint,)
        for name, hint in hints.items()
    }
    names = {
        name: {getattr(kind, "__name__", "") for kind in kinds}
        for name, kinds in types.items()
    }
    said_types = {
        words(row[0])[0]: set(re.findall(r"\w+", row[1])) - {"or"} for row in SETTINGS
    }
    expected = {
        name: {"None" if kind == "NoneType" else kind for kind in kinds}
        for name, kinds in names.items()
    }
    assert said_types == expected


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: words(row[0])[0])
def test_settings_have_the_ranges_of_the_page(row: list[str]) -> None:
    """The ends of a setting's range are taken, and what is beyond is refused."""
    name: Any = words(row[0])[0]
    for cell, sign in ((row[3], -1), (row[4], 1)):
        if not cell:
            kind = StoreConfig.model_fields[name].annotation
            assert kind not in (int, float), "a number has a range"
            continue
        end: Any = parse_size(literal(cell))
        assert getattr(StoreConfig(**{name: end}), name) == end
        if name in ("page_size", "segment_size"):
            beyond = end * 2 if sign > 0 else end // 2
        else:
            beyond = end + sign * (
                0.001 if StoreConfig.model_fields[name].annotation is float else 1
            )
        with pytest.raises(ConfigError, match=name):
            StoreConfig(**{name: beyond})


def test_every_setting_is_explained() -> None:
    """Each setting has a paragraph, and names only figures that there are."""
    page = house.text(DOCS / "settings.md")
    told = re.findall(r"^\*\*`(\w+)`\*\*", page, re.MULTILINE)
    assert told == list(StoreConfig.model_fields)
    seen = {figure for row in SETTINGS for figure in words(row[5])}
    assert seen
    assert seen - FIGURES == set()


def test_every_figure_is_documented() -> None:
    """docs/settings.md has each figure of StoreStats once."""
    page = house.text(DOCS / "settings.md")
    told = [figure for row in rows(page, "figure") for figure in words(row[0])]
    assert sorted(told) == sorted(FIGURES)


def leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Give the commands below a command that do something, with their names."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, one in below.items():
        yield from leaves(one, f"{path} {name}")


def test_every_command_is_documented_with_its_options() -> None:
    """docs/cli.md has a section for each command: its options, defaults, an example."""
    registry = Registry(entry_points=tuple)
    registry.register(import_module("pyfaster_checkpoint._plugin"), name="checkpoint")
    registry.register(import_module("pyfaster_fasterlog._plugin"), name="fasterlog")
    app = typer.main.get_command(make_app(registry))
    commands = dict(leaves(app, "pyfaster"))
    parts = re.split(r"^## (.+)\n", house.text(DOCS / "cli.md"), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert sections.keys() == commands.keys()
    for name, command in commands.items():
        said = {words(row[0])[0]: row[1] for row in rows(sections[name], "option")}
        assert said == dict(map(option, command.params)), name
        assert f"$ {name}" in sections[name], name


def option(parameter: Any) -> tuple[str, str]:
    """Give an option or argument as the page shows it, and its default."""
    positional = parameter.param_type_name == "argument"
    shown = parameter.metavar if positional else parameter.opts[0]
    return shown, str(parameter.default or "")


def test_exit_statuses_are_documented() -> None:
    """docs/cli.md has the three statuses, and an example of each."""
    page = house.text(DOCS / "cli.md")
    assert [row[0] for row in rows(page, "exit status")] == ["0", "1", "2"]
    marks = re.findall(r"^```console(?: status=(\d))?(?: needs=\S+)?$", page, re.M)
    assert set(marks) == {"", "1", "2"}
