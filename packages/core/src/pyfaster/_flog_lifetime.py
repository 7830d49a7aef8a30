# SPDX-License-Identifier: MIT
"""
How a durable log waits for the core, and how it ends.

The core waits in slices, between which signals are noticed; what it says becomes an
error here.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from math import ceil
from types import TracebackType
from typing import Self

from pyfaster import _cabi_flog as cabi
from pyfaster import _hot
from pyfaster._flog_errors import log_error

#: Between two looks for signals.
_SLICE_MS = 50

#: How long closing waits for calls that are under way.
_CLOSE_S = 60.0


class LogLifetime(_hot.Log):
    """
    A log that can wait, and be closed.
    """

    _ended: bool

    @property
    def closed(self) -> bool:
        """
        Whether `close` has succeeded.
        """
        return self._ended

    def close(self, timeout: float | None = _CLOSE_S) -> None:
        """
        End it, without a commit; a second call does nothing. Calls that are waiting
        get ClosedError.

        Args:
            timeout: In seconds; None: as long as it takes.

        Raises:
            DeadlineError: A call under way did not end in time; call again.

        Units: seconds.

        Cost: waits for calls under way, GIL released.
        """
        if not self._ended:
            self._wait("closing", self._close_step, timeout)
            self._ended = True

    def _close_step(self, slice_ms: int) -> int:
        return cabi.flog_close(self.address, slice_ms)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_ended", True):
            warnings.warn(
                "a log was collected without close(); use it in a with statement",
                ResourceWarning,
                stacklevel=2,
            )

    def _check(self, where: str, status: int) -> None:
        if status < 0:
            raise log_error(self, status, where)

    def _wait(
        self,
        where: str,
        step: Callable[[int], int],
        timeout: float | None,
        *,
        late: bool = True,
    ) -> bool:
        """
        Call something that waits until it is done, in slices, between which signals
        are noticed.

        Args:
            where: Begins the message of an error.

            step: Is given milliseconds, gives a status.

            timeout: In seconds, or None.

            late: Whether it is an error when the time has passed.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _SLICE_MS
            if end is not None:
                left = max(0, min(left, ceil((end - time.monotonic()) * 1000)))
            status = step(left)
            if status != cabi.TIMEOUT:
                self._check(where, status)
                return True
            if end is not None and time.monotonic() >= end:
                if late:
                    raise log_error(self, status, where)
                return False


__all__ = ["LogLifetime"]
