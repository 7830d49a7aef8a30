# SPDX-License-Identifier: MIT
"""`pyfaster config`: a file to begin with, what holds, what is wrong, the schema."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from typer.testing import CliRunner

from pyfaster._cli._config import config_app
from pyfaster._config_form import form, schema, show_key, show_value
from pyfaster._config_tables import own_tables, places
from pyfaster._registry import Registry
from pyfaster.errors import ConfigError, PluginError

jsonschema: Any = import_module("jsonschema")


def run(*arguments: str, status: int = 0) -> str:
    """What a verb writes to standard output."""
    result = CliRunner().invoke(config_app, arguments)
    assert result.exit_code == status, result.output
    return result.stdout


def said(text: str) -> str:
    """The file with all defaults said."""
    return re.sub(r"^#(\w+ = )", r"\1", text, flags=re.MULTILINE)


def test_init_writes_every_setting_once(tmp_path: Path) -> None:
    """Each table and key is there, with its default, and nothing of it is said yet."""
    file = tmp_path / "new.toml"
    run("init", str(file))
    text = file.read_text()
    assert not any(tomllib.loads(text)[table] for table in places_of_store())
    values = tomllib.loads(said(text))
    for table, model in own_tables().items():
        assert set(values[table]) == set(model.model_fields), table
    assert max(map(len, text.splitlines())) <= 88


def places_of_store() -> set[str]:
    """The tables that keywords of a store are in."""
    return {table for table, _ in places().values()}


def test_init_gives_the_defaults(tmp_path: Path) -> None:
    """With every line said, what holds is what holds without a file."""
    file = tmp_path / "all.toml"
    run("init", str(file))
    file.write_text(said(file.read_text()))
    run("check", str(file))
    held = json.loads(run("show", str(file), "--json"))["settings"]
    plain = json.loads(run("show", "--json"))["settings"]
    assert [row["value"] for row in held] == [row["value"] for row in plain]
    assert {row["origin"] for row in held} == {"file", "default"}


def test_init_keeps_what_is_there(tmp_path: Path) -> None:
    """A file is not written over, unless --force is given; "-" writes none."""
    file = tmp_path / "pyfaster.toml"
    file.write_text("# mine\n")
    result = CliRunner().invoke(config_app, ["init", str(file)])
    assert isinstance(result.exception, ConfigError)
    assert "--force" in str(result.exception)
    assert file.read_text() == "# mine\n"
    run("init", str(file), "--force")
    assert run("init", "-") == file.read_text()
    result = CliRunner().invoke(config_app, ["init", str(tmp_path / "no" / "x.toml")])
    assert "No such file" in str(result.exception)


def test_the_schema_takes_what_init_writes(tmp_path: Path) -> None:
    """The JSON schema is one, and takes the file, with nothing and with all said."""
    made = json.loads(run("schema"))
    jsonschema.Draft202012Validator.check_schema(made)
    text = run("init", "-")
    for form_of_it in (text, said(text)):
        jsonschema.validate(tomllib.loads(form_of_it), made)


@pytest.mark.parametrize(
    "wrong",
    [
        {"store": {"memry": 1}},
        {"stor": {}},
        {"memory": 1},
        {"store": {"memory": "much"}},
        {"store": {"index_fraction": 1}},
        {"checkpoint": {"every": "often"}},
        {"fasterlog": {"commit": {"every_byte": 1}}},
        {"fasterlog": {"recover": "first"}},
    ],
)
def test_the_schema_refuses_what_check_refuses(
    wrong: dict[str, Any], tmp_path: Path
) -> None:
    """An editor finds the same mistakes in names, types and ranges."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, json.loads(run("schema")))
    file = tmp_path / "wrong.toml"
    lines = (f"{show_key(key)} = {show_value(one)}" for key, one in wrong.items())
    file.write_text("\n".join(lines))
    mistakes = json.loads(run("check", str(file), "--json", status=1))["mistakes"]
    assert len(mistakes) == 1
    assert str(file) in mistakes[0]


def test_check_lists_all_and_leaves_the_environment_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every mistake is a line; what variables say is not looked at."""
    monkeypatch.setenv("PYFASTER__STORE__MEMRY", "1")
    file = tmp_path / "some.toml"
    file.write_text("[sessions]\nmax = 0\n[store]\nhash = 3\n[chekpoint]\n")
    result = CliRunner().invoke(config_app, ["check", str(file)])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 3
    file.write_text("[sessions]\nmax = 1\n")
    assert "no mistakes" in run("check", str(file))
    assert json.loads(run("check", str(file), "--json"))["mistakes"] == []
    assert "absent" in str(run("check", str(tmp_path / "absent"), "--json", status=1))


def test_show_says_who_said_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each value has its origin: default, file, environment."""
    monkeypatch.setenv("PYFASTER__STORE__MEMORY", "64MiB")
    file = tmp_path / "some.toml"
    file.write_text("[sessions]\nmax = 9\n[fasterlog.commit]\nmax_in_flight = 2\n")
    rows = {
        (row["table"], row["key"]): row
        for row in json.loads(run("show", str(file), "--json"))["settings"]
    }
    memory, most = rows["store", "memory"], rows["sessions", "max"]
    assert (memory["value"], memory["origin"]) == (64 << 20, "environment")
    assert memory["where"] == "PYFASTER__STORE__MEMORY"
    assert (most["value"], most["origin"]) == (9, "file")
    assert most["where"] == f"{file}: sessions.max"
    assert rows["log", "page_size"]["value"] == 4 << 20
    assert rows["log", "page_size"]["origin"] == "default"
    assert rows["fasterlog", "commit"]["value"]["max_in_flight"] == 2
    shown = run("show", str(file))
    assert "64MiB" in shown
    assert "sessions.max" in shown


def test_show_refuses_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something is wrong nothing holds."""
    monkeypatch.setenv("PYFASTER__STORE__MEMRY", "1")
    result = CliRunner().invoke(config_app, ["show"])
    assert isinstance(result.exception, ConfigError)


class Table(BaseModel):
    """Of a plugin."""

    must: int
    size: float = Field(default=0.5, gt=0, lt=1, description="A share.")
    when: tuple[int, ...] = (1, 2)
    what: object = Field(default_factory=lambda: object)


def test_tables_of_plugins_are_in_the_form_and_the_schema() -> None:
    """Whatever a model has: required ones, and defaults that TOML has no word for."""
    text = form({"own": Table})
    assert "# must has no default" in text
    assert "# A share.\n# A number above 0 below 1.\n#size = 0.5" in text
    assert "#when = [1, 2]" in text
    assert "# what is <class 'object'>" in text
    made = schema({"own": Table})
    jsonschema.validate({"own": {"must": 1}}, made)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"own": {}}, made)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text() | st.floats(),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
    max_leaves=5,
)


@given(VALUES)
def test_values_read_back(value: Any) -> None:
    """What is written as TOML is read as the same, with "none" for None."""
    found = tomllib.loads(f"a = {show_value(value)}")["a"]
    assert repr(found) == repr(worded(value))


def worded(value: Any) -> Any:
    """A value with the word for None."""
    if isinstance(value, list):
        return [worded(one) for one in value]
    if isinstance(value, dict):
        return {key: worded(one) for key, one in value.items()}
    return "none" if value is None else value


class Odd(BaseModel):
    """Of a plugin that has no JSON schema."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    what: Registry


def test_a_table_without_a_schema_is_named() -> None:
    """The error says whose model it is."""
    with pytest.raises(PluginError, match=r"\[odd\]"):
        schema({"odd": Odd})


def test_the_verbs_are_what_the_page_says() -> None:
    """There are four."""
    group: Any = typer.main.get_command(config_app)
    assert sorted(group.commands) == ["check", "init", "schema", "show"]
