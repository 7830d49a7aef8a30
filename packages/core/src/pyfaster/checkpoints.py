# SPDX-License-Identifier: MIT
"""
The contracts of checkpoints: who keeps files, who takes and recovers, what is said.

Theory of operation: three parties meet here and know nothing else of each other. The
store's core is reached through a `CheckpointEngine` and a `RecoveryEngine`, which touch
no file but the log's device. A `CheckpointFiles` keeps named files in named places and
knows nothing of what is in them. A `CheckpointKeeper`, which a plugin makes through the
hook `pyfaster_checkpoint_provider`, moves bytes between the two, decides what is a
complete checkpoint, and what may go. A class in a plugin does not inherit from anything
here; it only has to fit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from pyfaster._checkpoint_engines import CheckpointEngine, RecoveryEngine
from pyfaster._checkpoint_files import CheckpointFiles, FileReader, FileWriter
from pyfaster._checkpoint_values import (
    KINDS,
    PARTS,
    PHASES,
    Block,
    CheckpointFacts,
    CheckpointInfo,
    CheckpointSettings,
    Finding,
    Generation,
    PassedOver,
    Point,
    Progress,
    RecoveryPlan,
    RecoveryReport,
    Skip,
    StoreFacts,
    ValidationReport,
)
from pyfaster._home import Directory
from pyfaster._sync import sync_descriptor

#: Is told how far something is; what it raises ends that.
ProgressCall = Callable[[Progress], None]


class Repeater(Protocol):
    """
    Something that is done again and again by a thread.
    """

    def stop(self, timeout: float, /) -> bool:
        """
        End it; what is being done is waited for so long. Whether it has ended.
        """
        ...


class CheckpointKeeper(Protocol):
    """
    The checkpoints of one store. Any thread may call any method.
    """

    def plan(
        self,
        recover: str,
        layout: Mapping[str, object],
        *,
        exclude: Collection[str] = (),
    ) -> RecoveryPlan | None:
        """
        Choose what to recover from; nothing is changed.

        Args:
            recover: "latest", or a token.

            layout: As in `StoreFacts`; a `page_size` of None is taken as it comes.

            exclude: Tokens that turned out to be damaged; newer than what is wanted.

        Returns:
            The plan; None when there is no checkpoint at all.

        Raises:
            CorruptCheckpointError: There are some, and none is usable; there had been
                some, and none is left; or the one that was asked for is not usable.

            UnsupportedFormatError: The newest is of another format, layout or codec.

            CheckpointNotFoundError: There is none with this token.
        """
        ...

    def recover(
        self,
        plan: RecoveryPlan,
        engine: RecoveryEngine,
        *,
        progress: ProgressCall | None = None,
    ) -> RecoveryReport:
        """
        Bring a store to what the plan's checkpoint holds. Before the engine may write
        over what newer ones stand on, they are marked as left behind, for good; where
        only reading is allowed nothing is.

        Raises:
            CorruptCheckpointError: It turned out to be damaged; `token` says which one.

            DeviceError: The log's device, or a file, could not be read.
        """
        ...

    def take(
        self,
        engine: CheckpointEngine,
        kind: str,
        *,
        cookie: bytes = b"",
        timeout: float | None = None,
        progress: ProgressCall | None = None,
    ) -> CheckpointInfo:
        """
        Take a checkpoint and publish it; then let older ones go, perhaps when this has
        returned.

        Args:
            engine: A new one.

            kind: One of `KINDS`, or "auto".

            cookie: Kept with it.

            timeout: How long it may take; that of the settings when None.

            progress: Is told how far it is.

        Raises:
            CheckpointFailedError: It could not be taken; the cause is chained.

            DeadlineError: It took too long; the message names the session that held
                it up.
        """
        ...

    def checkpoints(self) -> tuple[CheckpointInfo, ...]:
        """
        All that there are, the newest first; damaged ones say so.
        """
        ...

    def validate(self, token: str, /, *, deep: bool = False) -> ValidationReport:
        """
        Look through a checkpoint: its manifest and its files' lengths; every byte when
        `deep`.

        Raises:
            CheckpointNotFoundError: There is none with this token.
        """
        ...

    def prune(
        self, *, keep: int | None = None, keep_for: float | None = None
    ) -> tuple[str, ...]:
        """
        Let checkpoints go as the settings, or these figures, say; give their tokens.
        """
        ...

    def pin(self, token: str, /) -> None:
        """
        Keep a checkpoint until `unpin`, beyond this process.
        """
        ...

    def unpin(self, token: str, /) -> None:
        """
        The opposite; one that is not pinned is no error.
        """
        ...

    def every(
        self,
        seconds: float,
        call: Callable[[], object],
        failed: Callable[[Exception], None],
        /,
    ) -> Repeater:
        """
        Call something every so many seconds, in a thread of its own, until stopped.

        Args:
            seconds: Between the end of one call and the next.

            call: What is called.

            failed: Is told what it raised.
        """
        ...

    def go_by(self, *, keep: int, keep_for: float | None, timeout: float) -> None:
        """
        Go by other settings from now on; see `CheckpointSettings`.
        """
        ...

    def close(self) -> None:
        """
        End; the files are closed, too. A second call does nothing.
        """
        ...


@runtime_checkable
class CheckpointProvider(Protocol):
    """
    What the hook `pyfaster_checkpoint_provider` gives.
    """

    def files_at(
        self, directory: Path, /, *, read_only: bool = False
    ) -> CheckpointFiles:
        """
        Keep checkpoints in a directory of the file system.

        Args:
            directory: It is made when it is missing, its parent is not; with
                `read_only` nothing is made, and a missing one is empty.

            read_only: Whatever would change something is refused.
        """
        ...

    def keeper(
        self, files: CheckpointFiles, settings: CheckpointSettings, /
    ) -> CheckpointKeeper:
        """
        Keep the checkpoints of one store in such files.
        """
        ...


__all__ = [
    "KINDS",
    "PARTS",
    "PHASES",
    "Block",
    "CheckpointEngine",
    "CheckpointFacts",
    "CheckpointFiles",
    "CheckpointInfo",
    "CheckpointKeeper",
    "CheckpointProvider",
    "CheckpointSettings",
    "Directory",
    "FileReader",
    "FileWriter",
    "Finding",
    "Generation",
    "PassedOver",
    "Point",
    "Progress",
    "ProgressCall",
    "RecoveryEngine",
    "RecoveryPlan",
    "RecoveryReport",
    "Repeater",
    "Skip",
    "StoreFacts",
    "ValidationReport",
    "sync_descriptor",
]
