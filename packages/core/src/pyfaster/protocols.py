# SPDX-License-Identifier: MIT
"""
The contracts that plugins meet, as structural types.

A class in a plugin does not inherit from anything here; it only has to fit. What the
hooks return is said in `pyfaster.hookspecs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

T = TypeVar("T")

#: What the core can compute with: the names of `enum faster_type`, in its order.
VALUE_TYPES = (
    "opaque",
    "text",
    "i8",
    "i16",
    "i32",
    "i64",
    "u8",
    "u16",
    "u32",
    "u64",
    "f32",
    "f64",
)

#: Encoders that live in the C module; any other codec is called as Python.
NATIVE_KINDS = ("bytes", "str", "int64", "uint64", "float64", "fixed_bytes")


@runtime_checkable
class Codec(Protocol[T]):
    """
    How objects of one type become bytes and come back.

    Attributes:
        name: Stable name, written to disk; never an import path.

        size: Encoded size in bytes when it is the same for all objects, else None.

        canonical: True when equal objects always give equal bytes. Only such a codec
            may serve keys.

        value_type: One of `VALUE_TYPES`: which merges apply.

        native: One of `NATIVE_KINDS` when the C module can do the work, else None.

        dtype: The numpy dtype string of an array of encoded items ("<i8"), or a dtype
            description list for structured ones; None when arrays make no sense.
    """

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int | None: ...
    @property
    def canonical(self) -> bool: ...
    @property
    def value_type(self) -> str: ...
    @property
    def native(self) -> str | None: ...
    @property
    def dtype(self) -> object | None: ...

    def encode(self, value: T, /) -> bytes:
        """
        Give the bytes of an object.

        Raises:
            TypeError: The object is not of the codec's type.

            ValueError, OverflowError: It is, but cannot be stored.
        """
        ...

    def decode(self, data: bytes, /) -> T:
        """
        Give the object of some bytes; the inverse of `encode`.

        Raises:
            ValueError: The bytes are not an encoded object.
        """
        ...


@runtime_checkable
class CodecProvider(Protocol):
    """
    A family of codecs, as returned by the hook `pyfaster_codecs`.

    Attributes:
        names: The stable names (or, ending in ":", prefixes of names) of the codecs
            it can make. Two providers that claim one name are an error.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    def codec_for(self, spec: object, /) -> Codec[object] | None:
        """
        Make the codec for what a user wrote as `key=` or `value=`.

        Args:
            spec: A type, a dtype, a stable name, or anything else.

        Returns:
            A codec, or None when the spec is not this provider's business.
        """
        ...


@dataclass(frozen=True, slots=True)
class HashChoice:
    """
    A hash of keys that a store may be opened with, by its stable name.

    Attributes:
        name: Stored with the data.

        native_id: The number of `enum faster_hash`.
    """

    name: str
    native_id: int


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """
    What a device's factory is given beside the place it opens.

    Attributes:
        store_id: Written into the header of each segment; a segment of another store
            is refused.

        generation: Goes up at every recovery; also in the headers.

        segment_size: Bytes of the log that one file holds, a power of two.

        fresh: The place's earlier contents are not wanted: begin with nothing.

        read_only: Nothing may be made, changed or removed: another process may own
            the place. Asked only of a scheme with the capability "read_only".

        options: What the user gave as `device_options`, unchecked.
    """

    store_id: int
    generation: int = 1
    segment_size: int = 1 << 30
    fresh: bool = False
    read_only: bool = False
    options: Mapping[str, object] = field(default_factory=dict)


@runtime_checkable
class NativeDevice(Protocol):
    """
    A device written in C, opaque to Python.

    The core calls `close` of the C table once, after the store's last request; the
    object is kept until then. An object whose table was never taken frees the device
    itself.
    """

    def __faster_device__(self, abi: int, /) -> int:
        """
        Hand the device over.

        Args:
            abi: The number of the interface that the core speaks.

        Returns:
            The address of a `struct faster_device` (faster/device.h), which lives as
            long as this object.

        Raises:
            ClosedError: It was handed over before, or is closed.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeviceFailure:
    """
    A request that a device written in Python did not serve.

    Attributes:
        kind: "read", "write", "sync", "truncate" or "close".

        offset: Of the request, in bytes.

        length: Of the request, in bytes.

        error: What the device raised, or what its answer was refused for; with its
            traceback.
    """

    kind: str
    offset: int
    length: int
    error: BaseException


@runtime_checkable
class PythonDevice(Protocol):
    """
    A device written in Python; the core's threads call it with the GIL held.

    Beside these methods it may have the attributes `sector_size` (512), `alignment`
    (1), `capacity` (0: none), `max_io` (0: no limit), `atomic_unit` (0), `threads` (1:
    how many of its calls may run at once) and `capabilities` (names of `enum` bits of
    faster/device.h in lower case, such as {"volatile", "flushes"}).

    An exception is an I/O error: an OSError keeps its errno, a MemoryError becomes
    ENOMEM, any other EIO. The exceptions themselves are kept, the last 64 of them, in
    the store's `device_failures`. One that stopped writing is also the `__cause__` of
    what `write_failure` gives and `flush` and `evict` raise. An operation on keys that
    fails knows the errno alone: to find its exception, look at `device_failures`.
    """

    def read(self, offset: int, buffer: memoryview, /) -> int:
        """
        Fill the buffer from `offset`; give how many bytes there were, fewer only where
        the device ends. The buffer is valid until the call returns.
        """
        ...

    def write(self, offset: int, buffer: memoryview, /) -> int:
        """
        Write the whole buffer at `offset`; give how many bytes were written.
        """
        ...

    def sync(self) -> None:
        """
        Make what was written before survive a power cut.
        """
        ...

    def truncate_before(self, offset: int, /) -> None:
        """
        Let bytes below `offset` go.
        """
        ...

    def close(self) -> None:
        """
        End; called once, after the last request.
        """
        ...


@runtime_checkable
class Inspector(Protocol):
    """
    Reads what a directory holds from its files. It takes no lock and changes nothing,
    so that another process may have the directory open meanwhile.

    Attributes:
        kind: What it knows: "store" or "log", or a word of the plugin's own.
    """

    @property
    def kind(self) -> str: ...

    def holds(self, directory: Path, /) -> bool:
        """
        Whether the directory holds something of this kind.
        """
        ...

    def describe(self, directory: Path, /) -> Mapping[str, object]:
        """
        Say what is in it: names to what JSON knows, mappings of them for parts.

        Raises:
            FasterError: It cannot be read.
        """
        ...

    def verify(self, directory: Path, /, *, as_json: bool) -> bool:
        """
        Look through all of it, and write what was found to standard output, as one
        JSON object when asked; whether all is well.
        """
        ...


@runtime_checkable
class LiveStores(Protocol):
    """
    Reaches stores that run in other processes.
    """

    def figures(self, where: str | None, /) -> Mapping[str, object]:
        """
        Give the figures of one.

        Args:
            where: The place of its socket, its directory or its name; None when there
                is only one.

        Returns:
            `store`, its name; `pid`; `time_ns`, since 1970; and `stats`, what
            `StoreStats.to_dict` gives.

        Raises:
            FasterError: There is none, or several and it was not said which one.
        """
        ...
