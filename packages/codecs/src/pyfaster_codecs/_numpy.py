# SPDX-License-Identifier: MIT
"""
Plain records by a numpy dtype.

Objects are numpy's own scalars, so what is read has the width that was written. A
single object may be given as a Python number, text or tuple when nothing of it gets
lost; arrays must have the dtype and are handed to the store as they are. numpy is
imported when the first dtype is named.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from pyfaster.errors import CodecError
from pyfaster_codecs._layout import (
    PREFIX,
    array_dtype,
    check_dtype,
    data_mask,
    dtype_by_name,
    dtype_name,
    has_text,
    key_obstacle,
    load_numpy,
    members,
)
from pyfaster_codecs._show import show

if TYPE_CHECKING:
    import numpy as np

_VALUE_TYPES = {
    "|i1": "i8", "<i2": "i16", "<i4": "i32", "<i8": "i64", "|u1": "u8", "<u2": "u16",
    "<u4": "u32", "<u8": "u64", "<f4": "f32", "<f8": "f64",
}  # fmt: skip


class Numpy:
    """
    The codec of numpy scalars and records.

    Args:
        dtype: Anything that `numpy.dtype` takes; little-endian, of fixed size.

    Attributes:
        not_a_key_because: Why its objects may not be keys; None when they may.

    Raises:
        CodecError, ConfigError: Its bytes would not mean the same on every machine.

    Example:
        >>> codec = Numpy([("x", "<i4"), ("y", "<i4")])
        >>> codec.encode((1, 2)).hex()
        '0100000002000000'
    """

    __slots__ = (
        "_dtype", "_mask", "_np", "_pads", "_text", "canonical", "dtype", "name",
        "not_a_key_because", "size", "value_type",
    )  # fmt: skip

    native: None = None

    def __init__(self, dtype: object) -> None:
        numpy = load_numpy()
        if dtype is None or (isinstance(dtype, type) and dtype in _abstract(numpy)):
            raise CodecError(f"{dtype!r} is no numpy dtype; say one, such as '<i8'")
        try:
            made: np.dtype[Any] = numpy.dtype(dtype)
        except (TypeError, ValueError) as exc:
            raise CodecError(f"{dtype!r} is no numpy dtype: {exc}") from exc
        check_dtype(made)
        self._np, self._dtype = numpy, made
        self.name = dtype_name(made)
        self.size: int | None = made.itemsize
        self.dtype = array_dtype(made)
        self.value_type = _VALUE_TYPES.get(made.str, "opaque")
        self.not_a_key_because = key_obstacle(made)
        self.canonical = self.not_a_key_because is None
        self._pads = self.dtype is None
        self._mask: Any = data_mask(numpy, made) if self._pads else None
        self._text = has_text(made)

    def __repr__(self) -> str:
        return f"Numpy({self.name.removeprefix(PREFIX)!r})"

    def encode(self, value: Any, /) -> bytes:
        """
        Give the bytes of a numpy scalar, or of a Python object that fits the dtype.

        Raises:
            TypeError: It is of another kind; numbers are not cast.

            ValueError, OverflowError: It does not fit.
        """
        np, dtype = self._np, self._dtype
        ready = isinstance(value, np.generic) or (
            isinstance(value, np.ndarray) and value.shape == ()
        )
        if not (ready and value.dtype == dtype and dtype.kind not in "SU"):
            value = np.array(_fit(np, dtype, value, self.name), dtype=dtype)
        data: bytes = value.tobytes()
        if self._pads:
            data = (np.frombuffer(data, dtype="u1") & self._mask).tobytes()
        return data

    def decode(self, data: bytes, /) -> Any:
        """
        Give the numpy scalar of some bytes.

        Raises:
            ValueError: They are too many or too few, padding is not zero, or a
                character is none.
        """
        if len(data) != self.size:
            raise ValueError(
                f"{self.name}: an item has {self.size} bytes, found {len(data)}"
            )
        np = self._np
        if self._pads and (np.frombuffer(data, dtype="u1") & ~self._mask).any():
            raise ValueError(f"{self.name}: padding is not zero")
        try:
            item = np.frombuffer(data, dtype=self._dtype)[0]
            if self._text:
                item.item()
        except SystemError as exc:
            raise ValueError(f"{self.name}: a character is outside Unicode") from exc
        return item


def _abstract(np: Any) -> tuple[type, ...]:
    """Kinds of scalars that have no size; numpy takes some for one that has."""
    return (
        np.generic, np.number, np.integer, np.signedinteger, np.unsignedinteger,
        np.inexact, np.floating, np.complexfloating, np.flexible, np.character,
    )  # fmt: skip


def numpy_by_name(name: str) -> Numpy:
    """
    Make the codec that a stored name means.
    """
    return Numpy(dtype_by_name(name))


def _fit(np: Any, dtype: np.dtype[Any], value: Any, place: str) -> Any:
    """Give an object that numpy turns into the dtype without losing anything."""
    if dtype.names is not None:
        return _fit_record(np, dtype, value, place)
    if isinstance(value, np.ndarray) and value.shape == ():
        value = value[()]
    return _FITTERS[dtype.kind](np, dtype, value, place)


def _wrong(place: str, wanted: object, value: object) -> TypeError:
    found = getattr(value, "dtype", None)
    kind = type(value).__name__ if found is None else f"{type(value).__name__} {found}"
    return TypeError(f"{place}: expected {wanted}, found {kind}; convert it yourself")


def _fit_record(np: Any, dtype: np.dtype[Any], value: Any, place: str) -> Any:
    ready = isinstance(value, (np.void, np.ndarray)) and value.dtype == dtype
    if ready and value.shape == ():
        return value
    names = dtype.names or ()
    if not isinstance(value, tuple):
        raise _wrong(place, f"a tuple of {len(names)} or a record of {dtype}", value)
    if len(value) != len(names):
        raise ValueError(f"{place}: expected {len(names)} items, found {len(value)}")
    return tuple(
        _fit_array(np, kind.base, kind.shape, item, f"{place}: field {name!r}")
        for (name, kind, _), item in zip(members(dtype), value, strict=True)
    )


def _fit_array(
    np: Any, base: np.dtype[Any], shape: tuple[int, ...], value: Any, place: str
) -> Any:
    if not shape:
        return _fit(np, base, value, place)
    if isinstance(value, np.ndarray):
        if value.dtype != base or value.shape != shape:
            raise _wrong(place, f"an array {shape} of {base}", value)
        return value
    if not isinstance(value, (list, tuple)):
        raise _wrong(place, f"a list of {shape[0]}", value)
    if len(value) != shape[0]:
        raise ValueError(f"{place}: expected {shape[0]} items, found {len(value)}")
    return [_fit_array(np, base, shape[1:], item, place) for item in value]


def _fit_integer(np: Any, dtype: np.dtype[Any], value: Any, place: str) -> Any:
    try:
        number = operator.index(value)
    except TypeError:
        raise _wrong(place, f"an int for {dtype}", value) from None
    limits = np.iinfo(dtype)
    if not int(limits.min) <= number <= int(limits.max):
        raise OverflowError(
            f"{place}: {show(number)} does not fit {dtype} "
            f"({limits.min} ... {limits.max})"
        )
    return number


def _fit_float(np: Any, dtype: np.dtype[Any], value: Any, place: str) -> Any:
    kinds: tuple[type, ...] = (float, int, np.floating, np.integer)
    if dtype.kind == "c":
        kinds = (*kinds, complex, np.complexfloating)
    if not isinstance(value, kinds):
        raise _wrong(place, f"a number for {dtype}", value)
    try:
        with np.errstate(over="ignore"):
            stored: Any = dtype.type(value)
    except OverflowError as exc:
        raise OverflowError(f"{place}: {show(value)} does not fit {dtype}") from exc
    number: Any = value
    whole = isinstance(value, (int, np.integer))
    if np.isinf(stored) and (whole or not np.isinf(value)):
        raise OverflowError(f"{place}: {show(value)} does not fit {dtype}")
    if whole and int(stored.real) != int(number):
        raise ValueError(
            f"{place}: the integer {show(value)} would become {stored}; pass a float "
            "if that is meant"
        )
    return stored


def _fit_bool(np: Any, dtype: np.dtype[Any], value: Any, place: str) -> Any:
    if not isinstance(value, (bool, np.bool_)):
        raise _wrong(place, "a bool", value)
    return value


def _fit_text(np: Any, dtype: np.dtype[Any], value: Any, place: str) -> Any:
    kind, end = (bytes, b"\0") if dtype.kind == "S" else (str, "\0")
    room = dtype.itemsize // (1 if dtype.kind == "S" else 4)
    if not isinstance(value, kind):
        raise _wrong(place, kind.__name__, value)
    if len(value) > room:
        raise ValueError(f"{place}: {len(value)} long, but {dtype} has room for {room}")
    if value[-1:] == end:
        raise ValueError(
            f"{place}: {show(value)} ends in a zero, which {dtype} cannot keep; use a "
            "'V' dtype, or pyfaster.Bytes"
        )
    return value


def _fit_raw(np: Any, dtype: np.dtype[Any], value: Any, place: str) -> Any:
    if isinstance(value, np.void) and value.dtype.names is None:
        value = value.tobytes()
    if not isinstance(value, bytes):
        raise _wrong(place, "bytes", value)
    if len(value) != dtype.itemsize:
        raise ValueError(
            f"{place}: expected exactly {dtype.itemsize} bytes, found {len(value)}"
        )
    return np.void(value)


def _fit_time(np: Any, dtype: np.dtype[Any], value: Any, place: str) -> Any:
    if not isinstance(value, np.generic) or value.dtype != dtype:
        raise _wrong(place, f"a numpy scalar of {dtype}", value)
    return value


_FITTERS = {
    "b": _fit_bool, "i": _fit_integer, "u": _fit_integer, "f": _fit_float,
    "c": _fit_float, "S": _fit_text, "U": _fit_text, "V": _fit_raw, "M": _fit_time,
    "m": _fit_time,
}  # fmt: skip
