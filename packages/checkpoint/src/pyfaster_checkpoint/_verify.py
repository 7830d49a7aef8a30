# SPDX-License-Identifier: MIT
"""
Looking through a store's directory: log, copies of the index and checkpoints agree.

Nothing is changed and no lock is taken, so it may be done while the store is open in
another process: what a checkpoint stands on does not change, and a checkpoint that goes
meanwhile is noticed. Keys are bytes and values are not looked into, so no codec is
needed. Damage of any kind is a finding, never an exception.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pyfaster.checkpoints import CheckpointFiles
from pyfaster.errors import FasterError
from pyfaster_checkpoint._agree import IndexCopy
from pyfaster_checkpoint._blocks import Damage
from pyfaster_checkpoint._catalog import Catalog, Entry, foreign, read_catalog
from pyfaster_checkpoint._findings import StoreReport
from pyfaster_checkpoint._held import HeldFiles
from pyfaster_checkpoint._image import Image
from pyfaster_checkpoint._manifest import FILES, INDEX, MANIFEST, Manifest
from pyfaster_checkpoint._parse import is_token
from pyfaster_checkpoint._plan import same_log
from pyfaster_checkpoint._records import HASHES, Seeds, Shape, Walk
from pyfaster_checkpoint._segments import LOG, SEGMENT_MIN, LogFiles
from pyfaster_checkpoint._validate import validate

CHECKPOINTS = "checkpoints"
LOCK = "store.lock"

#: How often it is begun anew when checkpoints go while they are looked at.
_ATTEMPTS = 4

#: How much of the log is read at once, at least.
_PIECE = 1 << 20

#: Files without which a checkpoint cannot be recovered, but for its manifest.
_STATES = tuple(name for name in FILES if name != INDEX)

#: Is told what is being done, how much of it is, and how much there will be.
Notice = Callable[[str, int, int], None]


def _silent(what: str, done: int, total: int) -> None:
    """
    Tell nobody.
    """


def is_store(directory: Path) -> bool:
    """
    Whether something of a store is in a directory.
    """
    names = (CHECKPOINTS, LOG, LOCK)
    found = any(os.path.lexists(directory / name) for name in names)
    return found or bool(_tokens(directory))


def place_of(directory: Path) -> Path:
    """
    Give where a store's checkpoints are: a folder of its directory, or that itself,
    where the log is on a device of another kind.
    """
    place = directory / CHECKPOINTS
    return place if os.path.lexists(place) or not _tokens(directory) else directory


def _tokens(place: Path) -> set[str]:
    try:
        return {path.name for path in place.iterdir() if is_token(path.name)}
    except OSError:
        return set()


def verify(directory: Path, notice: Notice = _silent) -> StoreReport:
    """
    Look through all of a store's directory.

    Args:
        directory: Which one.

        notice: Is told how far it is.

    Returns:
        What was found; of the last attempt, when checkpoints went meanwhile.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        report = StoreReport(str(directory))
        before = _tokens(place_of(directory))
        look = _Verify(directory, report, notice)
        look.run()
        gone = before - _tokens(place_of(directory))
        look.forget(gone)
        if not report.findings or not gone:
            break
        if attempt == _ATTEMPTS:
            report.note("checkpoints went while they were looked at; ask again")
    return report


@dataclass(frozen=True, slots=True)
class _Usable:
    """
    A checkpoint that can be recovered from, as far as it alone shows.
    """

    chain: tuple[Manifest, ...]
    copy: IndexCopy | None

    @property
    def one(self) -> Manifest:
        return self.chain[-1]

    @property
    def page(self) -> int:
        """
        Where the page begins that its `log_until` is in.
        """
        size = self.one.layout["page_size"]
        assert isinstance(size, int)
        return self.one.addresses.log_until & -size


class _Verify:
    """
    One look through a directory.
    """

    def __init__(self, directory: Path, report: StoreReport, notice: Notice) -> None:
        self._directory = directory
        self._place = place_of(directory)
        self._prefix = "" if self._place == directory else f"{CHECKPOINTS}/"
        self._report = report
        self._notice = notice
        self._stack = ExitStack()
        self._damaged: set[str] = set()

    def run(self) -> None:
        """
        Do it.
        """
        with self._stack:
            files, catalog = self._catalog()
            log = LogFiles(self._directory, self._report)
            self._stack.callback(log.close)
            newest = next((one for one in catalog.sound() if one.has_state), None)
            if files is None:
                return
            self._validate_all(files, catalog, newest)
            if newest is None:
                if catalog.entries:
                    text = "no checkpoint is whole and holds state"
                    self._report.note(f"{text}, so the log was not looked through")
                return
            size = newest.segment_size
            if size < SEGMENT_MIN or size & (size - 1):
                text = f"segment_size is {size:,}, not a power of two"
                self._say(newest.token, MANIFEST, text)
                return
            log.check(newest.store_id, size)
            usable = self._usable(files, catalog)
            if (
                usable
                and not self._prefix
                and not os.path.lexists(self._directory / LOG)
            ):
                self._report.note("the log is not here, and was not looked through")
            elif usable:
                self._compare(files, log, usable)

    def _catalog(self) -> tuple[CheckpointFiles | None, Catalog]:
        """
        Read all manifests.
        """
        try:
            files = HeldFiles(self._place)
            self._stack.callback(files.close)
            catalog = read_catalog(files)
            for name in files.strangers():
                self._report.note(f"{self._prefix}{name} is not of a store's making")
        except (OSError, FasterError) as error:
            self._report.add(self._prefix.rstrip("/"), str(error))
            return None, Catalog()
        self._report.checkpoints = len(catalog.entries)
        for token in catalog.unfinished:
            text = f"{self._prefix}{token} is an unfinished checkpoint, and counts not"
            self._report.note(text)
        return files, catalog

    def forget(self, gone: set[str]) -> None:
        """
        Drop what was found in checkpoints that are not there any more.
        """
        places = tuple(f"{self._prefix}{token}" for token in gone)
        kept = [
            each for each in self._report.findings if not each.file.startswith(places)
        ]
        self._report.findings[:] = kept

    # --- the checkpoints alone ------------------------------------------------------

    def _validate_all(
        self, files: CheckpointFiles, catalog: Catalog, newest: Manifest | None
    ) -> None:
        for number, entry in enumerate(catalog.entries):
            self._notice("checkpoints", number, len(catalog.entries))
            one = entry.manifest
            if entry.error is not None:
                self._say_entry(entry)
            elif entry.left is not None:
                self._report.note(entry.left_text)
            if one is not None and newest is not None:
                self._check_store(one, newest)
            if one is None:
                continue
            found = validate(files, catalog, entry, deep=True)
            self._report.file_bytes += found.bytes_read
            for each in found.findings:
                if entry.error is None or each.file:
                    name = each.file or _named(each.what)
                    self._damaged.add(f"{entry.token}/{name}")
                    self._say(entry.token, name, each.what, each.offset)
        self._notice("checkpoints", len(catalog.entries), len(catalog.entries))

    def _check_store(self, one: Manifest, newest: Manifest) -> None:
        """
        All belong to one store; a copy of the index may be what a store has left that
        ended before its first checkpoint.
        """
        if one.store_id == newest.store_id:
            return
        self._damaged.add(one.token)
        text = str(foreign(one, newest.store_id))
        if one.has_state:
            self._say(one.token, MANIFEST, text)
        else:
            self._report.note(text)

    def _say_entry(self, entry: Entry) -> None:
        self._damaged.add(entry.token)
        text = str(entry.error)
        name = MANIFEST if entry.manifest is None else _named(text)
        self._say(entry.token, name, text)

    def _say(self, token: str, name: str, what: str, offset: int | None = None) -> None:
        self._report.add(f"{self._prefix}{token}/{name}".rstrip("/"), what, offset)

    def _is_damaged(self, one: Manifest, names: tuple[str, ...]) -> bool:
        found = any(f"{one.token}/{name}" in self._damaged for name in names)
        return found or one.token in self._damaged

    # --- what they have in common ---------------------------------------------------

    def _usable(self, files: CheckpointFiles, catalog: Catalog) -> list[_Usable]:
        """
        Give the checkpoints whose log can be looked through, the newest first.
        """
        found: list[_Usable] = []
        copies: set[str] = set()
        for one in catalog.sound():
            if not one.has_state:
                continue
            try:
                chain = catalog.chain(one.token)
            except FasterError:
                continue  # validation has said so
            if any(self._is_damaged(each, _STATES) for each in chain):
                continue
            if found and not same_log(one, found[0].one.generations):
                self._report.note(
                    f"checkpoint {one.token}: the store went on from another one, and "
                    "has written over its log; it cannot be used any more"
                )
                continue
            copy = self._copy(files, catalog, one, copies)
            found.append(_Usable(chain, copy))
        return found

    def _copy(
        self,
        files: CheckpointFiles,
        catalog: Catalog,
        one: Manifest,
        copies: set[str],
    ) -> IndexCopy | None:
        """
        Load the copy of the index that serves a checkpoint, once.
        """
        token = one.index
        if token is None or token in copies:
            return None
        copies.add(token)
        if one.layout["hash"] not in HASHES:
            self._report.note(
                f"the hash {one.layout['hash']!r} is not known here, so copies of the "
                "index were not compared with the log"
            )
            return None
        try:
            index = catalog.need_index(token, one.token)
            if self._is_damaged(index, (INDEX,)):
                return None
            copy = IndexCopy(index, one, self._prefix, self._report)
            copy.load(files)
        except (Damage, OSError, FasterError) as error:
            self._say(token, INDEX, str(error))
            return None
        return copy

    # --- the log --------------------------------------------------------------------

    def _compare(
        self, files: CheckpointFiles, log: LogFiles, usable: list[_Usable]
    ) -> None:
        """
        Walk over the log that the checkpoints share, then over the end of each.
        """
        newest = usable[0].one
        shape = Shape.of(newest.layout)
        if shape is None:
            text = f"the layout {newest.layout['layout']!r} is not known here"
            self._report.note(f"{text}, so the log was not looked through")
            return
        begin = min(each.one.addresses.begin for each in usable)
        until = max(each.page for each in usable)
        walk = self._walk(newest, shape, log, until, until, "", _visit(usable))
        self._shared(walk, log, shape, begin, until)
        self._report.records += walk.records
        for each in usable:
            self._end(files, log, each, shape)

    def _walk(
        self,
        one: Manifest,
        shape: Shape,
        log: LogFiles,
        until: int,
        logged: int,
        file: str,
        visit: Callable[[int, memoryview], None] | None,
    ) -> Walk:
        """
        Make a walk; damage below `logged` is in the log, behind it in a file.
        """
        at = one.addresses
        own = (
            ()
            if at.fuzzy_start == at.final
            else ((at.fuzzy_start, at.final, one.version + 1),)
        )

        def tell(address: int, what: str, expected: str, found: str) -> None:
            name, offset = log.place(address) if address < logged else (file, None)
            self._report.add(name, what, offset, expected=expected, found=found)

        return Walk(
            shape,
            Seeds(one.store_id, one.generations),
            (*one.skips, *own) if file else one.skips,
            until=until,
            summed_until=logged,
            tell=tell,
            visit=visit,
        )

    def _shared(
        self, walk: Walk, log: LogFiles, shape: Shape, begin: int, until: int
    ) -> None:
        size = shape.page_size
        step = max(_PIECE // size, 1) * size
        start = first = begin & -size
        buffer = memoryview(bytearray(min(step, max(until - first, 0))))
        while start < until:
            want = buffer[: min(step, until - start)]
            have = log.read(start, want)
            for at in range(0, len(want), size):
                if at + size <= have:
                    walk.page(want[at : at + size], start + at, begin)
                    self._report.log_bytes += size
            self._notice("log", start - first, until - first)
            start += step
            if have < len(want):
                start = log.next_after(start - step + have, until)
        self._notice("log", max(until - first, 0), max(until - first, 0))

    def _end(
        self, files: CheckpointFiles, log: LogFiles, each: _Usable, shape: Shape
    ) -> None:
        one, copy = each.one, each.copy
        at = one.addresses
        name = f"{self._prefix}{one.token}/snapshot.dat"
        visit = None if copy is None else copy.visit
        walk = self._walk(one, shape, log, at.final, at.log_until, name, visit)
        try:
            with Image(files, log, each.chain, shape) as image:
                start = each.page
                for page in image.tail(start):
                    walk.page(page[1], page[0], at.begin)
                    self._report.log_bytes += len(page[1])
                    self._notice("ends", page[0] - start, at.final - start)
                self._notice("ends", 1, 1)
                if copy is not None:
                    copy.finish(image.look)
        except (Damage, OSError, FasterError) as error:
            self._say(one.token, _named(str(error)), str(error))
        self._report.records += walk.records


def _visit(usable: list[_Usable]) -> Callable[[int, memoryview], None] | None:
    """
    Tell each copy of the index of the records in the log that its checkpoint has.
    """
    told = [(each.page, each.copy.visit) for each in usable if each.copy is not None]

    def visit(address: int, key: memoryview) -> None:
        for until, call in told:
            if address < until:
                call(address, key)

    return visit if told else None


def _named(text: str) -> str:
    """
    Give the file's name that a message has, if it has one.
    """
    return next((name for name in (*FILES, MANIFEST) if f"{name}:" in text), "")


__all__ = ["CHECKPOINTS", "LOCK", "Notice", "is_store", "place_of", "verify"]
