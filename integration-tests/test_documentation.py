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
from pyfaster import Bytes, FasterKv, events, hookspecs
from pyfaster._cli import make_app
from pyfaster._config import Settings, StoreConfig, parse_size
from pyfaster._config_log import CommitTable, LogTable
from pyfaster._config_tables import LOG, own_tables, places
from pyfaster._reconfigure import LIVE
from pyfaster._registry import Registry
from pyfaster._stats import StoreStats
from pyfaster.errors import ConfigError
from pyfaster.testing.codecs import check_codec

pytestmark = pytest.mark.once

DOCS = house.ROOT / "docs"
COMMANDS = (
    "python3 -m pip install nox && python3 -m nox -s quickstart",
    "python3 -m pip install nox && python3 -m nox -s tests",
)


@pytest.mark.parametrize("path", records.records(), ids=house.name)
def test_derived_file_is_current(path: Path) -> None:
    """What `nox -s records` would write is what is there."""
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


def test_every_event_is_told_with_its_fields() -> None:
    """docs/events.md has the fields of each event, in their order."""
    told = {
        words(row[0])[0]: words(row[1])
        for row in rows(house.text(DOCS / "events.md"), "event")
    }
    common = {one.name for one in fields(events.StoreEvent)}
    known = {
        name: [one.name for one in fields(kind) if one.name not in common]
        for name in events.__all__
        if (kind := getattr(events, name)) is not events.StoreEvent
    }
    assert told == known


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
    """docs/settings.md has all settings in order, with keywords and defaults."""
    model = StoreConfig.model_fields
    tables = {name: one for name, one in own_tables().items() if name != LOG}
    names = [
        f"{table}.{key}" for table, one in tables.items() for key in one.model_fields
    ]
    assert [words(row[0])[0] for row in SETTINGS] == names
    keywords = {".".join(place): name for name, place in places().items()}
    keywords["device.scheme"] = "device"
    assert {words(row[0])[0]: words(row[1])[0] for row in SETTINGS} == keywords
    said = {words(row[0])[0]: literal(row[3]) for row in SETTINGS}
    assert said == {
        f"{table}.{key}": field.get_default(call_default_factory=True)
        for table, one in tables.items()
        for key, field in one.model_fields.items()
    }
    hints = get_type_hints(Settings)
    assert set(hints) == set(model)
    said_types = {
        words(row[1])[0]: set(re.findall(r"\w+", row[2])) - {"or"} for row in SETTINGS
    }
    assert said_types == {
        **{name: kinds(hint) for name, hint in hints.items()},
        "device": {"str"},
    }


def kinds(hint: Any) -> set[str]:
    """Give the names of the types that a hint allows."""
    members = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    names = {getattr(kind, "__name__", "") for kind in members}
    return {"None" if name == "NoneType" else name for name in names}


NUMBERS = {
    name
    for name, field in StoreConfig.model_fields.items()
    if field.annotation in (int, float)
}


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: words(row[0])[0])
def test_settings_have_the_ranges_of_the_page(row: list[str]) -> None:
    """The ends of a setting's range are taken, and what is beyond is refused."""
    name: Any = words(row[1])[0]
    for cell, sign in ((row[4], -1), (row[5], 1)):
        if not cell:
            assert name not in NUMBERS, "a number has a range"
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
    told = re.findall(r"^\*\*`([\w.]+)`\*\*", page, re.MULTILINE)
    assert told == [words(row[0])[0] for row in SETTINGS]
    seen = {figure for row in SETTINGS for figure in words(row[6])}
    assert seen
    assert seen - FIGURES == set()


def test_every_setting_of_the_log_is_documented() -> None:
    """docs/settings.md has the table of the log in order, with types and defaults."""
    table = rows(house.text(DOCS / "settings.md"), "setting of the log")
    model = LogTable.model_fields
    assert [words(row[0])[0] for row in table] == [f"{LOG}.{name}" for name in model]
    for row in table:
        name = words(row[0])[0].removeprefix(f"{LOG}.")
        if name != "commit":
            assert literal(row[2]) == model[name].get_default(), name
        assert row[3], name
    said = next(row[3] for row in table if f"{LOG}.commit" in row[0])
    assert words(said) == list(CommitTable.model_fields)


def test_what_may_change_is_documented() -> None:
    """docs/settings.md says of each setting that may change when it does."""
    table = rows(house.text(DOCS / "settings.md"), "keyword")
    assert sorted(name for row in table for name in words(row[0])) == sorted(LIVE)


def test_every_figure_is_documented() -> None:
    """docs/settings.md has each figure of StoreStats once."""
    page = house.text(DOCS / "settings.md")
    told = [figure for row in rows(page, "figure") for figure in words(row[0])]
    assert sorted(told) == sorted(FIGURES)


def plugins() -> Registry:
    """Give a registry with the plugins of all packages of the tree, and no others."""
    registry = Registry(entry_points=tuple)
    for package in house.PACKAGES:
        project = tomllib.loads(house.text(package / "pyproject.toml"))["project"]
        named = project.get("entry-points", {}).get("pyfaster", {})
        for name, module in named.items():
            registry.register(import_module(module), name=name)
    return registry


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
    app = typer.main.get_command(make_app(plugins()))
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


def knobs(heading: str) -> list[list[str]]:
    """Give the rows of a part of docs/tuning.md that say what knobs cost."""
    page = house.text(DOCS / "tuning.md")
    parts = re.split(r"^## (.+)\n", page, flags=re.MULTILINE)
    return [
        row
        for name, part in zip(parts[1::2], parts[2::2], strict=True)
        if (name == "The durable log") == (heading == "log")
        for row in rows(part, "knob")
    ]


def test_every_setting_is_in_the_tuning_guide() -> None:
    """docs/tuning.md says of each setting what it costs, and where it is seen."""
    table = knobs("store")
    assert sorted(words(row[0])[0] for row in table) == sorted(StoreConfig.model_fields)
    for row in table:
        seen = [one.partition("[")[0] for one in words(row[3])]
        assert seen, row[0]
        assert row[1], row[0]
        for one in seen:
            owner, _, name = one.rpartition(".")
            known = hasattr(FasterKv, name) or name == "config" if owner else False
            assert one in FIGURES or known, (row[0], one)


def test_figures_of_the_tuning_guide_exist() -> None:
    """What docs/tuning.md tells a reader to look at are figures that there are."""
    page = house.text(DOCS / "tuning.md")
    for row in rows(page, "what you see"):
        [figure, *_] = words(row[0])
        assert figure.partition("[")[0] in FIGURES, figure


def test_every_setting_of_the_log_is_in_the_tuning_guide() -> None:
    """The same for what a durable log may be opened with, and its figures."""
    settings = import_module("pyfaster_fasterlog._settings").DEFAULTS
    figures = {one.name for one in fields(import_module("pyfaster_fasterlog").LogStats)}
    table = knobs("log")
    assert sorted(words(row[0])[0] for row in table) == sorted(settings)
    assert [row[0] for row in table if not set(words(row[3])) & figures] == []
    assert [row[0] for row in table if set(words(row[3])) - figures] == []


def test_every_option_of_a_device_is_in_the_tuning_guide() -> None:
    """The options that the two devices know are there."""
    said = {
        (device, words(row[0])[0])
        for row in rows(house.text(DOCS / "tuning.md"), "option")
        for device in words(row[1])
    }
    known = {
        (scheme, one.name)
        for scheme in ("file", "uring")
        for one in fields(import_module(f"pyfaster_devices_{scheme}._options").Options)
    }
    assert said == known


def test_every_check_of_codecs_is_documented() -> None:
    """docs/plugins/codecs.md has the suite's checks in their order."""
    page = house.text(DOCS / "plugins" / "codecs.md")
    outcomes = check_codec(Bytes(1), [b"x"])
    assert [words(row[0])[0] for row in rows(page, "check")] == [
        one.id for one in outcomes
    ]
