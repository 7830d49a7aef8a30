# SPDX-License-Identifier: MIT
"""
The table [fasterlog] of the configuration file.

The log's own distribution reads it (`pyfaster_fasterlog`); its model is here, so that
one schema covers the whole file whether the log is installed or not. A test holds it
against what `FasterLog.open` takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pyfaster._config import TIMEOUT_MAX_S, Flag, Size, Text, refuse_odd_size
from pyfaster._sizes import PAGE_SIZE_MAX, PAGE_SIZE_MIN, SEGMENT_SIZE_MAX

IN_FLIGHT_MAX = 64

PageSize = Annotated[Size, Field(ge=PAGE_SIZE_MIN, le=PAGE_SIZE_MAX)]
SegmentSize = Annotated[Size, Field(ge=PAGE_SIZE_MIN, le=SEGMENT_SIZE_MAX)]


class CommitTable(BaseModel):
    """
    When a log commits by itself; never, unless something here says so.

    Attributes:
        every_bytes: Once so many bytes wait to become durable.

        every_seconds: When entries have waited so long.

        max_in_flight: How many commits may be under way at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    every_bytes: Annotated[Size, Field(ge=1)] | None = None
    every_seconds: (
        Annotated[float, Field(strict=True, ge=0.001, le=TIMEOUT_MAX_S)] | None
    ) = None
    max_in_flight: Annotated[int, Field(strict=True, ge=1, le=IN_FLIGHT_MAX)] = 1


class LogTable(BaseModel):
    """
    What a durable log is opened with.

    Attributes:
        device: The scheme of a log whose path names none; "file" when none is said.

        device_options: What the device understands, by name.

        page_size: Of a new log, for good: a power of two; derived from `memory` when
            not given.

        memory: For entries on their way to the device.

        segment_size: Of a new log: bytes of it in one file, a power of two.

        read_only: Whether the log is only read, while another process may own it.

        recover: "latest", or the number of a commit, behind which all is cut off.

        commit: When the log commits by itself.

        slot_every: How many commits are worth a slot, from which recovery reads on.

        trust_device: Whether a device that does not say that its syncs survive a power
            cut is used.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    device: Annotated[Text, Field(min_length=1)] | None = None
    device_options: Mapping[str, object] | None = None
    page_size: PageSize | None = None
    memory: Annotated[Size, Field(ge=0)] = 32 << 20
    segment_size: SegmentSize | None = None
    read_only: Flag = False
    recover: Literal["latest"] | Annotated[int, Field(strict=True, ge=0)] = "latest"
    commit: CommitTable = Field(default_factory=CommitTable)
    slot_every: Annotated[int, Field(strict=True, ge=1)] = 1024
    trust_device: Flag = False

    @field_validator("page_size", "segment_size")
    @classmethod
    def _check_size(cls, size: int | None) -> int | None:
        return None if size is None else refuse_odd_size(size)


__all__ = ["CommitTable", "LogTable"]
