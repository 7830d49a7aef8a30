# SPDX-License-Identifier: MIT
"""
Which checkpoints may go, and how they go.

Kept are the newest good ones, those that are young or pinned, whatever the store that
is open stands on, and all that any of these needs: the whole chain of an incremental
one, and the copy of the index that serves it. A damaged one stays while it is newer
than some that are kept, since somebody may want to look at it; one of another format or
store stays always. One that was left behind does not count as a good one. Nothing is
decided here when a store is opened.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pyfaster.checkpoints import CheckpointFiles
from pyfaster.errors import CorruptCheckpointError
from pyfaster_checkpoint._catalog import Catalog, Entry
from pyfaster_checkpoint._manifest import (
    MANIFEST,
    MANIFEST_NEW,
    Manifest,
    sequence_of,
)
from pyfaster_checkpoint._plan import same_log


def removable(
    catalog: Catalog,
    *,
    keep: int,
    keep_for: float | None,
    now: float,
    protect: Collection[str] = (),
) -> list[str]:
    """
    Give the checkpoints that may go, the newest first: none before those that need it.

    Args:
        catalog: All that there are.

        keep: How many good ones stay, at least 1.

        keep_for: Seconds for which one stays; None: no matter how old it is.

        now: Seconds since 1970.

        protect: Those that the open store stands on.
    """
    good = _good(catalog)
    if not good:
        return []
    newest = good[: max(keep, 1)]
    kept = {each.token for each in newest}
    kept.update(entry.token for entry in catalog.entries if entry.pinned)
    kept.update(protect)
    if keep_for is not None:
        kept.update(each.token for each in good if each.created >= now - keep_for)
    needed = _closure(catalog, kept)
    oldest = min(each.sequence for each in newest)
    return [
        entry.token
        for entry in catalog.entries
        if entry.token not in needed and _may_go(entry, oldest)
    ]


def _good(catalog: Catalog) -> list[Manifest]:
    """
    Give those that a store could be recovered from, the newest first.
    """
    found: list[Manifest] = []
    for one in catalog.sound():
        if not one.has_state or not _has_chain(catalog, one):
            continue
        if not found or same_log(one, found[0].generations):
            found.append(one)
    return found


def _has_chain(catalog: Catalog, one: Manifest) -> bool:
    try:
        catalog.chain(one.token)
    except CorruptCheckpointError:
        return False
    return True


def _closure(catalog: Catalog, tokens: Collection[str]) -> set[str]:
    """
    Add all that these need, as far as their manifests can be read.
    """
    found: set[str] = set()
    left = list(tokens)
    while left:
        token = left.pop()
        if token in found:
            continue
        found.add(token)
        entry = catalog.get(token)
        if entry is not None and entry.manifest is not None:
            needs = (entry.manifest.parent, entry.manifest.index)
            left += [each for each in needs if each is not None]
    return found


def _may_go(entry: Entry, oldest: int) -> bool:
    """
    Whether one that nothing needs may go: damage is kept as long as it is news.
    """
    if entry.error is None:
        return True
    damaged = isinstance(entry.error, CorruptCheckpointError)
    return damaged and sequence_of(entry.token) < oldest


def discard(files: CheckpointFiles, token: str) -> None:
    """
    Remove a checkpoint, or what is left of one.

    Its manifest goes first, and has gone for good before the files that it names do:
    whenever this is interrupted, there is a whole checkpoint or none.

    Raises:
        OSError: The system refused; what is left can be discarded again.
    """
    names = files.names(token)
    for name in (MANIFEST, MANIFEST_NEW):
        if name in names:
            files.remove(token, name)
    files.sync(token)
    for name in names:
        files.remove(token, name)
    files.remove_token(token)


def discard_all(
    files: CheckpointFiles, tokens: Collection[str]
) -> Iterator[tuple[str, Exception | None]]:
    """
    Remove several; give each with what kept it from going, or None.
    """
    gone = False
    for token in tokens:
        try:
            discard(files, token)
        except Exception as error:  # noqa: BLE001 - cleaning up fails nothing else
            yield token, error
        else:
            gone = True
            yield token, None
    if gone:
        try:
            files.sync_root()
        except Exception as error:  # noqa: BLE001 - likewise: names may come back
            yield "", error


__all__ = ["discard", "discard_all", "removable"]
