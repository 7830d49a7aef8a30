# SPDX-License-Identifier: MIT
"""Tables of plugins: what they bring, what a store is told, who is blamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

import pyfaster
from pyfaster._config_layers import resolve
from pyfaster._config_tables import all_tables, plugin_tables
from pyfaster._registry import Registry
from pyfaster._registry import registry as process_registry
from pyfaster.errors import ConfigError, PluginError, PluginMissingError


class Audit(BaseModel):
    """
    Who did what.

    Attributes:
        path: Where it is written.

        level: How much of it.
    """

    model_config = ConfigDict(extra="forbid")

    path: str | None = None
    level: int = Field(default=1, ge=0, le=9)


class Needy(BaseModel):
    """Needs to be told something."""

    token: str


class Brings:
    """A plugin with some answer to pyfaster_settings."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    @pyfaster.hookimpl
    def pyfaster_settings(self) -> Mapping[str, type[BaseModel]]:
        """Give the answer."""
        answer: Mapping[str, type[BaseModel]] = self.answer
        return answer


@pytest.fixture
def audited() -> Iterator[None]:
    """A plugin of this process with two tables."""
    pyfaster.register(Brings({"audit": Audit, "needy": Needy}), name="audit")
    try:
        yield
    finally:
        pyfaster.unregister("audit")


def with_answers(**answers: Any) -> Registry:
    """A registry whose plugins answer so."""
    registry = Registry(entry_points=tuple)
    for name, answer in answers.items():
        registry.register(Brings(answer), name=name)
    return registry


@pytest.mark.usefixtures("audited")
def test_a_plugin_s_table_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """File, environment and plugins= are merged, and the plugin has its own model."""
    monkeypatch.setenv("PYFASTER__AUDIT__LEVEL", "7")
    tables: dict[str, Any] = {"audit": {"path": "none"}, "needy": {"token": "x"}}
    with pyfaster.open(config=tables, plugins={"audit": {"path": "a"}}) as store:
        assert store.plugin_settings("audit") == Audit(path="a", level=7)
        assert store.plugin_settings("needy") == Needy(token="x")


@pytest.mark.usefixtures("audited")
def test_a_table_of_which_nobody_spoke_is_as_by_default() -> None:
    """Then the model's defaults hold; without some it is an error that says which."""
    with pyfaster.open() as store:
        assert store.plugin_settings("audit") == Audit()
        with pytest.raises(ConfigError, match=r"\[needy\].*token"):
            store.plugin_settings("needy")
        with pytest.raises(ConfigError, match=r"did you mean \[audit\]"):
            store.plugin_settings("audi")


@pytest.mark.usefixtures("audited")
@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"audi": {"level": 1}}, r"\[audit\]"),
        ({"audit": {"levl": 1}}, r"audit\.level\?"),
        ({"audit": {"level": 10}}, r"config= audit\.level: .*9"),
        ({"needy": {}}, "needy.*token"),
    ],
)
def test_mistakes_in_a_plugin_s_table_are_told(config: Any, said: str) -> None:
    """The table of a plugin is as strict as its model, and names neighbours."""
    with pytest.raises(ConfigError, match=said):
        resolve(config, {}, environ={})


@pytest.mark.usefixtures("audited")
@pytest.mark.parametrize(
    ("plugins", "said"),
    [
        ({"store": {"memory": 1}}, "pyfaster's own"),
        ({"audit": 3}, "mapping"),
        (3, "plugins=3: give a mapping"),
        ({"audit": {"level": -1}}, r"plugins= audit\.level"),
        ({"other": {"a": 1}}, "no table 'other'"),
    ],
)
def test_plugins_takes_tables_of_plugins_alone(plugins: Any, said: str) -> None:
    """What is said by plugins= is checked as what a file says."""
    with pytest.raises(ConfigError, match=said):
        pyfaster.open(plugins=plugins)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (3, "not a mapping"),
        ([Audit], "not a mapping"),
        ({"store": Audit}, "pyfaster's own"),
        ({"fasterlog": Audit}, "pyfaster's own"),
        ({"Audit": Audit}, "lower-case"),
        ({"a__b": Audit}, "lower-case"),
        ({3: Audit}, "lower-case"),
        ({"audit": dict}, "BaseModel"),
        ({"audit": Audit()}, "BaseModel"),
    ],
)
def test_who_answers_wrongly_is_blamed(answer: Any, said: str) -> None:
    """A wrong answer is written down with the plugin's name, and left out."""
    registry = with_answers(wrong=answer, right={"fine": Audit})
    assert list(plugin_tables(registry)) == ["fine"]
    assert [said in failure for failure in registry.failures()] == [True]
    assert "plugin 'wrong'" in registry.failures()[0]


def test_who_raises_is_blamed() -> None:
    """A plugin that raises leaves the others' tables."""

    class Raises:
        @pyfaster.hookimpl
        def pyfaster_settings(self) -> Mapping[str, type[BaseModel]]:
            raise OSError("no disk")

    registry = with_answers(right={"fine": Audit})
    registry.register(Raises(), name="raises")
    assert list(all_tables(registry))[-1] == "fine"
    assert "no disk" in registry.failures()[0]


def test_one_table_of_two_plugins_is_an_error() -> None:
    """Both are named."""
    registry = with_answers(one={"audit": Audit}, two={"audit": Audit})
    with pytest.raises(PluginError, match=r"'one'.*'two'"):
        plugin_tables(registry)


@pytest.mark.parametrize("setting", [{"socket": True}, {"telemetry": True}])
def test_what_observability_does_needs_it(
    setting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the distribution the error has the line that installs it."""
    monkeypatch.setattr(
        process_registry, "plugins", lambda: Registry(entry_points=tuple).plugins()
    )
    with pytest.raises(PluginMissingError, match=r'pip install "pyfaster\[observab'):
        pyfaster.open(**setting)
