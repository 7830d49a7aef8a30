# SPDX-License-Identifier: MIT
"""What others do with checkpoints between two steps of somebody who looks at them."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import Any

import pytest
from keeper_kit import filled, make, take
from memory_files import MemoryFiles

from pyfaster.checkpoints import CheckpointSettings
from pyfaster.errors import CheckpointNotFoundError
from pyfaster_checkpoint import Keeper


class Watched(MemoryFiles):
    """Files that call something once, behind a look at names."""

    def __init__(self) -> None:
        super().__init__()
        self.listed: Callable[[], None] | None = None
        self.read: tuple[str, Callable[[], None]] | None = None

    def tokens(self) -> list[str]:
        """The places, of before the call."""
        found = super().tokens()
        call, self.listed = self.listed, None
        if call is not None:
            call()
        return found

    def names(self, token: str, /) -> list[str]:
        """The files of a place, behind the call."""
        if self.read is not None and self.read[0] == token:
            call, self.read = self.read[1], None
            call()
        return super().names(token)


@pytest.mark.parametrize("count", [2, 3])
def test_a_listing_while_others_are_taken(count: int) -> None:
    """Checkpoints that replace all of those that were listed are found."""
    files = Watched()
    keeper, _ = make(files, keep=2)
    store = filled()
    for _ in range(2):
        take(keeper, store, "snapshot")

    def more() -> None:
        for _ in range(count):
            take(keeper, store, "fold-over")

    files.listed = more
    found = keeper.checkpoints()
    assert [one.damage for one in found] == ["", ""]


def test_a_chain_that_goes_while_it_is_listed() -> None:
    """What goes with its base meanwhile is no damage."""
    files = Watched()
    keeper, _ = make(files, keep=2)
    store = filled()
    base, _ = take(keeper, store, "snapshot")
    take(keeper, store, "incremental")

    def others() -> None:
        for _ in range(2):
            take(keeper, store, "fold-over")

    files.read = base.token, others
    assert [one.damage for one in keeper.checkpoints()] == ["", ""]


def test_one_that_is_going_while_it_is_listed() -> None:
    """A checkpoint that replaces one which has lost its manifest is found, though the
    other's place is still there."""
    files = Watched()
    keeper, _ = make(files, keep=1)
    store = filled()
    take(keeper, store, "snapshot")

    def slowly(event: tuple[str, ...]) -> None:
        if event[0] == "remove" and event[-1] != "manifest.json":
            raise PermissionError(errno.EPERM, "not yet")

    def other() -> None:
        files.fail = slowly
        take(keeper, store, "snapshot")

    files.listed = other
    assert [one.damage for one in keeper.checkpoints()] == [""]
    assert len(files.tokens()) == 2


def test_one_that_goes_while_it_is_validated() -> None:
    """A checkpoint that is replaced meanwhile is not there, and not damaged."""
    files = Watched()
    keeper, _ = make(files, keep=1)
    store = filled()
    old, _ = take(keeper, store, "snapshot")
    opened = files.open

    def late(token: str, name: str, /) -> Any:
        if name != "manifest.json":
            files.open = opened  # type: ignore[method-assign]
            take(keeper, store, "fold-over")
        return opened(token, name)

    files.open = late  # type: ignore[method-assign]
    with pytest.raises(CheckpointNotFoundError):
        keeper.validate(old.token, deep=True)


def test_who_is_told_of_a_failed_removal_may_look() -> None:
    """Whoever hears that something could not be removed may ask for what is left."""
    seen: list[object] = []
    go_on = threading.Event()

    def announce(event: object) -> None:
        try:
            seen.append(len(keeper.checkpoints()))
        except Exception as error:  # noqa: BLE001 - looked at below
            seen.append(error)

    def fail(event: tuple[str, ...]) -> None:
        if event[0] == "remove":
            go_on.wait()
            raise PermissionError(errno.EPERM, "not allowed")

    files = MemoryFiles()
    settings = CheckpointSettings("test", keep=1, announce=announce)
    keeper = Keeper(files, settings, behind=True)
    store = filled()
    take(keeper, store, "snapshot")
    assert keeper._wait_removed()
    files.fail = fail
    take(keeper, store, "snapshot")
    go_on.set()
    assert keeper._wait_removed()
    assert seen
    assert not [one for one in seen if isinstance(one, Exception)]
