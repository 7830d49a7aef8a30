# SPDX-License-Identifier: MIT
"""
`pyfaster.open`: from what a user writes to a store that is ready.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from pyfaster import _cabi
from pyfaster._home import Directory, Home, fresh_id
from pyfaster._opened import remember
from pyfaster._store import FasterKv
from pyfaster.errors import (
    KEY_SIZE_MAX,
    ConfigError,
    FasterError,
    error_for,
)
from pyfaster.protocols import (
    VALUE_TYPES,
    Codec,
    DeviceSettings,
    NativeDevice,
    PythonDevice,
)

if TYPE_CHECKING:
    from pyfaster._config import Settings, StoreConfig
    from pyfaster._config_check import Asked
    from pyfaster._durable import Durability
    from pyfaster.checkpoints import CheckpointFiles

    ConfigLike = StoreConfig | Mapping[str, Any] | str | os.PathLike[str]
    PathLike = str | os.PathLike[str]
    DeviceLike = str | NativeDevice | PythonDevice
    CheckpointsLike = PathLike | CheckpointFiles
    PluginSettings = Mapping[str, Mapping[str, Any]]

K = TypeVar("K")
V = TypeVar("V")

MEMORY = ":memory:"

FIXED = 1
VARLEN = 2
#: What precedes key and value in a record.
FIXED_HEADER = 16
#: The log's first page begins this much later, so that no record has address 0.
PAGE_RESERVE = 64
#: Records and the parts of fixed ones start at multiples of this.
ALIGNMENT = 8

# Two letters at least: "C:\data" is a path.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):", re.IGNORECASE)


@overload
def open(
    path: PathLike | None = None,
    *,
    device: DeviceLike | None = None,
    checkpoints: CheckpointsLike | None = None,
    config: ConfigLike | None = None,
    plugins: PluginSettings | None = None,
    **settings: Unpack[Settings],
) -> FasterKv[bytes, bytes]: ...
@overload
def open(
    path: PathLike | None = None,
    *,
    key: type[K] | Codec[K],
    device: DeviceLike | None = None,
    checkpoints: CheckpointsLike | None = None,
    config: ConfigLike | None = None,
    plugins: PluginSettings | None = None,
    **settings: Unpack[Settings],
) -> FasterKv[K, bytes]: ...
@overload
def open(
    path: PathLike | None = None,
    *,
    value: type[V] | Codec[V],
    device: DeviceLike | None = None,
    checkpoints: CheckpointsLike | None = None,
    config: ConfigLike | None = None,
    plugins: PluginSettings | None = None,
    **settings: Unpack[Settings],
) -> FasterKv[bytes, V]: ...
@overload
def open(
    path: PathLike | None = None,
    *,
    key: type[K] | Codec[K],
    value: type[V] | Codec[V],
    device: DeviceLike | None = None,
    checkpoints: CheckpointsLike | None = None,
    config: ConfigLike | None = None,
    plugins: PluginSettings | None = None,
    **settings: Unpack[Settings],
) -> FasterKv[K, V]: ...
@overload
def open(
    path: PathLike | None = None,
    *,
    key: object,
    value: object,
    device: DeviceLike | None = None,
    checkpoints: CheckpointsLike | None = None,
    config: ConfigLike | None = None,
    plugins: PluginSettings | None = None,
    **settings: Unpack[Settings],
) -> FasterKv[Any, Any]: ...
def open(
    path: Any = None,
    *,
    key: object = bytes,
    value: object = bytes,
    device: DeviceLike | None = None,
    checkpoints: CheckpointsLike | None = None,
    config: ConfigLike | None = None,
    plugins: PluginSettings | None = None,
    **settings: Unpack[Settings],
) -> FasterKv[Any, Any]:
    """
    Open a store.

    Args:
        path: None or ":memory:" for a store in memory; else a directory, or what a
            device scheme understands ("uring:data").

        key: The type of the keys, or their codec.

        value: The type of the values, or their codec.

        device: The device scheme for a path that names none; "file" when None. Or,
            without a path, a device itself.

        checkpoints: Where checkpoints are kept: a directory, or what meets
            `pyfaster.checkpoints.CheckpointFiles`. For a path it is its folder
            "checkpoints"; a device itself has none unless this says. An object is
            closed with the store.

        config: A `StoreConfig`, a mapping, or the path of a TOML file. What variables
            `PYFASTER__TABLE__KEY` of the environment say wins over a file.

        plugins: Settings of plugins, by table; win over `config`.

        **settings: Any setting of `StoreConfig`; wins over `config`.

    Returns:
        A store; close it, or use it in a `with` statement.

    Raises:
        ConfigError: A setting is wrong, or there is no codec for a type.

        PluginMissingError: Something needs a distribution that is not installed; the
            message has the `pip install` line.

        StoreLockedError: Another store has the directory open, here or in another
            process; the message has its process id.

        CorruptCheckpointError: There are checkpoints, and none is usable. Nothing was
            changed.

        UnsupportedFormatError: They are of another format, layout or codec.

        OutOfMemoryError: The system gives no memory.

    Units: sizes in bytes, or texts such as "512MiB".

    Cost: the first call imports the settings' model; then one C call.

    >>> with open(key=str, value=int) as store:
    ...     store["apples"] = 3
    ...     store.rmw("apples", 2, merge="add")
    5
    """
    # Slow to import; a program that opens nothing does not pay for it.
    from pyfaster._config_layers import resolve

    asked = resolve(config, settings, plugins)
    return _open(path, key, value, device, checkpoints, asked)


def _open(
    path: Any,
    key: object,
    value: object,
    device: DeviceLike | None,
    checkpoints: CheckpointsLike | None,
    asked: Asked,
) -> FasterKv[Any, Any]:
    from pyfaster._registry import registry
    from pyfaster._resolve import codec_for, hash_for, observer_for

    full = asked.config
    if full.socket or full.telemetry:
        observer_for(full, registry=registry)
    key_codec = codec_for(key, role="key", registry=registry)
    value_codec = codec_for(value, role="value", registry=registry)
    number = hash_for(full.hash, registry=registry)
    request = Request(full, key_codec, value_codec, number)
    place = _place_of(path, device, asked.scheme)
    if is_durable(full, place, checkpoints):
        from pyfaster._open_durable import open_durable  # not everybody needs it

        assert place is not None
        opened = open_durable(request, place, checkpoints)
    else:
        opened = _open_volatile(request, place)
    store: FasterKv[Any, Any] = FasterKv(
        opened.kv,
        name=opened.home.name,
        home=opened.home,
        config=opened.config,
        registry=registry,
        key_codec=key_codec,
        value_codec=value_codec,
        durability=opened.durability,
    )
    store._plugin_settings = asked.plugins
    _announce(store)
    return store


@dataclass(frozen=True, slots=True)
class Request:
    """
    What a user asked for, resolved.

    Attributes:
        config: The settings.

        key_codec: How keys become bytes.

        value_codec: How values become bytes.

        hash: The number of the hash of keys.
    """

    config: StoreConfig
    key_codec: Codec[Any]
    value_codec: Codec[Any]
    hash: int


@dataclass(frozen=True, slots=True)
class Opened:
    """
    What a store is made of.

    Attributes:
        kv: The core's handle.

        home: Where it lives.

        config: The settings, complete.

        durability: Its checkpoints, if it takes any.
    """

    kv: _cabi.Kv
    home: Home
    config: StoreConfig
    durability: Durability | None = None


def is_durable(
    config: StoreConfig, place: tuple[Any, str] | None, checkpoints: object
) -> bool:
    """
    Whether a store is to survive its process.

    Raises:
        ConfigError: Settings contradict each other.
    """
    from pyfaster.hookspecs import DeviceScheme

    if place is None or not config.durable:
        if checkpoints is not None or config.read_only:
            what = "read_only=True" if checkpoints is None else "checkpoints="
            if place is None:
                why = "needs a path or a device; memory keeps nothing"
            else:
                why = "and durable=False contradict each other"
            raise ConfigError(f"{what} {why}")
        return False
    if isinstance(place[0], DeviceScheme) or checkpoints is not None:
        return True
    if "durable" in config.model_fields_set or config.read_only:
        raise ConfigError(
            "a device object keeps no checkpoints; say where they are kept with "
            "checkpoints="
        )
    return False


def _open_volatile(request: Request, place: tuple[Any, str] | None) -> Opened:
    """
    Open a store whose data ends with it.
    """
    config = request.config
    if place is not None:
        config = config.on_device()
    sizes = layout_of(request, config.page_size)
    home = _open_device(place, config)
    return Opened(open_core(request, config, sizes, home), home, config)


def _announce(store: FasterKv[Any, Any]) -> None:
    """
    Begin a store, and tell plugins of it; where a warning is made an error, the store
    is closed.
    """
    remember(store)
    try:
        store.tell_plugins("pyfaster_store_opened")
        store._listen_if_heard()
        store._begin()
    except BaseException:
        store.close(0, checkpoint=False)
        raise


def _place_of(
    path: object, device: object, usual: str | None
) -> tuple[Any, str] | None:
    """
    Who keeps the store's log, and where; None for a store in memory.

    Args:
        path: As in `open`.

        device: Likewise.

        usual: The scheme where neither says one; "file" when None.
    """
    from pyfaster._registry import registry
    from pyfaster._resolve import device_for

    if path is None or path == MEMORY:
        if device is None:
            return None
        if isinstance(device, str):
            raise ConfigError(
                f"device={device!r} needs a path; a store in memory has no device"
            )
        return device, ""
    if not isinstance(path, (str, os.PathLike)):
        raise ConfigError(f"path={path!r}: give a path, or None for a store in memory")
    if device is not None and not isinstance(device, str):
        raise ConfigError(
            f"path={path!r} and a device object: give one or the other, or the "
            "device's scheme as a text"
        )
    where = os.fspath(path)
    scheme = device or usual or "file"
    match = _SCHEME.match(where) if isinstance(path, str) else None
    if match is not None:
        scheme = match[1].lower()
        where = where[match.end() :]
        if device not in (None, scheme):
            raise ConfigError(f"path={path!r} and device={device!r} disagree")
    if not where:
        raise ConfigError(f"path={path!r} names no place; give a directory")
    return device_for(scheme, registry=registry), where


def _open_device(place: tuple[Any, str] | None, config: StoreConfig) -> Home:
    """
    Open the device, if there is one, and take its directory.
    """
    from pyfaster.hookspecs import DeviceScheme

    if place is None:
        return Home(MEMORY)
    scheme, where = place
    store_id = fresh_id()
    if not isinstance(scheme, DeviceScheme):
        return Home.of_device(scheme, type(scheme).__name__, store_id)
    name = f"{scheme.name}:{where}"
    directory = Directory(where) if scheme.capabilities.get("directory") else None
    try:
        if directory is not None:
            directory.refuse_checkpoints()
        device = scheme.factory(
            where,
            DeviceSettings(
                store_id=store_id,
                segment_size=config.segment_size,
                fresh=True,
                options=dict(config.device_options),
            ),
        )
        return Home.of_device(device, name, store_id, directory)
    except BaseException:
        if directory is not None:
            directory.close()
        raise


def layout_of(request: Request, page_size: int) -> dict[str, int]:
    """
    The store's layout, key size and value size.
    """
    key_codec = request.key_codec
    key_size, value_size = key_codec.size, request.value_codec.size
    if key_size == 0:
        raise ConfigError(
            f"key codec {key_codec.name!r}: keys of 0 bytes are all equal"
        )
    if key_size is not None and key_size > KEY_SIZE_MAX:
        raise ConfigError(
            f"key codec {key_codec.name!r}: {key_size:,} bytes; "
            f"keys have at most {KEY_SIZE_MAX:,}"
        )
    if key_size is None or value_size is None:
        return {"layout": VARLEN, "key_size": 0, "value_size": 0}
    record = FIXED_HEADER + _aligned(key_size) + _aligned(value_size)
    if record > page_size - PAGE_RESERVE:
        needed = 1 << (record + PAGE_RESERVE - 1).bit_length()
        raise ConfigError(
            f"a record of {record:,} bytes does not fit page_size={page_size:,}; "
            f"open with page_size={needed} or more"
        )
    return {"layout": FIXED, "key_size": key_size, "value_size": value_size}


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def open_core(
    request: Request,
    config: StoreConfig,
    sizes: dict[str, int],
    home: Home,
    generations: Sequence[tuple[int, int]] = (),
    **recovery: int,
) -> _cabi.Kv:
    """
    Start the core; the home is let go when it refuses.

    Args:
        request: What the user asked for.

        config: The settings, complete.

        sizes: What `layout_of` gave.

        home: Where the store lives.

        generations: Of a durable store.

        **recovery: `log_start`, `log_until` and `version` of one that is recovered.
    """
    try:
        return _cabi.kv_open(
            device=home.hand_over(),
            store_id=home.store_id,
            read_cache=config.read_cache or 0 if home.device is not None else 0,
            mutable_permille=round(config.mutable_fraction * 1000),
            generations=generations,
            **recovery,
            **sizes,
            hash=request.hash,
            value_type=VALUE_TYPES.index(request.value_codec.value_type),
            page_size=config.page_size,
            memory=config.memory or 0,
            expected_keys=config.expected_keys,
            index_permille=round(config.index_fraction * 1000),
            sessions_max=config.sessions_max,
            event_capacity=config.event_capacity,
            sample_every=config.sample_every,
        )
    except BaseException as error:
        home.close()
        if isinstance(error, FasterError):
            raise _explain(error, config) from error
        raise


def _explain(error: FasterError, config: StoreConfig) -> FasterError:
    """
    Say which settings the core refused.
    """
    given = ", ".join(f"{name}={value!r}" for name, value in config)
    if error.status in (_cabi.FULL, _cabi.CONFIG):
        return ConfigError(
            f"the core cannot open a store with {given}; raise memory, lower "
            "page_size, expected_keys or read_cache, or leave settings out",
            status=error.status,
        )
    return error_for(error.status, f"opening a store with {given}")
