# SPDX-License-Identifier: MIT
"""
The settings of a store: one strict model, whatever way they come in.

Keyword arguments of `pyfaster.open`, a `StoreConfig`, a mapping, the environment and a
TOML file all end in the same validation, and every mistake ends in one `ConfigError`
that lists all of them. Messages say what to change. Each setting is written down once,
here: `In` says in which table of the file it is, and `_config_tables` derives the
file's models from that. This module imports pydantic and is itself imported only when a
store is opened or `pyfaster.StoreConfig` is asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypedDict, Unpack

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from pyfaster._config_words import (
    Mistake,
    explain,
    mistakes_of,
    once,
    unknown_setting,
)
from pyfaster._sizes import (
    DEVICE_PAGES_MIN,
    INDEX_BYTES_MIN,
    MEMORY_MAX,
    PAGE_SIZE_MAX,
    PAGE_SIZE_MIN,
    PAGES_MIN,
    READ_CACHE_FROM,
    READ_CACHE_MIN,
    SEGMENT_SIZE_DEFAULT,
    SEGMENT_SIZE_MAX,
    SIZE_PATTERN,
    default_memory,
    derive_device_page_size,
    derive_page_size,
    index_bytes_for,
    parse_size,
    round_up,
    show_size,
    start_index_bytes,
)
from pyfaster.errors import ConfigError

SESSIONS_MAX = 4096
#: A century.
SECONDS_MAX = 3.2e9
#: A day: what is waited for longer than that will not come.
TIMEOUT_MAX_S = 86_400
#: Of what is allocated by its number; nobody needs more.
COUNT_MAX = 1 << 20

#: How a checkpoint is called.
_TOKEN = re.compile("[0-9a-f]{16}-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class In:
    """
    Where the file has a setting.

    Attributes:
        table: The table.

        key: The name in it; the setting's own when empty.
    """

    table: str
    key: str = ""


def plain_path(path: object) -> object:
    """
    A path as a text; anything else as it is.
    """
    return os.fspath(path) if isinstance(path, os.PathLike) else path


def refuse_odd_size(size: int) -> int:
    """
    Give a size back that is a power of two.
    """
    if size & (size - 1):
        raise ValueError(
            f"{size} is not a power of two; "
            f'the nearest is "{show_size(1 << (size.bit_length() - 1))}"'
        )
    return size


Size = Annotated[
    int,
    BeforeValidator(parse_size),
    Field(strict=True),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": SIZE_PATTERN},
            ]
        }
    ),
]
Seconds = Annotated[float, Field(strict=True, ge=0.001, le=SECONDS_MAX)]
Timeout = Annotated[float, Field(strict=True, ge=0, le=TIMEOUT_MAX_S)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True)]
Switch = (
    Flag | Annotated[str, BeforeValidator(plain_path), Field(strict=True, min_length=1)]
)


class Settings(TypedDict, total=False):
    """
    What `pyfaster.open` and `StoreConfig` take by keyword.
    """

    memory: int | str | None
    page_size: int | str | None
    index_fraction: float
    expected_keys: int
    hash: str
    sessions_max: int
    close_timeout: float
    durable: bool
    mutable_fraction: float
    read_cache: int | str | None
    segment_size: int | str
    device_options: Mapping[str, object]
    recover: str
    checkpoint_every: float | None
    checkpoint_on_close: bool
    checkpoint_timeout: float
    keep_checkpoints: int
    keep_for: float | None
    read_only: bool
    checkpoint: str | None
    sample_every: int
    event_capacity: int
    socket: bool | str | Path
    telemetry: bool


class StoreConfig(BaseModel):
    """
    The settings of a store, complete and checked.

    Attributes:
        memory: Budget for log and index together; None for no budget. Beyond it an
            in-memory store raises `StoreFullError`.

        page_size: The unit in which the log grows, a power of two. A record must fit
            a page. Derived from `memory` when not given.

        index_fraction: The share of `memory` that the index may take.

        expected_keys: Size the index for so many keys at once; 0 to start small and
            grow.

        hash: The hash of keys, by its stable name.

        sessions_max: How many sessions may be open at once.

        close_timeout: How long `close()` waits for calls in flight.

        durable: Whether what is stored must survive the process. False for a store
            that only needs more room than memory has: its files serve this process
            and are begun anew by the next one.

        mutable_fraction: The share of the log's memory in which records are changed in
            place; the rest is on its way to the device.

        read_cache: Bytes of `memory` that keep records read back from the device. None
            for an eighth of it, or none at all where `memory` is below 256 MiB.

        segment_size: Bytes of the log in one file of a device that has files, a power
            of two.

        device_options: What the device understands, by name; see its documentation.

        recover: "latest" for the newest usable checkpoint; "none" to refuse a place
            that holds some; or the token of one.

        checkpoint_every: Seconds between checkpoints that are taken in the background;
            None for none.

        checkpoint_on_close: Whether `close()` takes a last one.

        checkpoint_timeout: How long a checkpoint may take unless the call says.

        keep_checkpoints: How many of the newest checkpoints stay.

        keep_for: Seconds for which a checkpoint stays however many there are.

        read_only: Whether the store is a checkpoint that is only looked at, while
            another process may own the store.

        checkpoint: With `read_only`, the token of the checkpoint; None for the newest.

        sample_every: One in so many single operations is timed, a power of two; 0 for
            none.

        event_capacity: How many events wait for whoever listens, a power of two; what
            comes beyond that is counted and left out.

        socket: Whether tools of this machine may look at the running store: True for a
            local socket, or its path.

        telemetry: Whether OpenTelemetry's global providers are told of this store.

    Raises:
        ConfigError: Settings are unknown, out of range or contradict each other.

    Units: sizes in bytes, or texts such as "512MiB"; times in seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    memory: Annotated[
        Annotated[Size, Field(gt=0, le=MEMORY_MAX)] | None, In("store")
    ] = None
    page_size: Annotated[Size, Field(ge=PAGE_SIZE_MIN, le=PAGE_SIZE_MAX), In("log")] = 0
    index_fraction: Annotated[
        float, Field(strict=True, ge=0.01, le=0.9), In("store")
    ] = 0.5
    expected_keys: Annotated[int, Field(strict=True, ge=0, le=1 << 40), In("store")] = 0
    hash: Annotated[Text, Field(min_length=1), In("store")] = "xxh3"
    sessions_max: Annotated[
        int, Field(strict=True, ge=1, le=SESSIONS_MAX), In("sessions", "max")
    ] = SESSIONS_MAX
    close_timeout: Annotated[Timeout, In("store")] = 30.0
    durable: Annotated[Flag, In("store")] = True
    mutable_fraction: Annotated[float, Field(strict=True, ge=0.01, le=1), In("log")] = (
        0.9
    )
    read_cache: Annotated[
        Annotated[Size, Field(ge=0, le=MEMORY_MAX)] | None, In("log")
    ] = None
    segment_size: Annotated[
        Size, Field(ge=PAGE_SIZE_MIN, le=SEGMENT_SIZE_MAX), In("device")
    ] = SEGMENT_SIZE_DEFAULT
    device_options: Annotated[Mapping[str, object], In("device", "options")] = Field(
        default_factory=dict
    )
    recover: Annotated[Text, In("checkpoint")] = "latest"
    checkpoint_every: Annotated[Seconds | None, In("checkpoint", "every")] = None
    checkpoint_on_close: Annotated[Flag, In("checkpoint", "on_close")] = True
    checkpoint_timeout: Annotated[Timeout, In("checkpoint", "timeout")] = 600.0
    keep_checkpoints: Annotated[
        int, Field(strict=True, ge=1, le=COUNT_MAX), In("checkpoint", "keep")
    ] = 2
    keep_for: Annotated[Seconds | None, In("checkpoint")] = None
    read_only: Annotated[Flag, In("store")] = False
    checkpoint: Annotated[Text | None, In("checkpoint", "mount")] = None
    sample_every: Annotated[
        int, Field(strict=True, ge=0, le=COUNT_MAX), In("observability")
    ] = 1024
    event_capacity: Annotated[
        int, Field(strict=True, ge=16, le=COUNT_MAX), In("observability", "events")
    ] = 4096
    socket: Annotated[Switch, In("observability")] = False
    telemetry: Annotated[Flag, In("observability")] = False

    def __init__(self, **settings: Unpack[Settings]) -> None:
        try:
            super().__init__(**_asked(settings))
        except ValidationError as error:
            raise ConfigError(explain(_told(error))) from None

    @classmethod
    def checked(cls, settings: Settings) -> tuple[StoreConfig | None, list[Mistake]]:
        """
        The configuration that has these settings, or all that is wrong with them.
        """
        config = cls.__new__(cls)
        try:
            BaseModel.__init__(config, **_asked(settings))
        except ValidationError as error:
            return None, once(mistakes_of(error.errors()))
        return config, []

    @field_validator("page_size", mode="before")
    @classmethod
    def _derive_page_size(cls, size: object, info: ValidationInfo) -> object:
        if size is None or (size == 0 and size is not False):
            memory = info.data.get("memory")
            return derive_page_size(memory)
        return size

    @field_validator("page_size", "segment_size")
    @classmethod
    def _check_size(cls, size: int) -> int:
        return refuse_odd_size(size)

    @field_validator("sample_every", "event_capacity")
    @classmethod
    def _check_power(cls, count: int) -> int:
        if count & (count - 1):
            raise ValueError(
                f"{count} is not a power of two; the nearest below is "
                f"{1 << (count.bit_length() - 1)}"
            )
        return count

    @field_validator("recover", "checkpoint")
    @classmethod
    def _check_token(cls, text: str | None, info: ValidationInfo) -> str | None:
        words = ("latest", "none") if info.field_name == "recover" else (None,)
        if text in words or (text is not None and _TOKEN.fullmatch(text)):
            return text
        also = ' "latest", "none", or' if info.field_name == "recover" else ""
        raise ValueError(
            f"{text!r} is no checkpoint; give{also} a token as store.checkpoints() and "
            "`pyfaster checkpoints list` show it"
        )

    def on_device(self) -> StoreConfig:
        """
        Give these settings with what a store on a device derives for itself: a budget,
        pages so small that many fit in it, and the size of the read cache.

        Raises:
            ConfigError: The pages, the read cache and the index that were asked for do
                not fit the budget, or a segment holds no page.
        """
        given = {name: getattr(self, name) for name in self.model_fields_set}
        memory = self.memory if self.memory is not None else default_memory()
        given["memory"] = memory
        if "page_size" not in given:
            given["page_size"] = derive_device_page_size(memory)
        if self.read_cache is None:
            given["read_cache"] = memory // 8 if memory >= READ_CACHE_FROM else 0
        full = StoreConfig(**given)
        if full.segment_size < full.page_size:
            raise ConfigError(
                f"segment_size={show_size(full.segment_size)} is smaller than a page "
                f"of {show_size(full.page_size)}; raise it to at least that"
            )
        _check_device_memory(full, memory)
        return full

    @model_validator(mode="after")
    def _check_together(self) -> StoreConfig:
        sentences = [*self._wrong_mount(), *self._wrong_memory()]
        if sentences:
            raise ValueError("\n".join(sentences))
        return self

    def _wrong_mount(self) -> Iterator[str]:
        """
        What contradicts looking at a checkpoint.
        """
        if self.checkpoint is not None and not self.read_only:
            yield (
                f"checkpoint={self.checkpoint!r} is for read_only=True; to go on from "
                f"there, give recover={self.checkpoint!r}"
            )
        if self.read_only and "recover" in self.model_fields_set:
            yield (
                "recover= and read_only=True contradict each other; checkpoint= says "
                "which one is looked at"
            )
        if self.read_only and self.checkpoint_every is not None:
            yield "checkpoint_every= and read_only=True contradict each other"

    def _wrong_memory(self) -> Iterator[str]:
        """
        What the budget cannot hold.
        """
        if self.memory is None:
            return
        permille = round(self.index_fraction * 1000)
        index = index_bytes_for(self.expected_keys)
        least = max(
            PAGES_MIN * self.page_size + index,
            -(-index // permille) * 1000,  # the core's own rounding
        )
        if self.memory >= least:
            return
        if self.expected_keys and index > INDEX_BYTES_MIN:
            yield (
                f"memory={show_size(self.memory)} with "
                f"index_fraction={self.index_fraction} cannot hold the index of "
                f"{show_size(index)} that expected_keys={self.expected_keys} needs; "
                f"raise memory to {show_size(round_up(least))}, raise index_fraction, "
                "or expect fewer keys"
            )
            return
        yield (
            f"memory={show_size(self.memory)} cannot hold two pages of "
            f"{show_size(self.page_size)} and the first index of {show_size(index)} "
            f"in its share of {self.index_fraction}; raise memory to at least "
            f"{show_size(round_up(least))}, or lower page_size"
        )


def _check_device_memory(config: StoreConfig, memory: int) -> None:
    """
    Refuse what a budget on a device cannot hold from the beginning.
    """
    cache = config.read_cache or 0
    if 0 < cache < READ_CACHE_MIN:
        raise ConfigError(
            f"read_cache={show_size(cache)} is too small to keep anything; give at "
            f"least {show_size(READ_CACHE_MIN)}, or 0 for none"
        )
    index = start_index_bytes(memory, config.index_fraction, config.expected_keys)
    least = DEVICE_PAGES_MIN * config.page_size + index + cache
    if memory < least:
        lower = "lower page_size" if not cache else "lower read_cache or page_size"
        with_cache = f", a read cache of {show_size(cache)}" if cache else ""
        raise ConfigError(
            f"memory={show_size(memory)} cannot hold four pages of "
            f"{show_size(config.page_size)}{with_cache} and the first index of "
            f"{show_size(index)}, which a store on a device begins with; raise memory "
            f"to at least {show_size(round_up(least))}, or {lower}"
        )


def _asked(settings: Settings) -> Settings:
    """
    Settings without a page size that nobody asks for.
    """
    size = settings.get("page_size", False)
    if size is None or (size == 0 and size is not False):
        rest = settings.copy()
        del rest["page_size"]
        return rest
    return settings


def _told(error: ValidationError) -> list[str]:
    """
    What is wrong, a sentence for each.
    """
    return [
        unknown_setting(".".join(one.path), StoreConfig.model_fields)
        if one.unknown
        else str(one)
        for one in once(mistakes_of(error.errors()))
    ]


__all__ = [
    "COUNT_MAX",
    "TIMEOUT_MAX_S",
    "Flag",
    "In",
    "Settings",
    "Size",
    "StoreConfig",
    "Text",
    "index_bytes_for",
    "parse_size",
    "plain_path",
    "refuse_odd_size",
    "show_size",
]
