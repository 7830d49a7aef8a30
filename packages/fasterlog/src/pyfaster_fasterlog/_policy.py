# SPDX-License-Identifier: MIT
"""
When a log commits by itself, and how sizes are written.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyfaster.errors import ConfigError
from pyfaster.flog import parse_size

#: What is waited for longer than that will not come.
SECONDS_MAX = 86_400.0
IN_FLIGHT_MAX = 64


def size_of(name: str, size: object) -> int:
    """
    Give a size in bytes: an int as it is, or a text such as "32MiB".

    Raises:
        ConfigError: It is neither, or below 0.
    """
    try:
        found = parse_size(size)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from None
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise ConfigError(
            f"{name}={size!r} is not a size; write bytes as an int, or a number with "
            'its unit, as in "32MiB"'
        )
    return found


@dataclass(frozen=True, slots=True)
class CommitPolicy:
    """
    When a log commits by itself; without any of these only who asks for it commits.

    Attributes:
        every_bytes: Once so many bytes wait to become durable: an int, or a text such
            as "1MiB".

        every_seconds: When entries have waited so long, at least a millisecond.

        max_in_flight: How many commits may be under way at once.

    Raises:
        ConfigError: One of them is out of range.

    Units: bytes, seconds.

    Source: `native/src/flog/committer.c`, `commit.c`.
    """

    every_bytes: int | str | None = None
    every_seconds: float | None = None
    max_in_flight: int = 1

    def __post_init__(self) -> None:
        if self.every_bytes is not None and self.commit_bytes < 1:
            raise ConfigError("every_bytes=0: give more, or None for never")
        seconds = self.every_seconds
        if seconds is not None and not 0.001 <= seconds <= SECONDS_MAX:
            raise ConfigError(
                f"every_seconds={seconds!r}; give 0.001 to {SECONDS_MAX:,.0f}, or None "
                "for never"
            )
        count = self.max_in_flight
        if type(count) is not int or not 1 <= count <= IN_FLIGHT_MAX:
            raise ConfigError(f"max_in_flight={count!r}; give 1 to {IN_FLIGHT_MAX}")

    @property
    def commit_bytes(self) -> int:
        """
        The bytes after which the core commits; 0 for never.
        """
        if self.every_bytes is None:
            return 0
        return size_of("every_bytes", self.every_bytes)

    @property
    def commit_ms(self) -> int:
        """
        The milliseconds after which the core commits; 0 for never.
        """
        if self.every_seconds is None:
            return 0
        return round(self.every_seconds * 1000)

    @property
    def is_automatic(self) -> bool:
        """
        Whether commits are made that nobody asks for.
        """
        return self.every_bytes is not None or self.every_seconds is not None


__all__ = ["CommitPolicy", "size_of"]
