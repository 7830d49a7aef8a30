# SPDX-License-Identifier: MIT
"""The core's side of checkpoints, driven by hand: phases, refusals, hostile bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

import pyfaster
from pyfaster._cabi_checkpoint import KIND, PART, PHASE
from pyfaster._checkpoint import CoreCheckpoint, CoreRecovery
from pyfaster.checkpoints import (
    KINDS,
    PARTS,
    PHASES,
    CheckpointEngine,
    RecoveryEngine,
)
from pyfaster.errors import (
    CheckpointBusyError,
    ClosedError,
    ConfigError,
    CorruptionError,
    FasterError,
)


@pytest.fixture
def store(place: Any) -> Iterator[Any]:
    """A durable store with some records."""
    with place.open(checkpoint_on_close=False) as store:
        with store.session("a") as session:
            for key in range(500):
                session.upsert(key, key)
        yield store


def stream(engine: CoreCheckpoint, part: str) -> bytes:
    """Read a stream to its end."""
    buffer, whole = memoryview(bytearray(engine.read_room)), b""
    for _ in range(10_000):
        count = engine.read(part, buffer)
        if count == 0:
            break
        whole = b"" if count is None else whole + bytes(buffer[:count])
    return whole


def test_the_words_are_the_core_s() -> None:
    """Each word has the number that the header gives it."""
    from pyfaster import _cabi

    phases = _cabi.enumerators("faster_phase")
    assert [phases[f"FASTER_PHASE_{word.upper().replace('-', '_')}"] for word in PHASES]
    for number, word in PHASE.items():
        name = f"FASTER_PHASE_{word.upper().replace('-', '_')}"
        assert phases[name] == number
    parts = _cabi.enumerators("faster_part")
    assert {f"FASTER_PART_{word.upper()}": PART[word] for word in PARTS} == parts
    kinds = _cabi.enumerators("faster_checkpoint_kind")
    said = {"index": "FASTER_INDEX_ONLY"}
    for word in KINDS:
        name = said.get(word, f"FASTER_{word.upper().replace('-', '_')}")
        assert kinds[name] == KIND[word]


def test_engines_fit_the_contract(store: Any) -> None:
    """What the core gives is what a coordinator is promised."""
    checkpoint: CheckpointEngine = CoreCheckpoint(store._life)
    recovery: RecoveryEngine = CoreRecovery(
        store._kv, name="x", store_id=1, page_size=4096
    )
    assert checkpoint.page_size == store.config.page_size
    assert checkpoint.unit == 512
    assert checkpoint.store.layout["key_codec"] == "int64"
    assert recovery.page_size == 4096


def test_the_phases_of_a_snapshot(store: Any) -> None:
    """In their order; what is known grows; the streams are whole blocks."""
    engine = CoreCheckpoint(store._life)
    engine.begin("snapshot", with_index=True, seed=17)
    seen, streams = [], {}
    while not seen or seen[-1] != "persist":
        seen.append(engine.advance(60.0))
        if seen[-1] == "index-copy":
            streams["index"] = stream(engine, "index")
        if seen[-1] == "wait-flush":
            assert engine.points() == {"a": (1, 500)}
            streams["pages"] = stream(engine, "pages")
        assert len(seen) < 20
    assert seen == sorted(seen, key=PHASES.index)
    facts = engine.facts()
    assert (facts.kind, facts.phase, facts.version) == ("snapshot", "persist", 1)
    assert facts.begin == 0
    assert facts.log_until <= facts.fuzzy_start <= facts.final
    assert facts.final % engine.unit == 0
    assert facts.index_entries == 500
    assert facts.table_bits >= facts.index_bits > 0
    recovery = CoreRecovery(store._kv, name="x", store_id=1, page_size=4096)
    for part, data in streams.items():
        at, number, last = 0, 0, False
        while not last:
            block = recovery.next_block(data[at:], seed=17, part=part, number=number)
            assert block is not None
            at, number, last = at + block.whole, number + 1, block.last
        assert at == len(data)
    session = store.session("a")
    assert session.committed_serial == 0
    engine.end(True)
    assert session.committed_serial == 500
    engine.end(True)
    session.close()


def test_a_checkpoint_that_was_not_published_commits_nothing(store: Any) -> None:
    """Ended in each phase, the store goes on and the next one is whole."""
    for steps in range(6):
        engine = CoreCheckpoint(store._life)
        engine.begin("snapshot", with_index=True, seed=1)
        for _ in range(steps):
            phase = engine.advance(60.0)
            if phase == "index-copy":
                stream(engine, "index")
            if phase == "wait-flush":
                stream(engine, "pages")
            if phase == "persist":
                break
        engine.end(False)
        store[1000 + steps] = steps
        with store.session("a") as session:
            assert session.committed_serial == 0
    assert store.checkpoint("snapshot").sessions == {"a": 500}


def test_one_at_a_time_and_none_behind_the_end(store: Any) -> None:
    """A second one is refused, and so is what comes after end()."""
    first, second = CoreCheckpoint(store._life), CoreCheckpoint(store._life)
    first.begin("snapshot", with_index=False, seed=1)
    with pytest.raises(CheckpointBusyError):
        second.begin("snapshot", with_index=False, seed=1)
    second.end(False)
    first.end(False)
    buffer = memoryview(bytearray(first.read_room))
    for call in (
        lambda: first.advance(0),
        first.facts,
        first.points,
        lambda: first.read("pages", buffer),
    ):
        with pytest.raises(ClosedError):
            call()


def test_what_the_core_refuses(store: Any) -> None:
    """A base that is too old, a stream that the kind has not, a small buffer."""
    engine = CoreCheckpoint(store._life)
    with pytest.raises(ConfigError):
        engine.begin(
            "incremental", with_index=False, base_version=4_000_000, base_final=64
        )
    engine.begin("fold-over", with_index=False, seed=1)
    buffer = memoryview(bytearray(engine.read_room))
    for part in PARTS:
        with pytest.raises(FasterError):
            engine.read(part, buffer)
    engine.end(False)
    assert store.checkpoint("fold-over").kind == "fold-over"


@pytest.mark.fault("F87")
def test_hostile_blocks_are_refused(store: Any) -> None:
    """Random bytes, cut ones, another seed or number: an error or None, no crash."""
    seed = 11
    rng = random.Random(seed)
    engine = CoreCheckpoint(store._life)
    engine.begin("index", with_index=True, seed=5)
    assert engine.advance(60.0) == "index-copy"
    data = stream(engine, "index")
    engine.end(False)
    recovery = CoreRecovery(store._kv, name="x", store_id=1, page_size=4096)

    def next_block(data: bytes, **other: Any) -> Any:
        given = {"seed": 5, "part": "index", "number": 0, **other}
        return recovery.next_block(data, **given)

    block = next_block(data)
    for size in range(block.whole):
        assert next_block(data[:size]) is None
    for other in ({"seed": 6}, {"part": "pages"}, {"number": 1}):
        with pytest.raises(CorruptionError):
            next_block(data, **other)
    for _ in range(2000):
        bad = bytearray(data[: block.whole])
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        with suppress(CorruptionError):
            assert next_block(bytes(bad)) is None, f"seed {seed}"  # a longer one
    image = memoryview(bytearray(4096))
    for size in range(0, 200, 8):
        try:
            recovery.image_apply(image, 0, rng.randbytes(size))
        except CorruptionError:
            assert bytes(image) == bytes(4096)


def test_a_recovery_needs_a_store_for_it(store: Any) -> None:
    """A store with sessions is not recovered; a handle that was not begun says so."""
    recovery = CoreRecovery(store._kv, name="x", store_id=1, page_size=4096)
    with pytest.raises(ClosedError):
        recovery.finish()
    with pytest.raises(FasterError):
        recovery.begin(version=1, begin=0, fuzzy_start=0, log_until=4096, final=512)
    recovery.free()
    assert store[1] == 1


def test_timeouts_are_bounded(store: Any) -> None:
    """What no clock can wait is refused, or waited for as long as it can."""
    for timeout in (-1, float("inf"), float("nan"), 1e9):
        with pytest.raises(ConfigError, match="timeout"):
            store.checkpoint(timeout=timeout)
    with pytest.raises(ConfigError, match="kind"):
        store.checkpoint("full")
    with pytest.raises(TypeError, match="cookie"):
        store.checkpoint(cookie="text")
    with store.session("b") as session:
        session.upsert(1, 1)
        future = store.checkpoint(wait=False)
        session.wait_committed(timeout=1e300)
        assert isinstance(future.result(60), pyfaster.CheckpointInfo)
