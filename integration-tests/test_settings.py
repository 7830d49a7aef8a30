# SPDX-License-Identifier: MIT
"""
Every documented setting has a test that observes its effect.

The list says which. Whoever adds a setting adds its test here, and to docs/settings.md;
what a value has to be, and who wins, is tested elsewhere for all of them alike.
"""

from __future__ import annotations

import ast
from functools import cache

import pytest

import house
from pyfaster._config_tables import own_tables
from pyfaster._reconfigure import LIVE

pytestmark = pytest.mark.once

CORE = "packages/core/tests/"
EFFECTS = f"{CORE}test_settings_effects.py"
LAYERS = f"{CORE}test_config_layers.py"
CHANGES = f"{CORE}test_reconfigure.py"
LOG = "packages/fasterlog/tests/test_config.py"
OBSERVED = "packages/observability/tests/"

TESTS = {
    "store.memory": (EFFECTS, "test_memory_bounds_what_a_store_takes"),
    "store.index_fraction": (EFFECTS, "test_index_fraction_bounds_the_index"),
    "store.expected_keys": (EFFECTS, "test_expected_keys_save_growing"),
    "store.hash": (
        "packages/codecs/tests/test_store.py",
        "test_stores_open_with_each_hash",
    ),
    "store.close_timeout": (EFFECTS, "test_close_timeout_is_how_long_is_waited"),
    "store.durable": (EFFECTS, "test_durable_says_whether_checkpoints_are_kept"),
    "store.read_only": (EFFECTS, "test_read_only_only_looks"),
    "log.page_size": (EFFECTS, "test_page_size_bounds_a_record"),
    "log.mutable_fraction": (
        EFFECTS,
        "test_mutable_fraction_says_how_much_changes_in_place",
    ),
    "log.read_cache": (EFFECTS, "test_read_cache_answers_what_was_read_before"),
    "device.scheme": (LAYERS, "test_the_scheme_of_a_file_is_for_paths_that_name_none"),
    "device.segment_size": (
        "packages/devices-file/tests/test_settings.py",
        "test_segment_size_is_what_a_file_holds",
    ),
    "device.options": (
        "packages/devices-file/tests/test_settings.py",
        "test_options_reach_the_device",
    ),
    "checkpoint.recover": (EFFECTS, "test_recover_chooses_a_checkpoint"),
    "checkpoint.every": (
        CHANGES,
        "test_checkpoints_begin_and_end_in_the_background",
    ),
    "checkpoint.on_close": (EFFECTS, "test_on_close_says_whether_a_last_one_is_taken"),
    "checkpoint.timeout": (EFFECTS, "test_timeout_gives_a_checkpoint_up"),
    "checkpoint.keep": (EFFECTS, "test_keep_says_how_many_stay"),
    "checkpoint.keep_for": (EFFECTS, "test_keep_for_keeps_what_is_young"),
    "checkpoint.mount": (EFFECTS, "test_mount_chooses_what_is_looked_at"),
    "sessions.max": (EFFECTS, "test_sessions_max_bounds_sessions"),
    "observability.sample_every": (EFFECTS, "test_sample_every_says_what_is_timed"),
    "observability.events": (
        f"{CORE}test_events_listening.py",
        "test_what_is_lost_is_counted_and_told_in_its_place",
    ),
    "observability.socket": (
        f"{OBSERVED}test_socket.py",
        "test_a_snapshot_is_what_the_store_says",
    ),
    "observability.telemetry": (
        f"{OBSERVED}test_metrics.py",
        "test_the_setting_tells_of_one_store_by_the_global_providers",
    ),
    "fasterlog.device": (LOG, "test_device_is_the_scheme_of_a_path_that_names_none"),
    "fasterlog.device_options": (LOG, "test_device_options_reach_the_device"),
    "fasterlog.page_size": (LOG, "test_page_size_bounds_an_entry"),
    "fasterlog.memory": (LOG, "test_memory_bounds_what_is_on_its_way"),
    "fasterlog.segment_size": (LOG, "test_segment_size_is_what_a_file_holds"),
    "fasterlog.read_only": (LOG, "test_read_only_only_reads"),
    "fasterlog.recover": (LOG, "test_recover_goes_back"),
    "fasterlog.commit": (LOG, "test_commit_commits"),
    "fasterlog.slot_every": (LOG, "test_slot_every_says_when_a_slot_is_written"),
    "fasterlog.trust_device": (
        LOG,
        "test_trust_device_takes_one_that_promises_nothing",
    ),
}

#: What may change while a store is open, and who sees it change.
LIVE_TESTS = {
    "memory": "test_memory_goes_up_and_down",
    "sessions_max": "test_sessions_max_goes_up_and_down",
    "close_timeout": "test_close_timeout_holds_at_once",
    "mutable_fraction": "test_mutable_fraction_moves_the_regions",
    "checkpoint_every": "test_checkpoints_begin_and_end_in_the_background",
    "checkpoint_on_close": "test_the_last_checkpoint_follows",
    "checkpoint_timeout": "test_the_timeout_of_checkpoints_follows",
    "keep_checkpoints": "test_what_is_kept_of_checkpoints_follows",
    "keep_for": "test_what_is_kept_of_checkpoints_follows",
    "sample_every": "test_sample_every_holds_at_once",
}


@cache
def names_in(path: str) -> frozenset[str]:
    """The names of a file's tests."""
    tree = ast.parse(house.text(house.ROOT / path))
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    )


def test_every_setting_has_a_test() -> None:
    """The list has each setting of each table, and no other."""
    settings = [
        f"{table}.{key}"
        for table, model in own_tables().items()
        for key in model.model_fields
    ]
    assert sorted(TESTS) == sorted(settings)


@pytest.mark.parametrize("setting", TESTS)
def test_the_test_of_a_setting_is_there(setting: str) -> None:
    """What the list names exists."""
    path, name = TESTS[setting]
    assert name in names_in(path)


def test_every_setting_that_may_change_has_a_test() -> None:
    """Each that `store.reconfigure` takes is seen to have changed something."""
    assert sorted(LIVE_TESTS) == sorted(LIVE)
    assert sorted(set(LIVE_TESTS.values()) - names_in(CHANGES)) == []
