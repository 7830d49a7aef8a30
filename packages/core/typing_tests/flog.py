# SPDX-License-Identifier: MIT
"""The native half of a durable log as it is built upon; checked by mypy, never run."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pyfaster import flog

if TYPE_CHECKING:
    from typing import assert_type

    class Mine(flog.NativeLog):
        """A log with more to it."""

    def use(place: flog.LogDevice, slot: flog.Slot) -> None:
        """Open a log and use it."""
        found = flog.recover(
            place,
            log_id=slot.log_id,
            page_size=slot.page_size,
            life=slot.lives[-1],
            start=slot.until,
            number=slot.number,
        )
        assert_type(found.damage, flog.Damage | None)
        log = Mine(place, log_id=1, lives=slot.lives, begin=64, committed=64, number=0)
        assert_type(log, Mine)
        assert_type(log.append(b"entry"), int)
        log.append(memoryview(b"entry"))
        log.append("text")  # type: ignore[arg-type]
        log.append_many([b"a", bytearray(b"b")], atomic=True)
        log.append_many(b"ab", offsets=array("Q", [0, 1, 2]))
        assert_type(log.commit(timeout=1.5), flog.Commit)
        assert_type(log.commit_strong(b"cookie").number, int)
        assert_type(log.failure, tuple[int, int, int] | None)
        assert_type(log.follow(), flog.Commit | None)
        with log.scan(64, commits=True) as scan:
            assert_type(next(scan), flog.Entry)
            assert_type(scan.next_piece(), flog.Piece | None)
            assert_type(scan.batches(), Iterator[flog.Piece])
            for entry in scan:
                assert_type((entry.address, entry.payload), tuple[int, bytes])
                entry.payload = b""  # type: ignore[misc]
