# SPDX-License-Identifier: MIT
"""
The settings of a store: one strict model, whatever way they come in.

Keyword arguments of `pyfaster.open`, a `StoreConfig`, a mapping and a TOML file all end
in the same validation, and every mistake ends in one `ConfigError` that lists all of
them. Messages say what to change. This module imports pydantic and is itself imported
only when a store is opened or `pyfaster.StoreConfig` is asked for.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, Unpack

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pyfaster.errors import ConfigError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PAGE_SIZE_MIN = 4 << 10
PAGE_SIZE_MAX = 1 << 30
#: Used when neither page_size nor memory is given; large pages flush in few requests.
PAGE_SIZE_DEFAULT = 4 << 20
#: A budget is cut into at least this many pages, so that most of it is usable.
PAGES_WANTED = 16
#: The same for a store on a device, whose pages come and go one by one.
DEVICE_PAGES_WANTED = 64
#: Budgets of stores on a device that say none.
MEMORY_DEFAULT = 1 << 30
MEMORY_DEFAULT_MIN = 64 << 20
#: A smaller budget is better spent on the log than on a read cache.
READ_CACHE_FROM = 256 << 20
SEGMENT_SIZE_DEFAULT = 1 << 30
#: The log needs one page to write to and one to move on to.
PAGES_MIN = 2
#: What the index starts with when no keys are announced (`index.h`, INDEX_BITS_MIN).
INDEX_BYTES_MIN = 16 << 10
#: The index doubles once it holds more keys than this per bucket of 64 bytes.
KEYS_PER_BUCKET = 4
BUCKET_BYTES = 64
MEMORY_MAX = 1 << 47
SESSIONS_MAX = 4096
#: A century.
SECONDS_MAX = 3.2e9
#: A day: what is waited for longer than that will not come.
TIMEOUT_MAX_S = 86_400

#: How a checkpoint is called.
_TOKEN = re.compile("[0-9a-f]{16}-[0-9a-f]{16}")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(B|[KMGT]i?B)?\s*", re.IGNORECASE)
_UNITS = {"b": 1} | {
    f"{letter}{infix}b": base**power
    for infix, base in (("", 1000), ("i", 1024))
    for power, letter in enumerate("kmgt", start=1)
}


def parse_size(size: object) -> object:
    """
    Give a size in bytes: an int as it is, or a text such as "512MiB".

    Raises:
        ValueError: The text is not a size, or not a whole number of bytes.
    """
    if isinstance(size, bool) or not isinstance(size, str):
        return size
    match = _SIZE.fullmatch(size)
    if match is None:
        raise ValueError(
            f"{size!r} is not a size; write bytes as an int, or a number with "
            'B, KiB, MiB, GiB, TiB (or kB, MB, GB, TB), as in "512MiB"'
        )
    number, unit = match[1], (match[2] or "B").lower()
    whole, _, decimals = number.partition(".")
    bytes_, rest = divmod(int(whole + decimals) * _UNITS[unit], 10 ** len(decimals))
    if rest:
        raise ValueError(f"{size!r} is not a whole number of bytes")
    return bytes_


def show_size(size: int) -> str:
    """
    A size as people write it: the largest unit that divides it.
    """
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size and size % (1 << power) == 0:
            return f"{size >> power}{unit}"
    return f"{size:,} bytes"


def derive_page_size(memory: int | None) -> int:
    """
    Give the page size for a budget: 4 MiB, less when the budget is small.
    """
    if memory is None:
        return PAGE_SIZE_DEFAULT
    share = max(memory // PAGES_WANTED, PAGE_SIZE_MIN)
    return min(PAGE_SIZE_DEFAULT, 1 << (share.bit_length() - 1))


def derive_device_page_size(memory: int) -> int:
    """
    Give the page size for a budget of which most is on its way to a device.

    More pages than in memory: whole ones are written, evicted and prepared.
    """
    share = max(memory // DEVICE_PAGES_WANTED, PAGE_SIZE_MIN)
    return min(PAGE_SIZE_DEFAULT, 1 << (share.bit_length() - 1))


def default_memory() -> int:
    """
    Give the budget of a store on a device that says none: 1 GiB, or a quarter of the
    machine's memory where that is less.
    """
    try:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return MEMORY_DEFAULT
    return min(MEMORY_DEFAULT, max(physical // 4, MEMORY_DEFAULT_MIN))


def index_bytes_for(expected_keys: int) -> int:
    """
    Give the size of an index that holds so many keys without growing.
    """
    buckets = expected_keys // KEYS_PER_BUCKET + 1
    return max(INDEX_BYTES_MIN, (1 << (buckets - 1).bit_length()) * BUCKET_BYTES)


Size = Annotated[int, BeforeValidator(parse_size), Field(strict=True)]
Seconds = Annotated[float, Field(ge=0.001, le=SECONDS_MAX)]


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

    Raises:
        ConfigError: Settings are unknown, out of range or contradict each other.

    Units: sizes in bytes, or texts such as "512MiB"; times in seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    memory: Annotated[Size, Field(gt=0, le=MEMORY_MAX)] | None = None
    page_size: Size = 0
    index_fraction: Annotated[float, Field(ge=0.01, le=0.9)] = 0.5
    expected_keys: Annotated[int, Field(strict=True, ge=0, le=1 << 40)] = 0
    hash: Annotated[str, Field(strict=True, min_length=1)] = "xxh3"
    sessions_max: Annotated[int, Field(strict=True, ge=1, le=SESSIONS_MAX)] = (
        SESSIONS_MAX
    )
    close_timeout: Annotated[float, Field(ge=0, le=TIMEOUT_MAX_S)] = 30.0
    durable: Annotated[bool, Field(strict=True)] = True
    mutable_fraction: Annotated[float, Field(ge=0.01, le=1)] = 0.9
    read_cache: Annotated[Size, Field(ge=0, le=MEMORY_MAX)] | None = None
    segment_size: Size = SEGMENT_SIZE_DEFAULT
    device_options: Mapping[str, object] = Field(default_factory=dict)
    recover: Annotated[str, Field(strict=True)] = "latest"
    checkpoint_every: Seconds | None = None
    checkpoint_on_close: Annotated[bool, Field(strict=True)] = True
    checkpoint_timeout: Annotated[float, Field(ge=0, le=TIMEOUT_MAX_S)] = 600.0
    keep_checkpoints: Annotated[int, Field(strict=True, ge=1, le=1 << 20)] = 2
    keep_for: Seconds | None = None
    read_only: Annotated[bool, Field(strict=True)] = False
    checkpoint: Annotated[str, Field(strict=True)] | None = None

    def __init__(self, **settings: Unpack[Settings]) -> None:
        size = settings.get("page_size", False)
        if size is None or (size == 0 and size is not False):
            settings.pop("page_size", None)  # not a size that somebody asks for
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise ConfigError(_explain(error.errors())) from None

    @field_validator("page_size", mode="before")
    @classmethod
    def _derive_page_size(cls, size: object, info: ValidationInfo) -> object:
        if size is None or (size == 0 and size is not False):
            memory = info.data.get("memory")
            return derive_page_size(memory)
        return size

    @field_validator("page_size")
    @classmethod
    def _check_page_size(cls, size: int) -> int:
        if not PAGE_SIZE_MIN <= size <= PAGE_SIZE_MAX or size & (size - 1):
            near = min(max(size, PAGE_SIZE_MIN), PAGE_SIZE_MAX)
            raise ValueError(
                f"{size} is not a power of two from 4KiB to 1GiB; "
                f'the nearest is "{show_size(1 << (near.bit_length() - 1))}"'
            )
        return size

    @field_validator("segment_size")
    @classmethod
    def _check_segment_size(cls, size: int) -> int:
        if not PAGE_SIZE_MIN <= size <= MEMORY_MAX or size & (size - 1):
            near = min(max(size, PAGE_SIZE_MIN), MEMORY_MAX)
            raise ValueError(
                f"{size} is not a power of two from 4KiB on; "
                f'the nearest is "{show_size(1 << (near.bit_length() - 1))}"'
            )
        return size

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
            ConfigError: A page size that was given does not fit the budget, or the
                index that `expected_keys` needs does not.
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
        return full

    @model_validator(mode="after")
    def _check_mount(self) -> StoreConfig:
        if self.checkpoint is not None and not self.read_only:
            raise ValueError(
                f"checkpoint={self.checkpoint!r} is for read_only=True; to go on from "
                f"there, give recover={self.checkpoint!r}"
            )
        if self.read_only and "recover" in self.model_fields_set:
            raise ValueError(
                "recover= and read_only=True contradict each other; checkpoint= says "
                "which one is looked at"
            )
        if self.read_only and self.checkpoint_every is not None:
            raise ValueError(
                "checkpoint_every= and read_only=True contradict each other"
            )
        return self

    @model_validator(mode="after")
    def _check_memory(self) -> StoreConfig:
        if self.memory is None:
            return self
        permille = round(self.index_fraction * 1000)
        index = index_bytes_for(self.expected_keys)
        least = max(
            PAGES_MIN * self.page_size + index,
            -(-index // permille) * 1000,  # the core's own rounding
        )
        if self.memory >= least:
            return self
        if self.expected_keys and index > INDEX_BYTES_MIN:
            raise ValueError(
                f"memory={show_size(self.memory)} with "
                f"index_fraction={self.index_fraction} cannot hold the index of "
                f"{show_size(index)} that expected_keys={self.expected_keys} needs; "
                f"raise memory to {show_size(round_up(least))}, raise index_fraction, "
                "or expect fewer keys"
            )
        raise ValueError(
            f"memory={show_size(self.memory)} cannot hold two pages of "
            f"{show_size(self.page_size)} and the first index of {show_size(index)} "
            f"in its share of {self.index_fraction}; raise memory to at least "
            f"{show_size(round_up(least))}, or lower page_size"
        )


def round_up(size: int) -> int:
    """
    Round a size up to whole KiB, or to whole MiB from there on.
    """
    unit = 20 if size > 1 << 20 else 10
    return -(-size >> unit) << unit


def _explain(details: list[ErrorDetails]) -> str:
    """
    One message for all that is wrong with some settings.
    """
    lines = [_explain_one(detail) for detail in details]
    if len(lines) == 1:
        return lines[0]
    return f"{len(lines)} settings are wrong:\n  " + "\n  ".join(lines)


def _explain_one(detail: ErrorDetails) -> str:
    """
    What is wrong with one setting.
    """
    name = str(detail["loc"][0]) if detail["loc"] else ""
    if detail["type"] == "extra_forbidden":
        return unknown_setting(name)
    message = detail["msg"].removeprefix("Value error, ")
    if not name:
        return message
    if detail["type"] == "value_error":
        return f"{name}: {message}"
    return f"{name}: {message}, found {detail['input']!r}"


def unknown_setting(name: str) -> str:
    """
    Say that there is no such setting, and which one was meant.
    """
    known = sorted(StoreConfig.model_fields)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return f"there is no setting {name!r}; {hint}"


def read_config_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """
    Read settings from a TOML file: its top-level keys, nothing else.

    Raises:
        ConfigError: The file cannot be read, or is not TOML.
    """
    try:
        with Path(path).open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(
            f"config file {os.fspath(path)}: {error.strerror}; give the path of a "
            "TOML file, or a StoreConfig"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {os.fspath(path)}: {error}") from error


def make_config(
    config: StoreConfig | Mapping[str, Any] | str | os.PathLike[str] | None,
    settings: Settings,
) -> StoreConfig:
    """
    Put a configuration and the keyword settings that override it together.

    Args:
        config: A StoreConfig, a mapping, the path of a TOML file, or None.

        settings: What was given by keyword; wins over `config`.

    Raises:
        ConfigError: The result is not a valid configuration.
    """
    base: dict[str, Any]
    place = ""
    if config is None:
        base = {}
    elif isinstance(config, StoreConfig):
        if not settings:
            return config
        base = {name: getattr(config, name) for name in config.model_fields_set}
    elif isinstance(config, Mapping):
        base = dict(config)
    elif isinstance(config, (str, os.PathLike)):
        base = read_config_file(config)
        place = f"config file {os.fspath(config)}: "
    else:
        raise ConfigError(
            f"config must be a StoreConfig, a mapping or the path of a TOML file, "
            f"found {type(config).__name__}"
        )
    strange = [key for key in base if not isinstance(key, str)]
    if strange:
        raise ConfigError(f"names of settings are texts, found {strange[0]!r}")
    try:
        return StoreConfig(**{**base, **settings})
    except ConfigError as error:
        if not place:
            raise
        raise ConfigError(f"{place}{error}") from None
