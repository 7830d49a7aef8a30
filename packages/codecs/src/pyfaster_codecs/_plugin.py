# SPDX-License-Identifier: MIT
"""
What this distribution tells pyfaster: its codec providers and its hashes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from pyfaster.hookspecs import hookimpl
from pyfaster.protocols import Codec, CodecProvider, HashChoice
from pyfaster_codecs._hashes import OFFERED
from pyfaster_codecs._providers import (
    JsonProvider,
    MsgPackProvider,
    NumpyProvider,
    Registered,
    StructProvider,
)

C = TypeVar("C", bound=Codec[Any])

#: The codecs that `register` adds; asked first.
registered = Registered()


@hookimpl
def pyfaster_codecs() -> list[CodecProvider]:
    """
    Give the providers; registered codecs come first, then the families.
    """
    return [
        registered,
        StructProvider(),
        NumpyProvider(),
        JsonProvider(),
        MsgPackProvider(),
    ]


@hookimpl
def pyfaster_hashes() -> list[HashChoice]:
    """
    Give the hashes beyond the core's own.
    """
    return list(OFFERED)


def unregister(name: str) -> None:
    """
    Forget a codec that was registered; an unknown name is ignored.

    Stores that are open keep it.
    """
    registered.drop(name)


@overload
def register(codec: C, *, types: tuple[type, ...] = ()) -> C: ...
@overload
def register(codec: type[C], *, types: tuple[type, ...] = ()) -> type[C]: ...
@overload
def register(*, types: tuple[type, ...]) -> Callable[[type[C]], type[C]]: ...
def register(codec: Any = None, *, types: tuple[type, ...] = ()) -> Any:
    """
    Make a codec known in this process, by its name and by types it serves.

    A codec need not be registered to be used: passing it as `key=` or `value=` is
    enough. Registering lets `value=Point` and `value="point"` find it.

    Args:
        codec: A codec, or a class of codecs that can be made without arguments (as a
            decorator).

        types: Classes that the codec serves.

    Returns:
        What was given.

    Raises:
        CodecError: It is no codec, or a type cannot be taken.

        ConfigError: The name is not allowed, or the name or a type is taken.
    """
    if codec is None:
        return lambda kind: register(kind, types=types)
    registered.add(codec() if isinstance(codec, type) else codec, tuple(types))
    return codec
