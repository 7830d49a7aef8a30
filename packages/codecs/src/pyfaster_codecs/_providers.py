# SPDX-License-Identifier: MIT
"""
Which codec serves what a user writes as `key=` or `value=`.

One provider for each family, and one for codecs that a program registered. A provider
answers None for whatever is not its business, so that others may answer.
"""

from __future__ import annotations

import struct
import sys
import threading
import typing
from typing import Any

from pyfaster.errors import CodecError, ConfigError
from pyfaster.protocols import Codec
from pyfaster_codecs import _json, _layout, _msgpack, _struct
from pyfaster_codecs._json import Json
from pyfaster_codecs._msgpack import MsgPack
from pyfaster_codecs._names import FAMILIES, check_name
from pyfaster_codecs._numpy import Numpy, numpy_by_name
from pyfaster_codecs._struct import Struct

#: Types that the core serves itself.
_CORE_TYPES = (bytes, str, int, float)


class Registered:
    """
    The codecs that a program registered; any thread may use it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[str, Codec[Any]] = {}
        self._types: dict[type, Codec[Any]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The registered names, but for those of a family, which claims them all."""
        with self._lock:
            return tuple(sorted(name for name in self._names if not _of_family(name)))

    def add(self, codec: Codec[Any], types: tuple[type, ...] = ()) -> None:
        """
        Add a codec; adding it again does nothing.

        Raises:
            CodecError: It is no codec, or a type cannot be taken.

            ConfigError: Its name is not allowed, or it or a type is taken.
        """
        if isinstance(codec, type) or not isinstance(codec, Codec):
            raise CodecError(
                f"{codec!r} does not fit pyfaster.protocols.Codec; make one with "
                "pyfaster_codecs.codec(name=..., encode=..., decode=...)"
            )
        name = codec.name
        if not (isinstance(codec, (Struct, Numpy, MsgPack, Json)) and _of_family(name)):
            check_name(name)
        with self._lock:
            self._check_free(name, codec, types)
            self._names[name] = codec
            self._types.update((kind, codec) for kind in types)

    def drop(self, name: str) -> None:
        """
        Take a codec and its types away; an unknown name is ignored.
        """
        with self._lock:
            codec = self._names.pop(name, None)
            kept = {kind: one for kind, one in self._types.items() if one is not codec}
            self._types = kept

    def _check_free(
        self, name: str, codec: Codec[Any], types: tuple[type, ...]
    ) -> None:
        other = self._names.get(name)
        if other is not None and other is not codec:
            raise ConfigError(
                f"two codecs are named {name!r}: {other!r} is registered, {codec!r} "
                "came later; rename one, or unregister({name!r}) first"
            )
        for kind in types:
            if not isinstance(kind, type) or kind in _CORE_TYPES:
                raise CodecError(
                    f"codec {name!r} cannot serve {kind!r}: types= takes classes other "
                    "than bytes, str, int and float, which pyfaster serves itself"
                )
            taken = self._types.get(kind)
            if taken is not None and taken is not codec:
                raise ConfigError(
                    f"{kind.__name__} is served by the codec {taken.name!r}; {name!r} "
                    "came later; pass the codec itself as key= or value="
                )

    def codec_for(self, spec: object, /) -> Codec[object] | None:
        """
        Find a codec by its name or by a type it was registered for.
        """
        with self._lock:
            if isinstance(spec, str):
                return self._names.get(spec)
            return self._types.get(spec) if isinstance(spec, type) else None


def _of_family(name: str) -> bool:
    head, colon, _ = name.partition(":")
    return bool(colon) and head in FAMILIES


class StructProvider:
    """
    Formats: `struct.Struct` objects and names.
    """

    names = (_struct.PREFIX,)

    def codec_for(self, spec: object, /) -> Codec[Any] | None:
        """
        Make the codec of a `struct.Struct` or a name.
        """
        if isinstance(spec, struct.Struct):
            return Struct(spec.format)
        if isinstance(spec, str) and spec.startswith(_struct.PREFIX):
            return _struct.struct_by_name(spec)
        return None


class NumpyProvider:
    """
    dtypes, numpy's scalar types, and names.
    """

    names = (_layout.PREFIX,)

    def codec_for(self, spec: object, /) -> Codec[Any] | None:
        """
        Make the codec of a dtype, a scalar type or a name.
        """
        if isinstance(spec, str):
            named = spec.startswith(_layout.PREFIX)
            return numpy_by_name(spec) if named else None
        numpy = sys.modules.get("numpy")
        if numpy is None:  # then nobody can have made a dtype
            return None
        scalar = isinstance(spec, type) and issubclass(spec, numpy.generic)
        return Numpy(spec) if scalar or isinstance(spec, numpy.dtype) else None


class MsgPackProvider:
    """
    Whatever msgspec knows, but for what the core serves itself.
    """

    names = (_msgpack.PREFIX,)

    def codec_for(self, spec: object, /) -> Codec[Any] | None:
        """
        Make the codec of a type.
        """
        if isinstance(spec, str):
            if spec.startswith(_msgpack.PREFIX):
                raise _unregistered(spec, "MsgPack")
            return None
        if not _is_type(spec) or spec in _CORE_TYPES or _is_numpy(spec):
            return None
        return MsgPack(spec) if _msgpack.known_to_msgspec(spec) else None


class JsonProvider:
    """
    pydantic models.
    """

    names = (_json.PREFIX,)

    def codec_for(self, spec: object, /) -> Codec[Any] | None:
        """
        Make the codec of a model's class.
        """
        if isinstance(spec, str) and spec.startswith(_json.PREFIX):
            raise _unregistered(spec, "Json")
        if _json.is_model(spec):
            model: Any = spec
            return Json(model)
        return None


def _is_type(spec: object) -> bool:
    return (
        isinstance(spec, (type, typing.NewType))
        or typing.get_origin(spec) is not None
        or (hasattr(spec, "__value__") and hasattr(spec, "__type_params__"))
    )


def _is_numpy(spec: object) -> bool:
    numpy = sys.modules.get("numpy")
    return (
        numpy is not None
        and isinstance(spec, type)
        and issubclass(spec, (numpy.generic, numpy.ndarray))
    )


def _unregistered(name: str, maker: str) -> CodecError:
    schema = name.partition(":")[2]
    return CodecError(
        f"the name {name!r} does not say what the data looks like, and nothing is "
        f"imported because a name says so: pass the type, or register it with "
        f"pyfaster_codecs.register({maker}(type, name={schema!r}))"
    )
