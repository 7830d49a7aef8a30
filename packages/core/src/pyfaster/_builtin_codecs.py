# SPDX-License-Identifier: MIT
"""
The codecs of Python's own types: bytes, str, int, float, and two that have no type.

They are made here and worked by the C module: what `encode` and `decode` do is what a
session does without calling them. Anything with fields is left to plugins.
"""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar, cast

from pyfaster import _hot
from pyfaster.errors import KEY_SIZE_MAX
from pyfaster.protocols import Codec

T = TypeVar("T")

_BYTES_NAME = re.compile(r"bytes\[([1-9][0-9]*)\]")


class NativeCodec(Generic[T]):
    """
    A codec whose work the C module does.

    Attributes:
        name, size, canonical, value_type, native, dtype: As in `protocols.Codec`.
    """

    __slots__ = ("_hot", "dtype", "name", "native", "size", "value_type")

    #: Sessions encode keys so that equal ones give equal bytes (no -0.0, no NaN).
    canonical = True

    def __init__(
        self,
        name: str,
        native: str,
        value_type: str,
        *,
        size: int | None = None,
        dtype: str | None = None,
    ) -> None:
        self.name = name
        self.native = native
        self.value_type = value_type
        self.size = size
        self.dtype = dtype
        self._hot = _hot.Codec(native, size)

    def encode(self, value: T, /) -> bytes:
        """
        Give the bytes of an object; see `protocols.Codec.encode`.
        """
        return self._hot.encode(value)

    def decode(self, data: bytes, /) -> T:
        """
        Give the object of some bytes; see `protocols.Codec.decode`.
        """
        return cast(T, self._hot.decode(data))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NativeCodec):
            return NotImplemented
        return self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<codec {self.name}>"


class Bytes(NativeCodec[bytes]):
    """
    The codec of bytes objects that all have the same size.

    Args:
        size: Of every object.

    Units: bytes.

    >>> Bytes(4).encode(b"abcd")
    b'abcd'
    """

    __slots__ = ()

    def __init__(self, size: int) -> None:
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"Bytes(size): expected int, found {type(size).__name__}")
        if size < 0:
            raise ValueError(f"Bytes({size}): a size is not negative")
        super().__init__(
            f"bytes[{size}]", "fixed_bytes", "opaque", size=size, dtype=f"|V{size}"
        )

    def __repr__(self) -> str:
        return f"Bytes({self.size})"


BYTES: NativeCodec[bytes] = NativeCodec("bytes", "bytes", "text")
STR: NativeCodec[str] = NativeCodec("utf8", "str", "text")
INT64: NativeCodec[int] = NativeCodec("int64", "int64", "i64", size=8, dtype="<i8")
FLOAT64: NativeCodec[float] = NativeCodec(
    "float64", "float64", "f64", size=8, dtype="<f8"
)
#: Integers from 0 to 2 to the 64 less 1; `int` itself means the signed ones.
UInt64: NativeCodec[int] = NativeCodec("uint64", "uint64", "u64", size=8, dtype="<u8")

_OF_TYPE: dict[type, NativeCodec[Any]] = {
    bytes: BYTES,
    str: STR,
    int: INT64,
    float: FLOAT64,
}
_OF_NAME = {codec.name: codec for codec in (*_OF_TYPE.values(), UInt64)}


class BuiltinCodecs:
    """
    The provider of the codecs above; `bool` has none, as True would equal 1.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """
        The stable names; `n` stands for a number.
        """
        return (*_OF_NAME, "bytes[n]")

    def codec_for(self, spec: object, /) -> Codec[Any] | None:
        """
        The codec of a type or of a stable name, or None.
        """
        if isinstance(spec, type):
            return _OF_TYPE.get(spec)
        if not isinstance(spec, str):
            return None
        match = _BYTES_NAME.fullmatch(spec)
        if match is not None and len(match[1]) <= len(str(KEY_SIZE_MAX)) + 4:
            return Bytes(int(match[1]))
        return _OF_NAME.get(spec)


BUILTIN = BuiltinCodecs()


def hot_codec(codec: Codec[Any], *, key: bool = False) -> _hot.Codec:
    """
    Make what the C module encodes with.

    Args:
        codec: Any codec.

        key: Whether it is to serve keys.
    """
    if codec.native is not None:
        return _hot.Codec(codec.native, codec.size, key=key)
    return _hot.Codec("python", codec.size, codec.encode, codec.decode, key=key)


__all__ = ["BUILTIN", "BuiltinCodecs", "Bytes", "NativeCodec", "UInt64", "hot_codec"]
