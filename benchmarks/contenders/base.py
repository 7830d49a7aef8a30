# SPDX-License-Identifier: MIT
"""
What a contender must offer, and the loops that are timed.

Theory of operation. A `Contender` owns one loaded store. For each round it hands out
one `Handle` for each thread (a session, a transaction, the store itself). The loops in
`Handle` are the only code that runs under the clock; they call one bound method for
each operation and drop what it returns. A contender whose users would write something
shorter (`d[key]`) overrides the loop with just that, so no contender pays for a
function call that its user would not make.

Objects are made before the clock starts, new ones for each round: keys in a loop are
never the objects that were inserted, and their hash was never taken.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import generators
from benchmarks.cases import Case, Shape
from benchmarks.generators import Numbers, Words


class UnavailableError(Exception):
    """
    The contender cannot be measured here; the message says why.
    """


@dataclass(slots=True)
class Chunk:
    """
    One batch: reads first, then writes, then bumps; None where there are none.
    """

    reads: Any = None
    write_keys: Any = None
    write_values: Any = None
    bumps: Any = None


class Handle(ABC):
    """
    One thread's access to a store.

    Attributes:
        read: Gives the value of a key that is there.

        write: Sets the value of a key.
    """

    read: Callable[[Any], Any]
    write: Callable[[Any, Any], object]

    @abstractmethod
    def bump(self, key: Any) -> object:
        """
        Add one to a value's stamp.
        """

    def read_batch(self, keys: Any) -> Any:
        """
        Give the values of many keys that are all there, in order.
        """
        return list(map(self.read, keys))

    @abstractmethod
    def write_batch(self, keys: Any, values: Any) -> object:
        """
        Set the values of many keys.
        """

    @abstractmethod
    def bump_batch(self, keys: Any) -> object:
        """
        Add one to the stamps of many values; a key may occur more than once.
        """

    def run_reads(self, keys: Sequence[Any]) -> None:
        """
        Read every key.
        """
        read = self.read
        for key in keys:
            read(key)

    def run_writes(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        """
        Write every key.
        """
        write = self.write
        for key, value in zip(keys, values, strict=True):
            write(key, value)

    def run_bumps(self, keys: Sequence[Any]) -> None:
        """
        Bump every key.
        """
        bump = self.bump
        for key in keys:
            bump(key)

    def run_reads_writes(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        """
        Read where the value is None, else write it.
        """
        read, write = self.read, self.write
        for key, value in zip(keys, values, strict=True):
            if value is None:
                read(key)
            else:
                write(key, value)

    def run_reads_bumps(self, keys: Sequence[Any], flags: Sequence[bool]) -> None:
        """
        Bump where the flag is true, else read.
        """
        read, bump = self.read, self.bump
        for key, flag in zip(keys, flags, strict=True):
            if flag:
                bump(key)
            else:
                read(key)

    def run_chunks(self, chunks: Sequence[Chunk]) -> None:
        """
        Do batch after batch.
        """
        for chunk in chunks:
            if chunk.reads is not None:
                self.read_batch(chunk.reads)
            if chunk.write_keys is not None:
                self.write_batch(chunk.write_keys, chunk.write_values)
            if chunk.bumps is not None:
                self.bump_batch(chunk.bumps)


class Contender(ABC):
    """
    One store of one shape, to be filled and measured.

    Attributes:
        keys_as_integers: Whether 8-byte keys are int objects, else bytes.

        values_as_integers: Whether 8-byte values are int objects, else bytes.
    """

    keys_as_integers = False
    values_as_integers = False

    def __init__(self, shape: Shape, directory: Path) -> None:
        self.shape = shape
        self.directory = directory

    @classmethod
    @abstractmethod
    def settings(cls) -> str:
        """
        Say in one line how the store is set up.
        """

    @abstractmethod
    def load(self, keys: Any, values: Any) -> None:
        """
        Insert items in bulk; called a number of times.
        """

    @abstractmethod
    def handles(self, case: Case) -> list[Handle]:
        """
        Give one handle for each of the case's threads, ready for its operations.
        """

    @abstractmethod
    def close(self) -> None:
        """
        Give everything back.
        """

    def refuses(self, case: Case) -> str | None:
        """
        Say why a case cannot be run here; None when it can.
        """
        return None

    def keys(self, numbers: Numbers) -> Sequence[Any]:
        """
        Make new key objects.
        """
        if self.keys_as_integers and self.shape.key_size == 8:
            return generators.integer_keys(numbers)
        size = self.shape.key_size
        return generators.split(generators.packed_keys(numbers, size), size)

    def values(self, stamps: Words) -> Sequence[Any]:
        """
        Make new value objects.
        """
        if self.values_as_integers and self.shape.value_size == 8:
            numbers: list[int] = stamps.tolist()
            return numbers
        size = self.shape.value_size
        return generators.split(generators.packed_values(stamps, size), size)

    def batch_keys(self, numbers: Numbers) -> Any:
        """
        Make the keys of one batch, in the form this store's batches like best.
        """
        return self.keys(numbers)

    def batch_values(self, stamps: Words) -> Any:
        """
        Make the values of one batch, likewise.
        """
        return self.values(stamps)

    def stamps(self, values: Sequence[Any] | NDArray[Any]) -> Words:
        """
        Take the stamps out of values that were read.

        Raises:
            ValueError: A value is absent, or not one that was ever written.
        """
        if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
            return values.astype(np.uint64)
        absent = sum(value is None for value in values)
        if absent:
            raise ValueError(f"{absent} of {len(values)} keys were not found")
        if len(values) and isinstance(values[0], int):
            return np.array(values, dtype=np.uint64)
        return generators.stamps_of(
            b"".join(bytes(v) for v in values), self.shape.value_size
        )


def bumped(value: bytes) -> bytes:
    """
    Give a value whose stamp is one higher.
    """
    stamp = int.from_bytes(value[:8], "little") + 1
    return stamp.to_bytes(8, "little") + value[8:]


def bumped_by(value: bytes, count: int) -> bytes:
    """
    Give a value whose stamp is higher by `count`.
    """
    stamp = int.from_bytes(value[:8], "little") + count
    return stamp.to_bytes(8, "little") + value[8:]
