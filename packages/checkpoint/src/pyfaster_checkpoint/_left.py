# SPDX-License-Identifier: MIT
"""
Checkpoints that a store has left behind by going back to an older one.

Whoever goes on from an older checkpoint writes over the log that newer ones stand on,
long before a checkpoint of its own could show that. So each newer one gets a small file
first, which says where the store went, and it has to survive a power cut before the
store may write. Nothing is marked before the log that is needed was found whole, and
nothing is when a checkpoint is only looked at.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from pyfaster.checkpoints import CheckpointFiles, RecoveryEngine
from pyfaster.errors import DeviceError, FasterError
from pyfaster_checkpoint._catalog import Catalog, Entry, read_catalog
from pyfaster_checkpoint._files import LEFT
from pyfaster_checkpoint._manifest import Manifest

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Marking:
    """
    An engine that is recovered, which has something done before it may write.

    Args:
        engine: The engine.

        first: Is called once, before the first page, or before the end if there is no
            page. Until then the engine has only read.
    """

    def __init__(self, engine: RecoveryEngine, first: Callable[[], None]) -> None:
        self._engine = engine
        self._first: Callable[[], None] | None = first
        self.page_size = engine.page_size
        self.store_id = engine.store_id
        self.begin = engine.begin
        self.index = engine.index
        self.log = engine.log
        self.damage = engine.damage
        self.next_block = engine.next_block
        self.image_apply = engine.image_apply

    def _once(self) -> None:
        first, self._first = self._first, None
        if first is not None:
            first()

    def pages(self, address: int, data: Buffer, /) -> None:
        """
        Take the log's next bytes.
        """
        self._once()
        self._engine.pages(address, data)

    def finish(self) -> None:
        """
        Make the store usable.
        """
        self._once()
        self._engine.finish()


def leave_behind(files: CheckpointFiles, one: Manifest) -> None:
    """
    Mark what is newer than a checkpoint that a store goes on from, for good.

    Args:
        files: Where the checkpoints are.

        one: The checkpoint; it is left behind no longer if it was.

    Raises:
        DeviceError: The system refused; what was marked here is marked no longer.
    """
    made: list[str] = []
    try:
        catalog = read_catalog(files)
        entry = catalog.get(one.token)
        if entry is not None and entry.left is not None:
            files.remove(one.token, LEFT)
            files.sync(one.token)
        for token in _newer(catalog, one):
            _mark(files, token, one.token, made)
    except BaseException as error:
        _unmark(files, made)
        if isinstance(error, FasterError) or not isinstance(error, OSError):
            raise
        raise _refused(one.token, error) from error


def _newer(catalog: Catalog, one: Manifest) -> list[str]:
    """
    Give what is newer, the oldest first: so the newest is chosen until all are marked.

    A place without a manifest counts, too: its manifest may come back, after a power
    cut that undid its removal, or from somewhere else.
    """
    found = [each.token for each in catalog.entries if _stands_on(each, one)]
    found += catalog.unfinished
    return sorted(token for token in found if token > one.token)


def _stands_on(entry: Entry, one: Manifest) -> bool:
    """
    Whether a checkpoint may stand on the log that is written over.
    """
    other = entry.manifest
    if other is None:
        return True
    return other.has_state and other.store_id == one.store_id


def _mark(files: CheckpointFiles, token: str, to: str, made: list[str]) -> None:
    if LEFT not in files.names(token):
        made.append(token)
        writer = files.create(token, LEFT)
        try:
            writer.write(f"{to}\n".encode("ascii"))
            writer.sync()
        except BaseException:
            writer.abandon()
            raise
        writer.close()
    files.sync(token)  # also for one whose name perhaps never was: that life ended


def _unmark(files: CheckpointFiles, made: list[str]) -> None:
    for token in made:
        with suppress(Exception):
            files.remove(token, LEFT)
            files.sync(token)


def _refused(token: str, error: OSError) -> DeviceError:
    return DeviceError(
        error.errno or errno.EIO,
        f"checkpoint {token}: newer ones could not be marked as left behind "
        f"({error.strerror or error}), so the store does not go back to it; make room, "
        "see who may write there, or only look at it with read_only=True",
    )


__all__ = ["Marking", "leave_behind"]
