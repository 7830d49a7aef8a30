# SPDX-License-Identifier: MIT
"""
Codecs that users write: two functions and a name.

`codec` wraps the functions and holds them to the contract of
`pyfaster.protocols.Codec`: bytes of the declared size come out, and whatever goes wrong
inside becomes an error that names the codec.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pyfaster.errors import CodecError, ConfigError
from pyfaster.protocols import VALUE_TYPES
from pyfaster_codecs._layout import load_numpy
from pyfaster_codecs._names import check_name

T = TypeVar("T")

_WIDTHS = {
    "i8": 1, "i16": 2, "i32": 4, "i64": 8, "u8": 1, "u16": 2, "u32": 4, "u64": 8,
    "f32": 4, "f64": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CustomCodec(Generic[T]):
    """
    What `codec` makes; fits `pyfaster.protocols.Codec`.
    """

    name: str
    size: int | None
    canonical: bool
    value_type: str
    dtype: object | None
    _encode: Callable[[T], bytes]
    _decode: Callable[[bytes], T]

    @property
    def native(self) -> None:
        """No custom codec is written in C."""
        return

    def encode(self, value: T, /) -> bytes:
        """
        Call the user's function and check what it gives.

        Raises:
            TypeError: It refused the object, or gave something else than bytes.

            ValueError, OverflowError: It failed, or gave bytes of another size.
        """
        try:
            data: object = self._encode(value)
        except (TypeError, ValueError, OverflowError):
            raise
        except AttributeError as exc:
            raise TypeError(
                f"codec {self.name!r}: encode failed for {type(value).__name__}: {exc}"
            ) from exc
        except Exception as exc:
            raise ValueError(f"codec {self.name!r}: encode failed: {exc!r}") from exc
        if isinstance(data, (bytearray, memoryview)):
            data = bytes(data)
        if not isinstance(data, bytes):
            raise TypeError(
                f"codec {self.name!r}: encode gave {type(data).__name__}, not bytes"
            )
        if self.size is not None and len(data) != self.size:
            raise ValueError(
                f"codec {self.name!r}: encode gave {len(data)} bytes, but size="
                f"{self.size} was declared"
            )
        return data

    def decode(self, data: bytes, /) -> T:
        """
        Call the user's function.

        Raises:
            ValueError: The bytes have another size than declared, or it failed.
        """
        if self.size is not None and len(data) != self.size:
            raise ValueError(
                f"codec {self.name!r}: expected {self.size} bytes, found {len(data)}"
            )
        try:
            return self._decode(data)
        except ValueError:
            raise
        except Exception as exc:
            raise ValueError(f"codec {self.name!r}: decode failed: {exc!r}") from exc


def codec(
    *,
    name: str,
    encode: Callable[[T], bytes],
    decode: Callable[[bytes], T],
    size: int | None = None,
    canonical: bool = False,
    value_type: str = "opaque",
    dtype: object | None = None,
) -> CustomCodec[T]:
    """
    Make a codec of two functions.

    Args:
        name: Stable name, written to disk: letters, digits, "_", "-", and ":" between
            parts; no dots, and not beginning with a name of pyfaster's own.

        encode: Gives the bytes of an object.

        decode: Gives the object of some bytes.

        size: Bytes of every encoded object, when all have the same.

        canonical: A promise that equal objects always give equal bytes. Only then
            may the codec serve keys. With `dtype`, the promise is for arrays as well.

        value_type: What the bytes are to merges: "i64" and the like for numbers,
            "text" where appending makes sense.

        dtype: The numpy dtype of arrays of encoded objects.

    Raises:
        ConfigError: The name is not allowed, or the settings contradict each other.

        CodecError: encode or decode cannot be called.

    Example:
        >>> from ipaddress import IPv4Address
        >>> address = codec(
        ...     name="ipv4",
        ...     encode=lambda value: value.packed,
        ...     decode=IPv4Address,
        ...     size=4,
        ...     canonical=True,
        ... )
        >>> address.decode(address.encode(IPv4Address("10.0.0.1")))
        IPv4Address('10.0.0.1')
    """
    good = check_name(name)
    for role, function in (("encode", encode), ("decode", decode)):
        if not callable(function):
            raise CodecError(f"codec {good!r}: {role}={function!r} cannot be called")
    if size is not None and (type(size) is not int or size < 0):
        raise ConfigError(f"codec {good!r}: size={size!r} is no number of bytes")
    _check_value_type(good, value_type, size)
    if dtype is not None:
        _check_dtype(good, dtype, size)
    return CustomCodec(good, size, bool(canonical), value_type, dtype, encode, decode)


def _check_value_type(name: str, value_type: str, size: int | None) -> None:
    if value_type not in VALUE_TYPES:
        raise ConfigError(
            f"codec {name!r}: value_type={value_type!r} is unknown; choose one of "
            f"{', '.join(VALUE_TYPES)}"
        )
    if value_type == "text" and size is not None:
        raise ConfigError(
            f"codec {name!r}: value_type='text' can grow, so size={size} is wrong; "
            "leave size out"
        )
    width = _WIDTHS.get(value_type)
    if width is not None and size != width:
        raise ConfigError(
            f"codec {name!r}: value_type={value_type!r} takes {width} bytes, not "
            f"size={size}; say size={width}"
        )


def _check_dtype(name: str, dtype: object, size: int | None) -> None:
    try:
        width = load_numpy().dtype(dtype).itemsize
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"codec {name!r}: dtype={dtype!r}: {exc}") from exc
    if width != size:
        raise ConfigError(
            f"codec {name!r}: items of dtype {dtype!r} have {width} bytes, not "
            f"size={size}"
        )
