# SPDX-License-Identifier: MIT
"""
docs/formats.md is what is on disk: a reader that knows the page alone reads stores.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

import formats
import pyfaster
from formats import Checkpoint, Difference

pytestmark = pytest.mark.once

SMALL = {"memory": "1MiB", "page_size": "4KiB", "segment_size": "16KiB", "key": int}
COUNT = 2_000

#: What a store keeps, as plain values; keys are integers of 8 bytes.
State = dict[int, bytes]


def opened(where: Path, **more: Any) -> pyfaster.FasterKv[Any, Any]:
    """Open a small store whose values have any length."""
    given = {"value": bytes, "checkpoint_on_close": False, **SMALL, **more}
    return pyfaster.open(where, **given)


def found(one: Checkpoint) -> State:
    """What the reader finds in a checkpoint."""
    return {struct.unpack("<q", key)[0]: value for key, value in one.state().items()}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two lives and every kind of checkpoint."""
    where = tmp_path_factory.mktemp("formats") / "store"
    states: dict[str, State] = {}
    now: State = {}

    def take(store: pyfaster.FasterKv[Any, Any], kind: str) -> None:
        info = store.checkpoint(kind, cookie=kind.encode())
        assert info.kind == kind
        states[info.token] = dict(now)

    def put(store: pyfaster.FasterKv[Any, Any], first: int, until: int) -> None:
        for key in range(first, until):
            now[key] = b"%d " % key * (key % 9)
            store[key] = now[key]

    with opened(where, keep_checkpoints=100) as one:
        put(one, 0, COUNT)
        take(one, "snapshot")
        put(one, COUNT, COUNT + 300)
        for key in range(0, COUNT, 50):
            now[key] = b""
            one[key] = b""
        take(one, "incremental")
        for key in range(1, COUNT, 7):
            del one[key], now[key]
        take(one, "incremental")
    with opened(where, keep_checkpoints=100) as two:
        with two.session("named") as session:
            session.upsert(-1, b"negative")
        now[-1] = b"negative"
        take(two, "fold-over")
        put(two, COUNT + 300, COUNT + 800)
        take(two, "snapshot")
        put(two, COUNT + 800, COUNT + 900)
        take(two, "index")
    text = json.dumps({token: len(state) for token, state in states.items()})
    print(text)
    for token, state in states.items():
        (where.parent / token).write_bytes(
            b"".join(
                struct.pack("<qI", key, len(value)) + value
                for key, value in sorted(state.items())
            )
        )
    return where


def expected(store: Path, token: str) -> State:
    """What a checkpoint was taken of."""
    data, state, at = (store.parent / token).read_bytes(), {}, 0
    while at < len(data):
        key, size = struct.unpack_from("<qI", data, at)
        state[key] = data[at + 12 : at + 12 + size]
        at += 12 + size
    return state


def checkpoints(store: Path) -> list[Checkpoint]:
    """Give all, the oldest first."""
    tokens = sorted(one.name for one in (store / "checkpoints").iterdir())
    return [Checkpoint(store, token) for token in tokens]


def test_a_reader_by_the_page_finds_what_was_kept(store: Path) -> None:
    """Each checkpoint's keys and values come from its bytes by the page alone."""
    kinds = []
    for one in checkpoints(store):
        kinds.append(one.manifest["kind"])
        if one.manifest["kind"] != "index":
            assert found(one) == expected(store, one.token)
    wanted = ["snapshot", "incremental", "incremental"]
    wanted += ["fold-over", "snapshot", "index"]
    assert kinds == wanted


def test_the_index_leads_to_each_key(store: Path) -> None:
    """The copy's chains have the newest record of every key from before it began."""
    looked = 0
    for one in checkpoints(store):
        names = [each["name"] for each in one.manifest["files"]]
        if "index.dat" not in names or one.manifest["kind"] == "index":
            continue
        newest = {
            each.key: each.address
            for each in one.records()
            if one.counts(each) and each.address < one.at["index_start"]
        }
        for key, address in newest.items():
            assert address in one.chain_of(key)
        looked += len(newest)
    assert looked > 3 * COUNT


def test_a_life_has_a_generation_of_its_own(store: Path) -> None:
    """Counters grow with each recovery; its first address is what was recovered."""
    first, *_, last = checkpoints(store)
    before, after = first.manifest["generations"], last.manifest["generations"]
    assert [number >> 32 for _, number in before] == [1]
    assert after[-1][1] >> 32 == 2
    assert after[0][0] == 0
    assert last.manifest["store_id"] == first.manifest["store_id"]


def test_names_are_those_of_the_page(store: Path) -> None:
    """Nothing else lies in a store's directory, and segments are named as it says."""
    top = {row[0].split("/")[0] for row in formats.table("A store's directory", "name")}
    assert {one.name for one in store.iterdir()} == top
    for one in (store / "log").iterdir():
        assert one.suffix == ".seg"
        assert one.name == f"{int(one.stem, 16):020x}.seg"
    assert (store / "store.lock").read_text().strip().isdigit()


def test_the_cookie_and_sessions_are_in_the_manifest(store: Path) -> None:
    """What users see of a checkpoint comes from the members that the page names."""
    with opened(store) as one_more:
        for info in one_more.checkpoints():
            one = Checkpoint(store, info.token).manifest
            assert {n: point for n, (_, point) in one["sessions"].items()} == (
                info.sessions
            )
            assert (one["version"], one["parent"]) == (info.version, info.parent)
            assert info.cookie == info.kind.encode()
            assert all(
                0 < n < one["next_session_id"] for n, _ in one["sessions"].values()
            )


@pytest.mark.parametrize("value", [int, pyfaster.Bytes(21)])
def test_records_of_fixed_size(value: Any, tmp_path: Path) -> None:
    """The fixed layout has no lengths, and a value that is padded."""
    where = tmp_path / "store"
    with opened(where, value=value) as one:
        for key in range(500):
            one[key] = key if value is int else b"%21d" % key
        for kind in ("snapshot", "fold-over"):
            token = one.checkpoint(kind).token
            read = found(Checkpoint(where, token))
            if value is int:
                assert read == {key: struct.pack("<q", key) for key in range(500)}
            else:
                assert read == {key: b"%21d" % key for key in range(500)}
            shape = Checkpoint(where, token).manifest["layout"]
            assert shape["layout"] == "fixed"


def test_what_is_skipped_stays_skipped(tmp_path: Path) -> None:
    """Records of a version that a recovery left behind are in no later state."""
    where = tmp_path / "store"
    with opened(where) as one:
        one[1] = b"kept"

        def during(progress: Any) -> None:
            if progress.phase == "wait-flush":
                with one.session() as session:
                    session.upsert(1, b"newer")
                    session.upsert(2, b"newer")

        first = one.checkpoint("fold-over", progress=during)
    with opened(where) as two:
        two[3] = b"third"
        second = two.checkpoint("fold-over")
    assert found(Checkpoint(where, first.token)) == {1: b"kept"}
    last = Checkpoint(where, second.token)
    assert found(last) == {1: b"kept", 3: b"third"}
    assert last.manifest["skips"] != []
    for first_address, until, version in last.manifest["skips"]:
        assert first_address < until <= last.at["final"]
        assert version == first.version + 1


def flip(path: Path, at: int) -> None:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("place", ["segment", "record", "block", "payload", "manifest"])
def test_the_reader_is_no_rubber_stamp(place: str, tmp_path: Path) -> None:
    """One bit that is another is a difference, wherever the page says it counts."""
    where = tmp_path / "store"
    with opened(where) as one:
        for key in range(100):
            one[key] = b"some value"
        folded = one.checkpoint("fold-over").token
        one[7] = b"another"
        token = one.checkpoint("snapshot").token
    log, folder = where / "log" / f"{0:020x}.seg", where / "checkpoints" / token
    path, at = {
        "segment": (log, 40),
        "record": (log, 4096 + 64 + 30),
        "block": (folder / "index.dat", 9),
        "payload": (folder / "index.dat", 40),
        "manifest": (folder / "manifest.json", 25),
    }[place]
    for each in (folded, token):
        assert found(Checkpoint(where, each))
        assert Checkpoint(where, each).entries()
    flip(path, at)
    with pytest.raises(Difference):
        broken = Checkpoint(where, token)
        broken.entries()
        found(broken)
