# SPDX-License-Identifier: MIT
"""
The end of the log as a chain of checkpoints gives it.

Theory of operation: the oldest member of a chain is a snapshot and has every byte from
its `log_until` to its `final`. Each later one has the bytes behind that of the one
before, and the records below it that have changed since. So each byte is taken from the
oldest file that has it, and the changed records of all later members are put over it,
in the order of the chain. What lies below the newest one's `log_until` is in the log
and is passed over here.

Pages and changed records come in the order of their addresses; all files are read once,
side by side, and at most a run of pages and a block of each file are held.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager

from pyfaster.checkpoints import FileReader, RecoveryEngine
from pyfaster.errors import CorruptCheckpointError, CorruptionError
from pyfaster_checkpoint._ahead import Ahead
from pyfaster_checkpoint._blocks import BlockFile, Damage, Payload, page_place
from pyfaster_checkpoint._manifest import DELTA, FILES, INDEX, PAGES, Manifest
from pyfaster_checkpoint._plan import index_key
from pyfaster_checkpoint._problems import damaged

#: How much is put together before changed records are put over it.
_RUN = 8 << 20

Member = tuple[Manifest, dict[str, FileReader]]
Piece = tuple[int, memoryview]


def merged(
    engine: RecoveryEngine, one: Manifest, chain: list[Member]
) -> Generator[Piece]:
    """
    Give the log's bytes from `log_until` to `final`, in order, without a gap.

    Args:
        engine: Verifies blocks and applies records.

        one: The newest member.

        chain: All members with their open files, the oldest first.

    Raises:
        CorruptCheckpointError: A file is damaged; `token` says whose.
    """
    position = one.addresses.log_until
    with ExitStack() as stack:
        deltas = [_Delta(stack, engine, each) for each in chain[1:]]
        for at, member in enumerate(chain):
            if PAGES not in member[1] or member[0].addresses.final <= position:
                continue
            pieces = _pieces(stack, engine, member, position)
            over = deltas[at:]
            for address, data in _runs(pieces) if over else pieces:
                for delta in over:
                    delta.apply(address, data)
                yield address, data
                position = address + len(data)
        for delta in deltas:
            delta.end()
    if position != one.addresses.final:
        text = f"the log from {position:#x} to {one.addresses.final:#x} is missing"
        raise damaged(one.token, PAGES, text)


def _pieces(
    stack: ExitStack, engine: RecoveryEngine, member: Member, position: int
) -> Iterator[Piece]:
    """
    Give what one file has from a position on.
    """
    manifest, _ = member
    final = manifest.addresses.final
    with blaming(manifest, PAGES):
        for offset, payload in _payloads(stack, engine, member, PAGES):
            address, data = page_place(payload)
            end = address + len(data)
            if end > final:
                raise Damage(f"it goes on to {end:#x}, behind {final:#x}", offset)
            if end <= position:
                continue
            if address > position:
                text = f"the log from {position:#x} to {address:#x} is missing"
                raise Damage(text, offset)
            yield position, data[position - address :]
            position = end


def _payloads(
    stack: ExitStack, engine: RecoveryEngine, member: Member, name: str
) -> Iterator[Payload]:
    """
    Give the payloads of a file, read and verified ahead.
    """
    manifest, readers = member
    file = BlockFile(readers[name], FILES[name], reuse=name == PAGES)
    batches = file.batches(manifest.seed, engine.next_block)
    for batch in stack.enter_context(Ahead(batches, threaded=file.large)):
        yield from batch


def _runs(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """
    Put pieces together, in memory that may be changed.
    """
    run, begin = bytearray(), 0
    for address, data in pieces:
        if not run:
            begin = address
        run += data
        if len(run) >= _RUN:
            yield begin, memoryview(run)
            run = bytearray()
    if run:
        yield begin, memoryview(run)


class _Delta:
    """
    The changed records of one member, read as far as they are needed.
    """

    def __init__(
        self, stack: ExitStack, engine: RecoveryEngine, member: Member
    ) -> None:
        self._manifest, _ = member
        self._engine = engine
        self._blocks = _payloads(stack, engine, member, DELTA)
        self._held: list[memoryview] = []
        self._ended = False

    def _read(self) -> None:
        """
        Hold the next block, too.
        """
        with blaming(self._manifest, DELTA):
            block = next(self._blocks, None)
        if block is None:
            self._ended = True
        else:
            self._held.append(block[1])

    def apply(self, address: int, image: memoryview) -> None:
        """
        Put the records that lie in a run over it.
        """
        end = address + len(image)
        while not self._ended and (not self._held or self._first(-1) < end):
            self._read()
        with blaming(self._manifest, DELTA):
            for block in self._held:
                self._engine.image_apply(image, address, block)
        while len(self._held) > 1 and self._first(1) <= end:
            self._held.pop(0)

    def _first(self, at: int) -> int:
        """
        The address of the first record in a block that is held.
        """
        return int.from_bytes(self._held[at][:8], "little")

    def end(self) -> None:
        """
        Read on to the end, to see that it is there.
        """
        while not self._ended:
            self._read()
            self._held.clear()


@contextmanager
def blaming(manifest: Manifest, name: str) -> Iterator[None]:
    """
    Say whose file is damaged.
    """
    try:
        yield
    except CorruptCheckpointError:
        raise
    except (CorruptionError, Damage) as error:
        where = f"at byte {error.offset:,}: " if isinstance(error, Damage) else ""
        problem = damaged(manifest.token, name, f"{where}{error}")
        if name == INDEX:
            problem.token = index_key(manifest.token)
        raise problem from error


__all__ = ["PAGES", "Member", "blaming", "merged"]
