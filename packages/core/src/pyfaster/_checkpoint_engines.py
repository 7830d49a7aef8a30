# SPDX-License-Identifier: MIT
"""
The core's side of checkpoints: the verbs that a coordinator drives it by.

`pyfaster.checkpoints` gives these contracts to the world, `_checkpoint` meets them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from pyfaster._checkpoint_values import (
    Block,
    CheckpointFacts,
    Generation,
    Point,
    Skip,
    StoreFacts,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer


class CheckpointEngine(Protocol):
    """
    The core while a checkpoint is taken: used by one thread, for one checkpoint.

    The caller's loop: `begin`; `advance` until the phase is "wait-flush", and where it
    is "index-copy", `read` the part "index" to its end first. Then, of a snapshot, the
    part "pages"; of an incremental one "delta" and then "pages"; of a fold-over
    nothing. `advance` to "persist", publish, `end(True)`. For an index checkpoint
    "persist" follows "index-copy".

    Attributes:
        unit: What the device writes as one; `final` is a multiple of it.

        page_size: Bytes of a page.

        store: What the manifest says of the store.
    """

    @property
    def unit(self) -> int: ...
    @property
    def page_size(self) -> int: ...
    @property
    def store(self) -> StoreFacts: ...

    def begin(
        self,
        kind: str,
        *,
        with_index: bool,
        base_version: int = 0,
        base_final: int = 0,
        seed: int = 0,
    ) -> None:
        """
        Begin a checkpoint.

        Args:
            kind: One of `KINDS`.

            with_index: Whether the index is copied; always for "index".

            base_version: Of an incremental one: the version of its parent.

            base_final: Of an incremental one: `final` of its parent.

            seed: Of the checksums of its streams' blocks; 64 bits.

        Raises:
            CheckpointBusyError: One is under way.
        """
        ...

    def advance(self, timeout: float, /) -> str:
        """
        Go on by one step, and give the phase that was reached.

        Raises:
            DeadlineError: It did not end in time; the message names the session that
                holds the phase up. Nothing is lost: call again, or end.

            DeviceError: The log's device failed.
        """
        ...

    def facts(self) -> CheckpointFacts:
        """
        What is known so far.
        """
        ...

    def points(self) -> Mapping[str, Point]:
        """
        The named sessions, with their numbers and commit points; from "wait-flush" on.
        """
        ...

    def read(self, part: str, buffer: memoryview, /) -> int | None:
        """
        Fill a buffer with the next bytes of a stream: whole blocks.

        Args:
            part: "index", "pages" or "delta".

            buffer: Room for at least `read_room` bytes.

        Returns:
            How many bytes; 0 at the end; None when the stream begins anew, and what
            was read of it is void.
        """
        ...

    @property
    def read_room(self) -> int:
        """
        How large a buffer for `read` must be.
        """
        ...

    def end(self, published: bool, /) -> None:
        """
        Go back to rest; a second call does nothing.

        Args:
            published: Whether the checkpoint is complete. Commit points are told to
                those who wait for them only then.
        """
        ...


class RecoveryEngine(Protocol):
    """
    The core while it is recovered: a store that was opened for a `RecoveryPlan` and has
    no sessions yet.

    The caller's order: `begin`; `index` with all blocks of the stream; `log` for every
    range, by several threads at once if wanted; `pages` in order; `finish`.

    Attributes:
        page_size: Bytes of a page.

        store_id: Seeds the checksums of records.
    """

    @property
    def page_size(self) -> int: ...
    @property
    def store_id(self) -> int: ...

    def begin(
        self,
        *,
        version: int,
        begin: int,
        fuzzy_start: int,
        log_until: int,
        final: int,
        index_start: int = 0,
        index_bits: int = 0,
        table_bits: int = 0,
        entries_hint: int = 0,
        seed_index: int = 0,
        skips: Sequence[Skip] = (),
        generations: Sequence[Generation] = (),
    ) -> None:
        """
        Begin; the numbers are those of the manifest.

        Args:
            version: The checkpoint's.

            begin: Where the log begins.

            fuzzy_start: From here on records may be of the next version.

            log_until: Up to here the log's device is trusted.

            final: Behind the last record.

            index_start: From here on records are linked; 0 without a copy of the index.

            index_bits: Of the copy; 0 without one.

            table_bits: Of the table when the checkpoint was taken. With fewer, records
                could be lost.

            entries_hint: How many keys there may be, 0 when that is not known.

            seed_index: Of the copy's blocks.

            skips: Those that the manifest has; not the one that this recovery adds.

            generations: Those that the manifest has: the bytes behind `log_until` have
                their checksums.
        """
        ...

    def index(self, blocks: Buffer, /) -> None:
        """
        Take the next whole blocks of the copy of the index.

        Raises:
            CorruptionError: A block is damaged, or makes no sense.
        """
        ...

    def log(self, start: int, end: int, /) -> None:
        """
        Read, verify and link the records of a range of the log's device.

        Args:
            start: `begin` or `index_start`, or where a page begins.

            end: Where a page begins, or `log_until`.

        Raises:
            CorruptionError: A record is damaged; `damage` says where.
        """
        ...

    def pages(self, address: int, data: Buffer, /) -> None:
        """
        Take the log's bytes from `log_until` to `final`, in order, piece by piece.

        Raises:
            CorruptionError: A record is damaged; `damage` says where.
        """
        ...

    def finish(self) -> None:
        """
        Make the store usable.
        """
        ...

    def damage(self) -> int | None:
        """
        The address at which the last damage was found, if any was.
        """
        ...

    def next_block(
        self, data: Buffer, /, *, seed: int, part: str, number: int
    ) -> Block | None:
        """
        Verify the block at the beginning of a buffer.

        Args:
            data: From the block on.

            seed: That the stream was made with.

            part: "index", "pages" or "delta".

            number: Which block of the stream this must be, from 0.

        Returns:
            The block; None when the buffer ends before it does.

        Raises:
            CorruptionError: It is not that block, or damaged.
        """
        ...

    def image_apply(self, image: memoryview, address: int, delta: Buffer, /) -> int:
        """
        Put the records of a delta's payload into a piece of the log.

        Args:
            image: The piece.

            address: Its address.

            delta: A payload of the part "delta".

        Returns:
            How many records lay in the piece.
        """
        ...


__all__ = ["CheckpointEngine", "RecoveryEngine"]
