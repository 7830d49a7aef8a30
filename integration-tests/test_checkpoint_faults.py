# SPDX-License-Identifier: MIT
"""
Checkpoints of whole stores, where a thread, a device or a file is in the way.
"""

from __future__ import annotations

import copy
import threading
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest

import pyfaster

pytestmark = pytest.mark.once

KINDS = ["snapshot", "incremental", "fold-over", "index"]
#: What each kind goes through, in this order.
PHASES = {
    "snapshot": "index-copy prepare in-progress wait-flush persist sync publish",
    "incremental": "prepare in-progress wait-flush persist sync publish",
    "fold-over": "index-copy prepare in-progress wait-flush persist sync publish",
    "index": "index-copy persist sync publish",
}


def opened(where: Path, **more: Any) -> pyfaster.FasterKv[int, int]:
    """Open a small store."""
    given = {"memory": "1MiB", "page_size": "4KiB", "segment_size": "64KiB", **more}
    return pyfaster.open(where, key=int, value=int, **given)


@pytest.mark.trap("T12")
@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_of_nothing_ends(kind: str, tmp_path: Path) -> None:
    """With nothing to flush, and sessions that never do anything, each one ends."""
    with opened(tmp_path / "store") as store:
        idle = [store.session(f"idle {number}") for number in range(3)]
        for _ in range(4):
            store.checkpoint(kind, timeout=60)
        store[1] = 1
        for _ in range(4):
            store.checkpoint(kind, timeout=60)
        for session in idle:
            session.close()
    with opened(tmp_path / "store") as store:
        assert dict(store.items()) == {1: 1}


@pytest.mark.trap("T11")
@pytest.mark.parametrize("kind", KINDS)
def test_each_phase_comes_with_what_it_does(kind: str, tmp_path: Path) -> None:
    """No phase is left out, and what each is for has been done."""
    with opened(tmp_path / "store", checkpoint_on_close=False) as store:
        with store.session("one") as session:
            session.upsert(1, 1)
            store.checkpoint("snapshot")
            session.upsert(2, 2)
            seen: list[str] = []

            def note(progress: Any) -> None:
                if progress.phase not in seen:
                    seen.append(progress.phase)

            info = store.checkpoint(kind, progress=note)
            wanted = PHASES[kind].split()
            assert [phase for phase in seen if phase in wanted] == wanted
            assert set(wanted) <= set(info.phases)
            assert ("index.dat" in info.files) == ("index-copy" in wanted)
            holds = kind != "index"
            assert info.sessions == ({"one": 2} if holds else {})
            assert session.committed_serial == (2 if holds else 1)
    with opened(tmp_path / "store") as store:
        assert dict(store.items()) == ({1: 1, 2: 2} if holds else {1: 1})


@pytest.mark.trap("X08")
@pytest.mark.parametrize("kind", ["snapshot", "fold-over"])
def test_what_was_recovered_leaves_memory_and_comes_back(
    kind: str, tmp_path: Path
) -> None:
    """Pages that came from a checkpoint's files are written before they are evicted."""
    where = tmp_path / "store"
    with opened(where, checkpoint_on_close=False) as store:
        store.upsert_many(range(5_000), range(5_000))
        store.checkpoint(kind)
    for life in range(1, 4):
        with opened(where) as store:
            store.upsert_many(range(life * 5_000, (life + 1) * 5_000), [life] * 5_000)
            store.evict()
            assert store.stats().address_head > 5_000 * 32
            assert [store[key] for key in range(5_000)] == list(range(5_000))
            assert len(store) == (life + 1) * 5_000


@pytest.mark.fault("F64")
def test_a_store_is_not_sent_to_other_processes(tmp_path: Path) -> None:
    """Neither a store nor a session can be pickled, and so spawned with."""
    with opened(tmp_path / "store") as store, store.session("one") as session:
        for one in (store, session):
            with pytest.raises(TypeError, match="pickle"):
                ForkingPickler.dumps(one)
        with pytest.raises(TypeError, match="read_only=True"):
            copy.copy(store)
        store[1] = 1
        assert store[1] == 1


@pytest.mark.fault("F60")
def test_threads_that_ended_hold_nothing_up(tmp_path: Path) -> None:
    """Sessions of threads that are gone, never closed, are in the checkpoint."""
    kept: list[Any] = []

    def work(store: pyfaster.FasterKv[int, int], number: int) -> None:
        session = store.session(f"of thread {number}")
        session.upsert(number, number)
        store[100 + number] = number  # by the thread's own session
        kept.append(session)

    with opened(tmp_path / "store", checkpoint_on_close=False) as store:
        for number in range(8):
            thread = threading.Thread(target=work, args=(store, number))
            thread.start()
            thread.join()
        info = store.checkpoint(timeout=60)
        assert info.sessions == {f"of thread {number}": 1 for number in range(8)}
        kept.clear()
    with opened(tmp_path / "store") as store:
        assert len(store) == 16


class Waiting:
    """A device whose sync waits until it may go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.data = bytearray()

    def read(self, offset: int, buffer: memoryview) -> int:
        """Give what there is."""
        part = self.data[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def write(self, offset: int, buffer: memoryview) -> int:
        """Keep it."""
        end = offset + len(buffer)
        self.data.extend(bytes(max(0, end - len(self.data))))
        self.data[offset:end] = buffer
        return len(buffer)

    def sync(self) -> None:
        """Wait."""
        self.go_on.wait(60)

    def truncate_before(self, offset: int) -> None:
        """Keep everything."""

    def close(self) -> None:
        """Nothing."""


@pytest.mark.fault("F59")
def test_what_is_not_synced_is_not_acknowledged(tmp_path: Path) -> None:
    """While the device syncs nothing is committed; the next checkpoint is complete."""
    device = Waiting()
    where = tmp_path / "kept"
    with pyfaster.open(
        key=int, value=int, device=device, checkpoints=where, memory="1MiB"
    ) as store:
        with store.session("one") as session:
            session.upsert(1, 1)
            with pytest.raises(pyfaster.DeadlineError):
                store.checkpoint("fold-over", timeout=0.2)
            assert session.committed_serial == 0
            assert store.checkpoints() == ()
            session.upsert(2, 2)
            device.go_on.set()
            assert store.checkpoint("fold-over").sessions == {"one": 2}
            assert session.committed_serial == 2


@pytest.mark.fault("F73")
def test_a_directory_that_is_renamed_is_still_the_store_s(tmp_path: Path) -> None:
    """Log and checkpoints go where the directory went; nothing is made where it was."""
    with opened(tmp_path / "before", checkpoint_on_close=False) as store:
        store[1] = 1
        store.checkpoint("fold-over")
        (tmp_path / "before").rename(tmp_path / "after")
        store.upsert_many(range(2, 20_000), range(2, 20_000))  # several segments
        token = store.checkpoint("fold-over").token
    assert not (tmp_path / "before").exists()
    with opened(tmp_path / "after") as store:
        assert store.recovery is not None
        assert store.recovery.token == token
        assert (len(store), store[19_999]) == (19_999, 19_999)


@pytest.mark.fault("F97")
@pytest.mark.parametrize("with_index", [True, False])
def test_a_hole_in_the_log_is_no_record(with_index: bool, tmp_path: Path) -> None:
    """Zeros where records were are an error of their keys, or at opening."""
    where = tmp_path / "store"
    with opened(where, checkpoint_on_close=False) as store:
        store.upsert_many(range(10_000), range(10_000))
        token = store.checkpoint("fold-over").token
    log = where / "log" / f"{0:020x}.seg"
    data = bytearray(log.read_bytes())
    data[4096 + 8192 : 4096 + 12288] = bytes(4096)
    log.write_bytes(data)
    if not with_index:
        (where / "checkpoints" / token / "index.dat").unlink()
        with pytest.raises(pyfaster.CorruptCheckpointError):
            opened(where)
        return
    right = wrong = 0
    with opened(where, checkpoint_on_close=False) as store:
        for key in range(10_000):
            try:
                assert store[key] == key
                right += 1
            except pyfaster.CorruptionError:
                wrong += 1
    assert wrong > 100
    assert right + wrong == 10_000
