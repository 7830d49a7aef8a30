# SPDX-License-Identifier: MIT
"""
The store with one step left out or done in the wrong order, each of which must be seen.

Nothing of the store is changed on disk. What a mutant leaves out is left out between
the store and its files or its device, or by a method that is replaced while it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crash.events import Event, Recorder
from crash.files import SimFiles
from crash.image import Image
from crash.oracle import Plan, Points
from crash.real import RealStore, RealSubject
from crash.subject import Log
from pyfaster.testing import Rule

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from pyfaster.checkpoints import FileReader, FileWriter

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Mutant:
    """
    One way to be wrong.

    Attributes:
        means: What is wrong.

        workload: One that shows it.

        lies: What the device does not do, and says it did.

        sector: What a cut off write may leave as garbage; 512 unless told.

        states: How many show it,

        seed: with this seed or one soon after it.
    """

    means: str
    workload: str
    lies: tuple[Rule, ...] = ()
    sector: int = 512
    states: int = 500
    seed: int = 1


MUTANTS = {
    "no barrier": Mutant(
        "the log's device is not synced before the manifest is published",
        "fold-over",
        lies=(Rule("drop", "sync", times=None),),
    ),
    "no file sync": Mutant("the files of a checkpoint are not synced", "snapshot"),
    "early ack": Mutant("what is not flushed is acknowledged", "snapshot"),
    "manifest first": Mutant(
        "the manifest is published before what it names is written", "snapshot"
    ),
    "no directory sync": Mutant(
        "the names in a checkpoint's directory are not synced", "snapshot"
    ),
    "no root sync": Mutant("the directory's own name is not synced", "snapshot"),
    "delete first": Mutant(
        "older checkpoints go before the new one is published", "snapshot"
    ),
    "same generation": Mutant(
        "a new life writes with the checksums of the one before",
        "lying",
        states=600,
        seed=13,
    ),
    "no padding": Mutant(
        "less is padded than a cut off write may damage", "fold-over", sector=4096
    ),
    "short write": Mutant(
        "half a write passes for a whole one",
        "fold-over",
        lies=(Rule("tear", "write", nth=2, mask=0x5555555555555555),),
    ),
    "gap": Mutant(
        "a write that was not done counts as flushed, with what follows it",
        "evicted",
        lies=(Rule("drop", "write", nth=9),),
    ),
    "early serials": Mutant(
        "commit points are of updates that the flush has not seen", "while writing"
    ),
}


class BrokenFiles:
    """
    Files with something left out.

    Args:
        files: Those behind.

        mutant: A name.
    """

    def __init__(self, files: SimFiles, mutant: str) -> None:
        self.files, self.mutant = files, mutant
        self._late: list[LateWriter] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.files, name)

    def make(self, token: str, /) -> None:
        """
        Make a place.
        """
        if self.mutant == "delete first":
            for old in self.files.tokens():
                for name in self.files.names(old):
                    self.files.remove(old, name)
                self.files.sync(old)
                self.files.remove_token(old)
            self.files.sync_root()
        if self.mutant == "no root sync":
            self.files.make_unsynced(token)
        else:
            self.files.make(token)

    def sync_root(self) -> None:
        """
        Sync the root, or not.
        """
        if self.mutant != "no root sync":
            self.files.sync_root()

    def sync(self, token: str, /) -> None:
        """
        Sync a place, or not.
        """
        if self.mutant != "no directory sync":
            self.files.sync(token)

    def create(self, token: str, name: str, /) -> FileWriter:
        """
        Begin a file, perhaps one that is written late.
        """
        if self.mutant == "manifest first" and not name.startswith("manifest"):
            late = LateWriter(self.files, token, name)
            self._late.append(late)
            return late
        writer = self.files.create(token, name)
        if self.mutant == "no file sync":
            writer.sync = lambda: None  # type: ignore[method-assign]  # left out
        return writer

    def open(self, token: str, name: str, /) -> FileReader:
        """
        Open a file, also one that is not written yet.
        """
        for late in self._late:
            if (late.token, late.name) == (token, name):
                return late
        return self.files.open(token, name)

    def rename(self, token: str, old: str, new: str, /) -> None:
        """
        Give a file its name; then write what is late.
        """
        self.files.rename(token, old, new)
        if self._late:
            self.files.sync(token)
        for late in self._late:
            writer = self.files.create(token, late.name)
            writer.write(late.data)
            writer.sync()
        self._late.clear()


class LateWriter:
    """
    A file that is written once its manifest has its name.
    """

    def __init__(self, files: SimFiles, token: str, name: str) -> None:
        self.token, self.name = token, name
        self.data = bytearray()

    @property
    def size(self) -> int:
        """
        What its length will be.
        """
        return len(self.data)

    def write(self, data: Buffer, /) -> None:
        """
        Keep it.
        """
        self.data += data

    def sync(self) -> None:
        """
        Do nothing.
        """

    def close(self) -> None:
        """
        Do nothing.
        """

    def abandon(self) -> None:
        """
        Do nothing.
        """

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        """
        Give what is kept.
        """
        part = self.data[offset : offset + buffer.nbytes]
        buffer[: len(part)] = part
        return len(part)


@contextmanager
def replaced(owner: Any, name: str, new: object) -> Iterator[None]:
    """
    Replace an attribute for a while.
    """
    old = getattr(owner, name)
    setattr(owner, name, new)
    try:
        yield
    finally:
        setattr(owner, name, old)


class BrokenStore(RealStore):
    """
    A store that promises too early, or too much.
    """

    mutant = ""
    recorder: Recorder

    def checkpoint(self, kind: str, step: Callable[[], None] | None = None) -> Points:
        """
        Take a checkpoint.
        """
        if self.mutant == "early ack":
            points = {str(one.name): int(one.serial) for one in self.sessions}
            self.recorder.add(Event("ack", points=points))
        if self.mutant != "early serials":
            return super().checkpoint(kind, step)
        from pyfaster._checkpoint import CoreCheckpoint

        taken = CoreCheckpoint.points

        def points_of(engine: Any) -> Mapping[str, tuple[int, int]]:
            now = {one.name: int(one.serial) for one in self.sessions}
            return {
                name: (number, now.get(name, serial))
                for name, (number, serial) in taken(engine).items()
            }

        with replaced(CoreCheckpoint, "points", points_of):
            return super().checkpoint(kind, step)


class BrokenSubject(RealSubject):
    """
    The store with a mutant.

    Args:
        mutant: A name.

        settings: Win over the simulator's.
    """

    def __init__(self, mutant: str, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(settings)
        self.mutant = mutant

    def tuned(self, settings: Mapping[str, Any]) -> BrokenSubject:
        """
        Give one whose stores have these settings, too.
        """
        return BrokenSubject(self.mutant, {**self.settings, **settings})

    def log(self, image: Image, recorder: Recorder, **wishes: Any) -> Log:
        """
        A device that lies as the mutant says. A recovery's does not.
        """
        lies = MUTANTS[self.mutant].lies
        if lies and "rules" in wishes:
            wishes["lies"] = lies
        return super().log(image, recorder, **wishes)

    def start(self, log: Any, files: SimFiles, plan: Plan) -> BrokenStore:
        """
        Open a store.
        """
        broken: Any = BrokenFiles(files, self.mutant)
        if self.mutant != "same generation":
            store = self.made(BrokenStore, log, broken, plan)
        else:
            from pyfaster_checkpoint import _plan

            new = _plan._generations

            def same(one: Any, catalog: Any) -> Any:
                *kept, (start, _) = new(one, catalog)
                return (*kept, (start, kept[-1][1]))

            with replaced(_plan, "_generations", same):
                store = self.made(BrokenStore, log, broken, plan)
        store.mutant, store.recorder = self.mutant, files.recorder
        return store


__all__ = ["MUTANTS", "BrokenSubject", "Mutant"]
