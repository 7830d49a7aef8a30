# SPDX-License-Identifier: MIT
"""
Choosing what a store is recovered from, before anything is opened for it.

The newest checkpoint that is whole serves. A damaged one is passed over, and the plan
says so; one that is whole but belongs to another format, layout or codec is refused,
for to pass it over would give an older state without being asked. When there are
checkpoints and none can be used that is an error, never an empty store. One that was
left behind serves only who asks for it: its copy of the index does not, so that each
record of the log is compared with the life that wrote it.
"""

from __future__ import annotations

import errno
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pyfaster.checkpoints import Generation, PassedOver, RecoveryPlan, Skip
from pyfaster.errors import CorruptCheckpointError, DeviceError, FasterError
from pyfaster_checkpoint._catalog import Catalog, Entry
from pyfaster_checkpoint._manifest import INDEX, MANIFEST, Manifest
from pyfaster_checkpoint._parse import LAYOUT, is_token
from pyfaster_checkpoint._problems import damaged, not_found, reported, unsupported

LATEST = "latest"

_RANDOM_BITS = 32


@dataclass(frozen=True, slots=True)
class Source:
    """
    What a plan stands on.

    Attributes:
        chain: The checkpoint, behind those that it is based on.

        index: The checkpoint whose copy of the index serves, or None.

        passed_over: Newer ones that cannot be used, and copies of the index.
    """

    chain: tuple[Manifest, ...]
    index: Manifest | None
    passed_over: tuple[PassedOver, ...]

    @property
    def manifest(self) -> Manifest:
        """
        The checkpoint itself.
        """
        return self.chain[-1]


def index_key(token: str) -> str:
    """
    What stands for a checkpoint's copy of the index where damaged ones are listed.
    """
    return f"{token}/{INDEX}"


def choose(
    catalog: Catalog,
    recover: str,
    layout: Mapping[str, object],
    exclude: Mapping[str, str],
) -> Source | None:
    """
    Choose a checkpoint.

    Args:
        catalog: All that there are.

        recover: "latest", or a token.

        layout: What the store is to be opened with.

        exclude: Those that turned out to be damaged, with the reason.

    Returns:
        The choice; None when there is no checkpoint at all.

    Raises:
        CorruptCheckpointError, UnsupportedFormatError, CheckpointNotFoundError,
            DeviceError: As `CheckpointKeeper.plan` says.
    """
    if recover != LATEST:
        return _choose_one(catalog, recover, layout, exclude)
    passed: list[PassedOver] = []
    for entry in catalog.entries:
        if entry.manifest is not None and not entry.manifest.has_state:
            continue
        if entry.left is not None:
            reason = exclude.get(entry.token) or str(entry.error or entry.left_text)
            passed.append(PassedOver(entry.token, reason))
            continue
        try:
            _check_log(catalog, entry)
            return _source(catalog, entry, layout, exclude, tuple(passed))
        except CorruptCheckpointError as error:
            passed.append(PassedOver(entry.token, str(error)))
    if not passed:
        return None
    raise _none_usable(passed)


def _none_usable(passed: list[PassedOver]) -> CorruptCheckpointError:
    newest = passed[0]
    text = f"none of {len(passed)} checkpoints can be used, and nothing was changed"
    return reported(newest.token, f"{text}; the newest: {newest.reason}")


def _choose_one(
    catalog: Catalog,
    token: str,
    layout: Mapping[str, object],
    exclude: Mapping[str, str],
) -> Source:
    entry = catalog.get(token) if is_token(token) else None
    if entry is None:
        raise not_found(token)
    if entry.manifest is not None and not entry.manifest.has_state:
        raise unsupported(
            token, "it holds a copy of the index and no state", "choose another one"
        )
    _check_log(catalog, entry)
    return _source(catalog, entry, layout, exclude, ())


def _check_log(catalog: Catalog, entry: Entry) -> None:
    """
    Refuse a checkpoint whose log a later life has written over.
    """
    one = entry.manifest
    for newer in catalog.entries if one is not None else ():
        other = newer.manifest
        if other is None or one is None or other.store_id != one.store_id:
            continue
        if newer.left is not None:
            continue
        if not same_log(one, other.generations):
            text = f"the store went on from another one, as {other.token} shows"
            raise damaged(one.token, "", text)
        return  # the newest one knows


def _source(
    catalog: Catalog,
    entry: Entry,
    layout: Mapping[str, object],
    exclude: Mapping[str, str],
    passed: tuple[PassedOver, ...],
) -> Source:
    """
    Check one checkpoint with all that it needs.
    """
    token = entry.token
    if entry.error is not None:
        if isinstance(entry.error, DeviceError) and entry.error.errno == errno.EIO:
            raise reported(token, str(entry.error))
        raise entry.error
    if token in exclude:
        raise reported(token, exclude[token])
    chain = catalog.chain(token)
    for member in chain[:-1]:
        if member.token in exclude:
            reason = exclude[member.token]
            raise reported(token, f"checkpoint {token} needs another one: {reason}")
    check_layout(chain[-1], layout)
    index, more = _index(catalog, chain[-1], exclude, entry)
    return Source(chain, index, passed + more)


def _index(
    catalog: Catalog, manifest: Manifest, exclude: Mapping[str, str], entry: Entry
) -> tuple[Manifest | None, tuple[PassedOver, ...]]:
    """
    Find the copy of the index; without it the log is replayed from its beginning.
    """
    token = manifest.index
    if token is None:
        return None, ()
    if entry.left is not None:
        return None, (PassedOver(index_key(token), entry.left_text),)
    if index_key(token) in exclude:
        return None, (PassedOver(index_key(token), exclude[index_key(token)]),)
    try:
        index = catalog.need_index(token, manifest.token)
    except FasterError as error:
        return None, (PassedOver(index_key(token), str(error)),)
    at = index.addresses
    fits = (
        index.index == token
        and index.store_id == manifest.store_id
        and at.index_start <= manifest.addresses.final
    )
    if not fits:
        text = f"its {INDEX} is not that of {manifest.token}"
        return None, (PassedOver(index_key(token), text),)
    return index, ()


def check_layout(manifest: Manifest, layout: Mapping[str, object]) -> None:
    """
    Compare what a checkpoint was taken with to what a store is to be opened with.

    Raises:
        UnsupportedFormatError: They differ; the message has both.
    """
    differ = []
    for name in LAYOUT:
        given, found = layout.get(name), manifest.layout[name]
        if name not in layout or (name == "page_size" and given is None):
            continue
        if given != found:
            differ.append(f"{name} is {found!r} there and {given!r} here")
    if differ:
        raise unsupported(
            manifest.token, "; ".join(differ), "open it with what it was taken with"
        )


def make_plan(source: Source, catalog: Catalog) -> RecoveryPlan:
    """
    Say how the store is to be opened for a choice.
    """
    one = source.manifest
    at = one.addresses
    page_size = one.layout["page_size"]
    assert isinstance(page_size, int)
    return RecoveryPlan(
        token=one.token,
        kind=one.kind,
        version=one.version,
        store_id=one.store_id,
        generations=_generations(one, catalog),
        skips=_skips(one),
        log_start=at.log_until & ~(page_size - 1),
        log_until=at.log_until,
        layout=one.layout,
        segment_size=one.segment_size,
        sessions=dict(one.sessions),
        next_session_id=one.next_session_id,
        passed_over=source.passed_over,
    )


def _generations(one: Manifest, catalog: Catalog) -> tuple[Generation, ...]:
    """
    Append this new life: its number was never used, also by a life that left no trace.
    """
    until = one.addresses.log_until
    known = [number for each in _manifests(catalog) for _, number in each.generations]
    counter = (max(known) >> _RANDOM_BITS) + 1
    if counter >> (64 - _RANDOM_BITS):
        raise damaged(one.token, MANIFEST, "its generations have come to their end")
    number = counter << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    kept = tuple(pair for pair in one.generations if pair[0] < until)
    return (*kept, (until, number))


def _manifests(catalog: Catalog) -> list[Manifest]:
    return [each.manifest for each in catalog.entries if each.manifest is not None]


def _skips(one: Manifest) -> tuple[Skip, ...]:
    """
    Append what this recovery leaves in the log: records newer than the checkpoint.
    """
    at = one.addresses
    kept = tuple(skip for skip in one.skips if skip[1] > at.begin)
    if at.fuzzy_start == at.final:
        return kept
    return (*kept, (at.fuzzy_start, at.final, one.version + 1))


def same_log(manifest: Manifest, generations: Collection[Generation]) -> bool:
    """
    Whether the log below a checkpoint's `log_until` is that of these generations: it
    is not any more when a store went on from an older checkpoint and wrote over it.
    """
    until = manifest.addresses.log_until
    own = [pair for pair in manifest.generations if pair[0] < until]
    return own == [pair for pair in generations if pair[0] < until]


__all__ = [
    "LATEST",
    "Source",
    "check_layout",
    "choose",
    "index_key",
    "make_plan",
    "same_log",
]
