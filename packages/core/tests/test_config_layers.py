# SPDX-License-Identifier: MIT
"""What a file, the environment and a program say: who wins, and who is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyfaster
from pyfaster._config_layers import checked, log_settings, resolve
from pyfaster._config_tables import flat_names, own_tables, places
from pyfaster._config_trees import (
    Leaf,
    grow,
    lay_over,
    leaves,
    node_at,
    plain,
    read_value,
    variable,
)
from pyfaster._registry import Registry
from pyfaster.errors import ConfigError

MIB = 1 << 20


def refusal(
    config: Any = None,
    settings: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
) -> str:
    """What the ConfigError says."""
    with pytest.raises(ConfigError) as caught:
        resolve(config, settings or {}, environ=environ or {})
    return str(caught.value)


def written(folder: Path, text: str) -> Path:
    """A configuration file."""
    file = folder / "pyfaster.toml"
    file.write_text(text)
    return file


# --- who wins -----------------------------------------------------------------------


def test_a_file_is_weaker_than_the_environment_and_that_than_the_program(
    tmp_path: Path,
) -> None:
    """Each of the three wins over the one before it, setting by setting."""
    file = written(
        tmp_path,
        "[sessions]\nmax = 1\n[checkpoint]\nkeep = 1\n[store]\nmemory = 1048576",
    )
    environ = {"PYFASTER__SESSIONS__MAX": "2", "PYFASTER__CHECKPOINT__KEEP": "3"}
    config = resolve(file, {"sessions_max": 4}, environ=environ).config
    assert (config.sessions_max, config.keep_checkpoints) == (4, 3)
    assert config.memory == MIB


@pytest.mark.parametrize(
    "config",
    [
        pyfaster.StoreConfig(sessions_max=5),
        {"sessions_max": 5},
        {"sessions": {"max": 5}},
    ],
)
def test_what_a_program_gives_as_config_wins_over_the_environment(config: Any) -> None:
    """A StoreConfig and a mapping are words of the program, as far as they go."""
    environ = {"PYFASTER__SESSIONS__MAX": "2", "PYFASTER__CHECKPOINT__KEEP": "3"}
    asked = resolve(config, {}, environ=environ).config
    assert (asked.sessions_max, asked.keep_checkpoints) == (5, 3)
    assert (
        resolve(config, {"sessions_max": 6}, environ=environ).config.sessions_max == 6
    )


VALUES = st.integers(0, 9) | st.booleans()
NAMES = st.sampled_from("abc")
TREES = st.dictionaries(
    NAMES,
    st.recursive(VALUES, lambda below: st.dictionaries(NAMES, below, max_size=3)),
    max_size=3,
)


def merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """The oracle: dictionaries laid over each other, said in another way."""
    names = [*under, *(name for name in over if name not in under)]
    return {
        name: merged(under[name], over[name])
        if isinstance(under.get(name), dict) and isinstance(over.get(name), dict)
        else over.get(name, under.get(name))
        for name in names
    }


@given(TREES, TREES, TREES)
def test_layers_are_laid_over_each_other_as_dictionaries(
    file: dict[str, Any], around: dict[str, Any], words: dict[str, Any]
) -> None:
    """What is left is what merging the plain dictionaries gives, whatever they have."""
    trees = [
        {name: grow((), value, kind, kind) for name, value in one.items()}
        for kind, one in (("file", file), ("environment", around), ("program", words))
    ]
    laid = lay_over(lay_over(trees[0], trees[1]), trees[2])
    assert plain(laid) == merged(merged(file, around), words)


@given(TREES, TREES)
def test_each_value_knows_who_said_it(
    under: dict[str, Any], over: dict[str, Any]
) -> None:
    """Where the stronger layer has a value, its name is on it; else the other's."""
    weak, strong = (
        {name: grow((), value, kind, kind) for name, value in one.items()}
        for kind, one in (("file", under), ("program", over))
    )

    def check(node: Any, steps: tuple[str, ...]) -> None:
        if not isinstance(node, Leaf):
            for name, below in node.items():
                check(below, (*steps, name))
            return
        said = node_at(strong, steps)
        assert node.kind == ("program" if said is node else "file")

    check(lay_over(weak, strong), ())


def test_tables_inside_of_settings_are_merged(tmp_path: Path) -> None:
    """Options of the device come from all three; of one name the strongest holds."""
    file = written(tmp_path, "[device.options]\na = 1\nb = 1\nc = 1\n")
    environ = {"PYFASTER__DEVICE__OPTIONS": "{b = 2, c = 2, d = 2}"}
    environ["PYFASTER__DEVICE__OPTIONS__D"] = "3"
    asked = resolve(file, {"device_options": {"c": 4}}, environ=environ)
    assert asked.config.device_options == {"a": 1, "b": 2, "c": 4, "d": 3}


# --- the environment ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("true", True),
        ('"3"', "3"),
        ("[1, 2]", [1, 2]),
        ("{a = 1}", {"a": 1}),
        ("512MiB", "512MiB"),
        ("try", "try"),
        ("", ""),
        ("/run/a b", "/run/a b"),
        ("1\nother = 2", "1\nother = 2"),
        ("True", "True"),
    ],
)
def test_variables_are_toml_or_text(text: str, value: object) -> None:
    """What TOML reads as one value is that value; anything else is the text."""
    assert read_value(text) == value


@pytest.mark.parametrize("place", sorted(flat_names()), ids=".".join)
def test_every_setting_has_a_variable(place: tuple[str, str]) -> None:
    """A variable that is wrong for its setting is refused by its name."""
    assert f"{variable(place)}: " in refusal(environ={variable(place): "[[1]]"})


def test_case_does_not_count_behind_the_prefix() -> None:
    """Names are compared in lower case; two that are the same are refused."""
    environ = {"PYFASTER__sessions__Max": "7"}
    assert resolve(None, {}, environ=environ).config.sessions_max == 7
    environ["PYFASTER__SESSIONS__MAX"] = "8"
    said = refusal(environ=environ)
    assert all(name in said for name in environ)


def test_other_variables_are_nobody_s_business() -> None:
    """Only names with two underscores behind PYFASTER are settings."""
    environ = {"PYFASTER_PLUGINS": "", "PYFASTER_X": "1", "pyfaster__store__x": "1"}
    assert resolve(None, {}, environ=environ).config == pyfaster.StoreConfig()


def test_the_process_s_environment_reaches_a_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`pyfaster.open` looks at it each time."""
    monkeypatch.setenv("PYFASTER__SESSIONS__MAX", "3")
    with pyfaster.open() as store:
        assert store.config.sessions_max == 3
    monkeypatch.setenv("PYFASTER__SESSIONS__MAX", "4")
    with pyfaster.open() as store:
        assert store.config.sessions_max == 4


# --- what is wrong, and where it was said -------------------------------------------


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("PYFASTER__STORE__MEMRY", "PYFASTER__STORE__MEMORY?"),
        ("PYFASTER__STORE__PAGE_SIZE", "PYFASTER__LOG__PAGE_SIZE?"),
        ("PYFASTER__MEMORY", "PYFASTER__STORE__MEMORY?"),
        ("PYFASTER__STOR__MEMORY", "[store]?"),
        ("PYFASTER__FASTERLOG__COMMIT__EVERY_BYTE", "COMMIT__EVERY_BYTES?"),
        ("PYFASTER__STORE__", "PYFASTER__STORE__MEMORY"),
        ("PYFASTER__STORE", "is a table"),
    ],
)
def test_an_unknown_variable_names_its_neighbour(name: str, hint: str) -> None:
    """A variable that is no setting is refused with the one that was meant."""
    said = refusal(environ={name: "1"})
    assert f"{name}: " in said
    assert hint in said


def test_a_variable_that_names_nothing_hides_no_other_mistake() -> None:
    """Odd names, doubled ones and wrong values are told together."""
    environ = {
        "PYFASTER__": "1",
        "PYFASTER__STORE__": "1",
        "PYFASTER__LOG__PAGE_SIZE": "5000",
        "PYFASTER__STORE__MEMORY": "1GiB",
        "PYFASTER__store__memory": "2GiB",
        "PYFASTER__STORE__CLOSE_TIMEOUT": "true",
    }
    said = refusal(settings={"sessions_max": 0}, environ=environ)
    assert said.startswith("6 settings are wrong")
    assert "are one setting; remove one" in said
    for name in ("PYFASTER__: ", "PYFASTER__STORE__: ", "PAGE_SIZE", "CLOSE_TIMEOUT"):
        assert name in said


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("[store]\nmemry = 1", "store.memry", "store.memory?"),
        ("[store]\nkeep_checkpoints = 1", "store.keep_checkpoints", "checkpoint.keep?"),
        ("[stroe]\nmemory = 1", "stroe.memory", "[store]?"),
        ("memory = 1", "memory", "store.memory?"),
        ("store = 1", "store", "is a table"),
        ("[log]\npage_size = 5000", "log.page_size", '"4KiB"'),
        ("[store]\nmemory = 'much'", "store.memory", "512MiB"),
        ("[device]\nscheme = 'A'", "device.scheme", '"file"'),
        ("[fasterlog]\nslot_every = 0", "fasterlog.slot_every", "1"),
        ("[fasterlog.commit]\nevery_byte = 0", "commit.every_byte", "every_bytes?"),
    ],
)
def test_a_mistake_in_a_file_says_where(
    tmp_path: Path, text: str, place: str, hint: str
) -> None:
    """The message has the file, the table and the key, and what was meant."""
    file = written(tmp_path, text)
    said = refusal(file)
    assert f"{file}: " in said
    assert place in said
    assert hint in said


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    """What cannot be read is a ConfigError with the path."""
    file = written(tmp_path, "[store\n")
    assert str(file) in refusal(file)
    assert "absent.toml" in refusal(tmp_path / "absent.toml")
    file.write_bytes(b"\xff")
    assert str(file) in refusal(file)


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    """Each wrong thing in a file is a sentence of its own, wherever it is."""
    lines = ["[store]", "memry = 1", "memory = 'x'", "[other]", "a = 1", "[log]"]
    lines += ["page_size = 3", "[fasterlog]", "slot_every = 0", "[store.hash]", "b = 1"]
    check = checked(written(tmp_path, "\n".join(lines)), registry(), environ={})
    wanted = ["store.memry", "store.memory", "other", "log.page_size", "slot_every"]
    for name in [*wanted, "store.hash"]:
        assert any(name in sentence for sentence in check.wrong), name
    assert len(check.wrong) == 6


def test_what_is_wrong_together_says_who_said_it(tmp_path: Path) -> None:
    """Settings that contradict each other are named with where each is from."""
    file = written(tmp_path, "[store]\nread_only = true\n")
    said = refusal(file, environ={"PYFASTER__CHECKPOINT__EVERY": "5"})
    assert f"read_only from {file}: store.read_only" in said
    assert "checkpoint_every from PYFASTER__CHECKPOINT__EVERY" in said


def test_an_unknown_keyword_hides_no_other_mistake(tmp_path: Path) -> None:
    """What the file, the environment and the program say wrongly is one error."""
    file = written(tmp_path, "[store]\nmemroy = 1\n")
    variables = {"PYFASTER__SESSIONS__MAX": "-4"}
    said = refusal(file, {"sample_evry": 4, "close_timeout": -1}, variables)
    assert said.startswith("4 settings are wrong")
    for one in ("sample_evry", "memroy", "PYFASTER__SESSIONS__MAX", "close_timeout"):
        assert one in said


def test_settings_wrong_together_are_told_beside_others(tmp_path: Path) -> None:
    """A value out of range does not hide what else is wrong."""
    text = "[store]\nmemory = '1KiB'\nread_only = true\nclose_timeout = -1\n"
    file = written(tmp_path, text + "[checkpoint]\nevery = 5\n")
    said = refusal(file)
    assert said.startswith("3 settings are wrong")


@pytest.mark.parametrize(
    ("config", "settings", "who"),
    [
        (None, {"sessions_max": 0}, "keyword sessions_max: "),
        (None, {"memry": 0}, "keyword memry: "),
        ({"sessions_max": 0}, {}, "config= sessions_max: "),
        ({"sessions": {"max": 0}}, {}, "config= sessions.max: "),
        ({"memry": 0}, {}, "config= memry: "),
        ({"stor": {"memory": 0}}, {}, "config= stor.memory: "),
    ],
)
def test_a_program_s_mistake_says_which_word(
    config: Any, settings: dict[str, Any], who: str
) -> None:
    """What a keyword, or config=, says wrongly is told as that."""
    assert who in refusal(config, settings)


# --- None, and what is of no use ----------------------------------------------------


def test_none_can_be_said_where_it_is_a_value(tmp_path: Path) -> None:
    """ "none" is None for a setting that may be None, and a text elsewhere."""
    file = written(tmp_path, "[store]\nmemory = '2MiB'\n[checkpoint]\nrecover = 'none'")
    environ = {"PYFASTER__STORE__MEMORY": "none"}
    asked = resolve(file, {}, environ=environ).config
    assert (asked.memory, asked.recover) == (None, "none")
    assert "memory" in refusal(None, {"memory": "none"})


def test_who_only_looks_may_share_the_file_of_who_writes(tmp_path: Path) -> None:
    """What a file says for writers is left out when the program says read_only."""
    file = written(tmp_path, "[checkpoint]\nevery = 5\nrecover = 'latest'\nkeep = 3\n")
    asked = resolve(file, {"read_only": True}, environ={}).config
    assert (asked.checkpoint_every, asked.keep_checkpoints) == (None, 3)
    said = refusal(file, {"read_only": True, "checkpoint_every": 5})
    assert "contradict" in said


def test_the_scheme_of_a_file_is_for_paths_that_name_none(tmp_path: Path) -> None:
    """In memory it means nothing; a path or a keyword that names one wins."""
    file = written(tmp_path, "[device]\nscheme = 'absent'\n")
    with pyfaster.open(config=file) as store:
        assert store.name == ":memory:"
    with pytest.raises(pyfaster.PluginMissingError, match="'absent'"):
        pyfaster.open(tmp_path / "data", config=file)
    for where in ("other:data", "data"):
        with pytest.raises(pyfaster.PluginMissingError, match="'other'"):
            pyfaster.open(where, device="other", config=file)


# --- the log's table ----------------------------------------------------------------


def test_the_log_s_table_is_merged_the_same_way(tmp_path: Path) -> None:
    """File, environment and words, each stronger than the last; words stay as given."""
    file = written(
        tmp_path, "[fasterlog]\nmemory = '1MiB'\nslot_every = 2\nrecover = 3"
    )
    environ = {"PYFASTER__FASTERLOG__SLOT_EVERY": "5"}
    words = {"recover": "latest", "files": object()}
    found = log_settings(file, words, environ=environ)
    assert found == {"memory": MIB, "slot_every": 5, **words}


def test_a_store_s_file_and_a_log_s_are_one(tmp_path: Path) -> None:
    """A mistake in another's table is found by whoever reads the file."""
    file = written(tmp_path, "[fasterlog]\nslot_evry = 1\n[store]\nmemory = '1MiB'\n")
    assert "slot_every" in refusal(file)
    file.write_text("[store]\nmemry = 1\n")
    with pytest.raises(ConfigError, match=r"store\.memory"):
        log_settings(file, {}, environ={})


def test_a_reader_of_a_log_may_share_the_file_of_the_writer(tmp_path: Path) -> None:
    """What only a writer needs is left out for who reads."""
    file = written(tmp_path, "[fasterlog]\nmemory = '1MiB'\ndevice = 'uring'\n")
    found = log_settings(file, {"read_only": True}, environ={})
    assert found == {"device": "uring", "read_only": True}


# --- the tables ---------------------------------------------------------------------


def registry() -> Registry:
    """One without plugins."""
    return Registry(entry_points=tuple)


def test_every_keyword_has_one_place() -> None:
    """Each setting of StoreConfig is in one table of the store, and nowhere else."""
    tables = own_tables()
    keys = [
        (table, key)
        for table in tables
        if table != "fasterlog"
        for key in tables[table].model_fields
        if (table, key) != ("device", "scheme")
    ]
    assert sorted(keys) == sorted(flat_names())
    assert set(places()) == set(pyfaster.StoreConfig.model_fields)


def test_trees_know_all_their_leaves() -> None:
    """What grows from a mapping has a leaf for each value in it."""
    tree = grow(("a",), {"b": 1, "c": {"d": 2}}, "file", "f: a")
    assert [leaf.where for leaf in leaves(tree)] == ["f: a.b", "f: a.c.d"]
