# SPDX-License-Identifier: MIT
"""
What a log may be opened with.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Required, TypedDict

from pyfaster.errors import ConfigError
from pyfaster.flog import log_settings
from pyfaster_fasterlog._policy import CommitPolicy, size_of

if TYPE_CHECKING:
    from pyfaster.protocols import NativeDevice, PythonDevice
    from pyfaster_fasterlog._files import SlotFiles

    DeviceLike = str | NativeDevice | PythonDevice

PAGE_SIZE_DEFAULT = 4 << 20
PAGE_SIZE_MIN = 4 << 10
PAGE_SIZE_MAX = 1 << 30
#: Pages that the memory should hold at least.
PAGES_WANTED = 8


class _Common(TypedDict, total=False):
    """
    The settings of logs, and of those that are only read.

    Attributes:
        device: A scheme, or a device; "file" when left out.

        device_options: For the device's plugin.

        files: Where the slots are kept; the folder of the directory when left out.

        config: The path of a TOML file whose table [fasterlog] has settings, or a
            mapping of them. Variables `PYFASTER__FASTERLOG__NAME` of the environment
            win over a file, and what is said here wins over both.
    """

    device: DeviceLike | None
    device_options: Mapping[str, object] | None
    files: SlotFiles | None
    config: Mapping[str, Any] | str | os.PathLike[str] | None


class LogSettings(_Common, total=False):
    """
    The settings of a log.

    Attributes:
        page_size: Of a new log, for good: a power of two from 4 KiB to 1 GiB. No entry
            is larger. 4 MiB when left out, less when there is little memory.

        memory: For entries on their way to the device; "32MiB".

        segment_size: Of a new log: bytes in one file, what `truncate_until` gives back
            at a time; 1 GiB.

        read_only: True: see `ReaderSettings`.

        recover: "latest", or the number of a commit: what came behind it is cut off.

        commit: When the log commits by itself; never, unless told.

        slot_every: Looked at once a second: a slot is written when so many commits, or
            64 MiB, were made since the last one, or a segment was begun; 1024. A
            recovery reads what is behind the newest slot.

        trust_device: Use a device that does not say that its syncs survive a power cut.

    Units: sizes in bytes, or texts such as "32MiB".
    """

    page_size: int | str | None
    memory: int | str
    segment_size: int | str | None
    read_only: Literal[False]
    recover: Literal["latest"] | int
    commit: CommitPolicy
    slot_every: int
    trust_device: bool


class ReaderSettings(_Common, total=False):
    """
    The settings of a log that is only read.

    Attributes:
        read_only: True.
    """

    read_only: Required[Literal[True]]


#: Every setting, with what it is when it is left out.
DEFAULTS: dict[str, Any] = {
    "commit": CommitPolicy(),
    "device": None,
    "device_options": None,
    "files": None,
    "memory": "32MiB",
    "page_size": None,
    "read_only": False,
    "recover": "latest",
    "segment_size": None,
    "slot_every": 1024,
    "trust_device": False,
}

#: What makes sense for a log that is only read.
_OF_READERS = {"device", "device_options", "files", "read_only"}


@dataclass(frozen=True, slots=True)
class Settings:
    """
    What a user asked for.

    Attributes:
        page_size: 0 for what the log has, or what fits the memory.

        memory: Bytes of pages on their way to the device.

        policy: When the log commits by itself.

        recover: "latest", or a commit's number.

        slot_every: Commits behind the last slot that are worth another one.

        trust_device: Whether a device that does not say that its syncs hold is used.
    """

    page_size: int
    memory: int
    policy: CommitPolicy
    recover: str | int
    slot_every: int
    trust_device: bool


def page_size_for(memory: int) -> int:
    """
    Give the page size of a new log: 4 MiB, less when there is little memory.
    """
    share = max(memory // PAGES_WANTED, PAGE_SIZE_MIN)
    return min(PAGE_SIZE_DEFAULT, 1 << (share.bit_length() - 1))


def check_settings(settings: Settings, segment_size: int) -> None:
    """
    Refuse what no log can have.

    Raises:
        ConfigError: A setting is out of range.
    """
    size = settings.page_size
    if size and not (PAGE_SIZE_MIN <= size <= PAGE_SIZE_MAX and size & (size - 1) == 0):
        raise ConfigError(
            f"page_size={size:,}; give a power of two from 4 KiB to 1 GiB"
        )
    if size and 0 < segment_size < size:
        raise ConfigError(
            f"segment_size={segment_size:,} is less than page_size={size:,}"
        )
    asked = settings.recover
    number = isinstance(asked, int) and not isinstance(asked, bool) and asked >= 0
    if asked != "latest" and not number:
        raise ConfigError(
            f'recover={asked!r}; give "latest", or the number of a commit'
        )
    if type(settings.slot_every) is not int or settings.slot_every < 1:
        raise ConfigError(f"slot_every={settings.slot_every!r}; give 1 or more")


def configured(settings: Mapping[str, Any]) -> dict[str, Any]:
    """
    Add what a file and the environment say, and defaults, to what a program says.

    Raises:
        ConfigError: Something in them is wrong.
    """
    said = {name: one for name, one in settings.items() if name != "config"}
    complete(said)  # a program's words have to make sense by themselves
    given = log_settings(settings.get("config"), said)
    commit = given.get("commit")
    if commit is not None and "commit" not in said:
        given["commit"] = CommitPolicy(
            commit.every_bytes, commit.every_seconds, commit.max_in_flight
        )
    return complete(given)


def complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Add the defaults to what a user gave.

    Raises:
        ConfigError: There is no such setting, or not of a log that is only read.
    """
    for name in given:
        if name not in DEFAULTS:
            near = difflib.get_close_matches(name, DEFAULTS, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{name!r} is no setting of a log{meant}")
    wrong = sorted(set(given) - _OF_READERS)
    if given.get("read_only") and wrong:
        raise ConfigError(
            f"{', '.join(wrong)}: of no use with read_only=True; leave them out"
        )
    return {**DEFAULTS, **given}


def settings_of(given: Mapping[str, Any]) -> Settings:
    """
    Understand complete settings.

    Raises:
        ConfigError: One is out of range.
    """
    page = given["page_size"]
    if not isinstance(given["commit"], CommitPolicy):
        raise ConfigError(f"commit={given['commit']!r}; give a CommitPolicy")
    settings = Settings(
        page_size=0 if page is None else size_of("page_size", page),
        memory=size_of("memory", given["memory"]),
        policy=given["commit"],
        recover=given["recover"],
        slot_every=given["slot_every"],
        trust_device=bool(given["trust_device"]),
    )
    check_settings(settings, segment_size_of(given))
    return settings


def segment_size_of(given: Mapping[str, Any]) -> int:
    """
    Give the size of segments that was asked for; 0 for none.
    """
    size = given["segment_size"]
    return 0 if size is None else size_of("segment_size", size)


__all__ = [
    "LogSettings",
    "ReaderSettings",
    "Settings",
    "complete",
    "configured",
    "page_size_for",
    "segment_size_of",
    "settings_of",
]
