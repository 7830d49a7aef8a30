# SPDX-License-Identifier: MIT
"""
Whether a copy of the index and the log agree.

Theory of operation: the copy is held as it was in memory. A walk over the log tells of
each record that counts. One that was written before the copy began must be below the
entry for its hash, or be the one that it leads to; the newest of each entry is noted.
Afterwards most entries lead to what was noted for them. The others were updated while
the copy was made, or share their chain with another entry: their chains are followed,
record by record, down to what was noted.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable

from pyfaster.checkpoints import CheckpointFiles
from pyfaster_checkpoint._blocks import HEADER, BlockFile, Damage, next_block
from pyfaster_checkpoint._findings import StoreReport
from pyfaster_checkpoint._manifest import INDEX, Manifest
from pyfaster_checkpoint._records import FIRST, HASHES, prev_of

_ADDRESS = (1 << 48) - 1
_FLAGS = 3 << 62
_BUCKET = 64
_BUCKET_BITS = 6
_ENTRIES = 7
_RUN = struct.Struct("<IIQ")
_WORDS = struct.Struct("<7Q")
_WORD = struct.Struct("<Q")
_PAIR = struct.Struct("<QQ")
_MAIN, _OVERFLOW = 1, 2

#: Gives the first word and the key of a record, or why there is none.
Look = Callable[[int], tuple[int, bytes] | str]


class IndexCopy:
    """
    A copy of the index, and what the log has told of it so far.

    Args:
        manifest: The checkpoint that it is in.

        user: The checkpoint that is recovered with it: the same, or a later one.

        prefix: What precedes a checkpoint's name in the paths of its files.

        report: Gets what is wrong.
    """

    def __init__(
        self, manifest: Manifest, user: Manifest, prefix: str, report: StoreReport
    ) -> None:
        at = manifest.addresses
        self.token = manifest.token
        self._name = f"{prefix}{manifest.token}/{INDEX}"
        self._manifest = manifest
        self._report = report
        self._hash = HASHES[manifest.layout["hash"]]
        self._mask = (1 << at.index_bits) - 1
        self._bits = at.index_bits
        self._start = at.index_start
        self._begin = max(user.addresses.begin, FIRST)
        self._final = user.addresses.final
        self._table = bytearray()
        self._heads = bytearray()
        self._runs: list[tuple[int, int]] = []  # first bucket, its offset in the file
        self._more: dict[int, list[int]] = {}  # bucket and tag: entry, head, offset

    def load(self, files: CheckpointFiles) -> None:
        """
        Read the copy.

        Raises:
            Damage: A block is damaged, or buckets are missing.

            OSError, FasterError: It could not be read.
        """
        reader = files.open(self.token, INDEX)
        try:
            offset = 0
            for payload in BlockFile(reader, "index").blocks(
                self._manifest.seed, next_block
            ):
                offset += HEADER.size
                if offset > HEADER.size:  # behind the opening
                    self._take(payload, offset)
                offset += len(payload)
        finally:
            reader.close()
        self._heads = bytearray(len(self._table))
        buckets = len(self._table) >> _BUCKET_BITS
        if buckets != 1 << self._bits:
            text = f"it has {buckets:,} buckets, of {1 << self._bits:,}"
            raise Damage(text, offset)

    def _take(self, payload: memoryview, offset: int) -> None:
        """
        Take the runs of a block.
        """
        at = 0
        while len(payload) - at >= _RUN.size:
            kind, count, first = _RUN.unpack_from(payload, at)
            at += _RUN.size
            size = count * (_BUCKET if kind == _MAIN else _PAIR.size)
            if kind not in (_MAIN, _OVERFLOW) or size > len(payload) - at:
                return  # validation has said so
            if kind == _MAIN:
                self._runs.append((len(self._table) >> _BUCKET_BITS, offset + at))
                self._take_buckets(payload[at : at + size], first, offset + at)
            else:
                self._take_pairs(payload[at : at + size], offset + at)
            at += size

    def _take_buckets(self, data: memoryview, first: int, offset: int) -> None:
        have = len(self._table) >> _BUCKET_BITS
        if first != have:
            text = "a run of buckets is out of order"
            self._say(offset - _RUN.size + 8, text, f"{have:,}", f"{first:,}")
        self._table += data

    def _take_pairs(self, data: memoryview, offset: int) -> None:
        for at in range(0, len(data), _PAIR.size):
            bucket, word = _PAIR.unpack_from(data, at)
            if bucket > self._mask:
                text = "an entry of a bucket that there is not"
                self._say(offset + at, text, f"<= {self._mask:,}", f"{bucket:,}")
            elif self._is_sane(word, offset + at + 8):
                key = bucket << 14 | word >> 48
                self._more[key] = [word, 0, offset + at + 8]

    def _is_sane(self, word: int, offset: int) -> bool:
        address = word & _ADDRESS
        tagged = word >> 48 and not word & _FLAGS
        if tagged and address % 8 == 0 and FIRST <= address < self._final:
            return True
        wanted = f"a tag, and an address below {self._final:#x}"
        self._say(offset, "it is no entry of the index", wanted, f"{word:#018x}")
        return False

    # --- during the walk ------------------------------------------------------------

    def visit(self, address: int, key: memoryview) -> None:
        """
        Be told of a record that counts; addresses grow.
        """
        hash_ = self._hash(key)
        tag = hash_ >> 50 or 1
        bucket = hash_ & self._mask
        words = _WORDS.unpack_from(self._table, bucket << _BUCKET_BITS)
        for at, word in enumerate(words):
            if word >> 48 == tag:
                if self._counts(address, word):
                    _WORD.pack_into(
                        self._heads, (bucket << _BUCKET_BITS) + at * 8, address
                    )
                return
        more = self._more.get(bucket << 14 | tag)
        if more is not None:
            if self._counts(address, more[0]):
                more[1] = address
        elif address < self._start:
            text = f"no entry leads to the record at {address:#x} of the log"
            wanted = f"an entry with tag {tag:#x}"
            self._say(self._offset(bucket, 0), text, wanted, "none")

    def _counts(self, address: int, word: int) -> bool:
        """
        Whether a record is one that an entry must lead to, or to which it does lead.
        """
        leads = word & _ADDRESS
        if leads < address < self._start:
            text = f"the entry for the record at {address:#x} of the log leads past it"
            self._say(None, text, f">= {address:#x}", f"{leads:#x}")
        return address < self._start or leads == address

    # --- behind it ------------------------------------------------------------------

    def finish(self, look: Look) -> None:
        """
        Compare the entries with what the walk has told.
        """
        with memoryview(self._table) as table, memoryview(self._heads) as heads:
            pairs = zip(table.cast("Q"), heads.cast("Q"), strict=True)
            for number, (word, head) in enumerate(pairs):
                if word:
                    self._report.entries += 1
                    if word & _ADDRESS != head:
                        bucket, at = divmod(number, 8)
                        self._compare(word, head, self._offset(bucket, at), look)
        for word, head, offset in self._more.values():
            self._report.entries += 1
            if word & _ADDRESS != head:
                self._compare(word, head, offset, look)

    def _compare(self, word: int, head: int, offset: int, look: Look) -> None:
        """
        Follow the chain of an entry down to its newest record that the walk has seen.
        """
        address, tag = word & _ADDRESS, word >> 48
        if not self._is_sane(word, offset) or address < self._begin:
            return
        while address >= self._begin and address > head:
            found = look(address)
            if isinstance(found, str):
                text = f"it leads to {address:#x} of the log, where no record is"
                self._say(offset, text, "a record", found)
                return
            info, key = found
            own = self._hash(key) >> 50 or 1
            if own != tag:
                text = f"it leads to the record at {address:#x}, of another tag"
                self._say(offset, text, f"{tag:#x}", f"{own:#x}")
                return
            if not head:
                return
            address = min(prev_of(info), address - 8)  # down, whatever it says
        if head and address != head:
            text = f"its chain leads past the record at {head:#x} of the log"
            self._say(offset, text, f"{head:#x}", f"{address:#x}")

    def _offset(self, bucket: int, at: int) -> int:
        """
        Give where an entry is in the file.
        """
        run = bisect_right(self._runs, (bucket, 1 << 63)) - 1
        first, offset = self._runs[run] if run >= 0 else (bucket, 0)
        return offset + (bucket - first) * _BUCKET + at * 8

    def _say(self, offset: int | None, what: str, expected: str, found: str) -> None:
        self._report.add(self._name, what, offset, expected=expected, found=found)


__all__ = ["IndexCopy", "Look"]
