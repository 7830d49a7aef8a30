# SPDX-License-Identifier: MIT
"""
What an opening says of damage that nobody may pass over, and what is left to do.

Theory of operation: where something durable is damaged behind the newest slot, the log
cannot be followed to its end, but all commits up to the damage are whole. The core's
log is opened up to there, in memory; its records tell the last of them, which is the
way out, or the one that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyfaster.errors import CorruptionError, CorruptLogError
from pyfaster.flog import KINDS, Damage, NativeLog, Slot, record_of

if TYPE_CHECKING:
    from pyfaster_fasterlog._place import Place


def refuse_old_slots(place: Place, error: CorruptLogError) -> None:
    """
    Refuse slots that know less than the log's own bytes: copies of before a later
    opening, which wrote there. No commit of theirs can be gone back to, as nobody
    knows which lives there were.

    Raises:
        CorruptLogError: They are such.
    """
    damage = error.damage
    if not isinstance(damage, Damage) or damage.what != "stale":
        return
    if damage.found <= damage.expected:
        return
    again = CorruptLogError(
        f"{place.name!r}: the slots are of life {damage.expected:,} of the log, and at "
        f"address {damage.address:,} life {damage.found:,} has written; nothing was "
        "changed: bring back the slots of the log's last life, or the whole "
        "directory from a copy",
        status=error.status,
    )
    again.damage = damage
    raise again from error


def until_damage(slot: Slot, error: CorruptLogError) -> int:
    """
    Give the address below which everything behind a slot is whole.
    """
    damage = error.damage
    address = damage.address if isinstance(damage, Damage) else 0
    return max(slot.until, address)


def last_before(log: NativeLog, slot: Slot, until: int) -> int:
    """
    Give the number of the last commit whose record lies before an address.

    Args:
        log: Opened up to there.

        slot: Where what is looked through begins.

        until: The address of the damage.
    """
    number = slot.number
    if until > slot.until:
        for entry in log.scan(slot.until, until, commits=True):
            if entry.kind == KINDS["commit"]:
                number = record_of(entry.payload).number
    return number


def damaged(place: Place, error: CorruptLogError, last: int) -> CorruptLogError:
    """
    Make the exception that names the last whole commit as the way out.
    """
    damage = error.damage
    what = str(error) if damage is None else str(damage)
    empty = ", which leaves nothing" if last == 0 else ""
    again = CorruptLogError(
        f"{place.name!r}: {what}, in front of what was durable; nothing was changed: "
        "bring the file back from a copy, or keep the commits before the damage, and "
        f"give up what is behind, with recover={last}{empty}",
        status=error.status,
    )
    again.damage = damage
    return again


@contextmanager
def of_log(place: Place) -> Iterator[None]:
    """
    Turn what a device says of a damaged file into a log's error: a device speaks of
    stores, which may do without a file.
    """
    try:
        yield
    except CorruptLogError as error:
        refuse_old_slots(place, error)
        raise
    except CorruptionError as error:
        what = str(error).partition(";")[0]
        raise CorruptLogError(
            f"{place.name!r}: {what}; nothing was changed: bring the file back from a "
            "copy",
            status=error.status,
        ) from error


__all__ = ["damaged", "last_before", "of_log", "refuse_old_slots", "until_damage"]
