# SPDX-License-Identifier: MIT
"""
What operations that end later are told with.

`Session.start_read` and its like begin an operation, and give `PENDING` when the device
has to be asked; `Session.complete_pending` gives a `Completed` for each of them.
"""

from __future__ import annotations

import enum
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

from pyfaster import _hot

K = TypeVar("K")


class Pending(enum.Enum):
    """
    The type of `PENDING`.
    """

    PENDING = "PENDING"

    def __repr__(self) -> str:
        return "pyfaster.PENDING"


#: An operation was begun, and `complete_pending` will tell how it ended.
PENDING: Final[Literal[Pending.PENDING]] = Pending.PENDING

_hot.set_pending(PENDING)


class Completed(NamedTuple, Generic[K]):
    """
    How an operation ended.

    Attributes:
        kind: "read", "upsert", "insert", "delete", "rmw" or "compare_and_set".

        key: As it was given.

        value: What the operation of that name would have returned; None when it failed.

        status: The core's number: 0, or an outcome (1: the key is absent), or that of
            the failure.

        context: What the operation was started with.

        serial: The serial number of an update; 0 of a read.

        error: The exception of an operation that failed, else None.
    """

    kind: str
    key: K
    value: Any
    status: int
    context: Any
    serial: int
    error: Exception | None = None

    def result(self) -> Any:
        """
        Give the value, or raise the error.
        """
        if self.error is not None:
            raise self.error
        return self.value


__all__ = ["PENDING", "Completed", "Pending"]
