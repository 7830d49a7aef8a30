# SPDX-License-Identifier: MIT
"""
What `merge=` may be: a name, or machine code.

The names are the core's own (`enum faster_merge_kind`). Machine code lets users combine
values in ways the core does not know, without the GIL. A Python function would need the
GIL inside an operation that must not wait, so callbacks made from Python functions are
refused; `Session.update` is for those.
"""

from __future__ import annotations

import sys
from typing import Any

from pyfaster import _cabi, _hot
from pyfaster._builtin_codecs import BUILTIN, hot_codec
from pyfaster.protocols import Codec

_PREFIX = "FASTER_MERGE_"
_KINDS = {
    name.removeprefix(_PREFIX).lower(): kind
    for name, kind in _cabi.enumerators("faster_merge_kind").items()
}
_NATIVE = _KINDS.pop("native")

#: The merges that have a name.
MERGES: dict[str, _hot.Merge] = {
    name: _hot.Merge(name, kind, 0, None, None) for name, kind in _KINDS.items()
}
_hot.set_merges(MERGES)

_ADVICE = "use session.update(key, function) for a function in Python"


def native_merge(code: object, *, input: object = None) -> _hot.Merge:
    """
    Make a merge of machine code.

    The code is a C function of this signature, `faster_merge_fn` in `faster/api.h`:

        int64_t merge(uint8_t *value, int64_t value_size, int64_t capacity,
                      const uint8_t *input, int64_t input_size);

    `value` holds the present value in `value_size` bytes (-1: the key is absent) and
    has room for `capacity`. The function leaves the new value there and returns its
    size. A size above `capacity` asks to be called again with that much room; a
    negative one refuses, which raises `MergeError`. It runs under a record's lock,
    maybe more than once for one operation: it must be short, must not call back, and
    depends on nothing but its arguments.

    Args:
        code: The function's address; or an object with the integer attribute `address`,
            as numba's `cfunc` gives; or a function of a library that ctypes loaded.
            What keeps the code in memory is kept with the merge.

        input: Type or codec of the inputs, when it is not that of the values.

    Returns:
        What `merge=` takes.

    Raises:
        TypeError: `code` is none of these, or a callback made from a Python function.
    """
    address = _address(code)
    codec = _input_codec(input)
    hot = None if codec is None else hot_codec(codec)
    return _hot.Merge("native", _NATIVE, address, hot, (code, codec))


def _input_codec(spec: Any) -> Codec[Any] | None:
    if spec is None:
        return None
    codec = BUILTIN.codec_for(spec)
    if codec is None and not isinstance(spec, type) and isinstance(spec, Codec):
        codec = spec
    if codec is None:
        raise TypeError(f"input={spec!r}: expected bytes, str, int, float or a codec")
    return codec


def _address(code: object) -> int:
    found: Any = _ctypes_address(code)
    if found is None:
        found = getattr(code, "address", code)
    if type(code).__module__ == "_cffi_backend":
        raise TypeError(
            f"native_merge({code!r}): cffi objects may be callbacks of Python; pass "
            f"a C function's address as int(ffi.cast('uintptr_t', f)), or {_ADVICE}"
        )
    if isinstance(found, bool) or not isinstance(found, int):
        raise TypeError(
            f"native_merge({code!r}): expected an address, an object with one (a numba "
            f"cfunc), or a function of a library loaded by ctypes; {_ADVICE}"
        )
    if found <= 0 or found > sys.maxsize * 2 + 1:
        raise ValueError(f"native_merge({found}): that is no address")
    return found


def _ctypes_address(code: object) -> int | None:
    """
    The address of a ctypes function, or None for other objects.
    """
    if "ctypes" not in sys.modules:
        return None
    import ctypes
    from _ctypes import CFuncPtr

    if not isinstance(code, CFuncPtr):
        return None
    kept: dict[str, object] = getattr(code, "_objects", None) or {}
    if any(type(one).__name__ == "CThunkObject" for one in kept.values()):
        raise TypeError(
            f"native_merge({code!r}): a callback made from a Python function would "
            f"need the GIL inside the core; {_ADVICE}"
        )
    return ctypes.cast(code, ctypes.c_void_p).value or 0


__all__ = ["MERGES", "native_merge"]
