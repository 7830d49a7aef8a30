# SPDX-License-Identifier: MIT
"""
Driving a device by hand, request by request, as a careful caller would.

Theory of operation: a request is a `Ticket`. It owns a buffer with guard bytes around
it and the struct that the device completes; both stay in memory until the drive goes,
so that a device which completes twice or late does no harm here and is seen. What a
device says is written down and not judged. Waiting is bounded by a count of rounds:
`wait` of the table, then a moment without calling the device at all.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterable
from typing import Any

from pyfaster.testing.conformance._model import Broken, must
from pyfaster.testing.conformance._table import (
    DONE,
    FUNCTIONS,
    Completion,
    Done,
    Facts,
    Table,
    facts_of,
)

GUARD = 64
PAGE = 4096
FILL = 0xEE
EDGE = 0xA5
ROUND_MS = 20

#: Requests from here on are only asked for to be refused, and get a small buffer.
GIANT = 1 << 40

#: What devices that never finished may still touch; kept until the process ends.
_graveyard: list[Any] = []


class End:
    """
    One call of a completion.

    Attributes:
        code: The device's word, unjudged.

        moved: How many bytes it says were moved.

        inside: Whether it came before the submission had returned.
    """

    __slots__ = ("code", "inside", "moved")

    def __init__(self, code: int, moved: int, inside: bool) -> None:
        self.code = code
        self.moved = moved
        self.inside = inside


class Ticket:
    """
    One request, from its submission on.

    Attributes:
        kind: "read", "write" or "sync".

        offset: As submitted, like `length`.

        result: What the submission returned: 0, or why it was refused.

        ends: The completions that have come.
    """

    __slots__ = (
        "_block",
        "_completion",
        "_start",
        "ends",
        "kind",
        "length",
        "offset",
        "result",
        "then",
    )

    def __init__(
        self, kind: str, offset: int, length: int, *, page: int = PAGE, shift: int = 0
    ) -> None:
        self.kind = kind
        self.offset = offset
        self.length = length
        self.result = 0
        self.ends: list[End] = []
        self.then: Callable[[], object] | None = None
        self._completion = Completion()
        size = length if length < GIANT else PAGE
        block = ctypes.create_string_buffer(size + 2 * GUARD + 2 * page)
        ctypes.memset(block, EDGE, len(block))
        base = ctypes.addressof(block) + GUARD
        self._start = -base % page + GUARD + shift
        self._block = block
        ctypes.memset(self.address, FILL, size)

    @property
    def address(self) -> int:
        """
        Where the buffer begins.
        """
        return ctypes.addressof(self._block) + self._start

    def fill(self, data: bytes) -> None:
        """
        Put bytes into the buffer.
        """
        ctypes.memmove(self.address, data, len(data))

    def held(self, size: int | None = None) -> bytes:
        """
        Give what the buffer holds, or its first `size` bytes.
        """
        return ctypes.string_at(self.address, self.length if size is None else size)

    @property
    def accepted(self) -> bool:
        """
        Whether the submission was not refused.
        """
        return self.result == 0

    @property
    def finished(self) -> bool:
        """
        Whether it was refused or has been completed.
        """
        return not self.accepted or bool(self.ends)

    @property
    def done(self) -> bool:
        """
        Whether it succeeded by V3 and V4.
        """
        if len(self.ends) != 1 or self.ends[0].code != DONE:
            return False
        moved = self.ends[0].moved
        if self.kind == "sync":
            return True
        return moved == self.length if self.kind == "write" else moved <= self.length

    @property
    def moved(self) -> int:
        """
        How many bytes a read has brought; 0 when it failed.
        """
        return self.ends[0].moved if self.done else 0

    @property
    def data(self) -> bytes:
        """
        What a read has brought.
        """
        return self.held(self.moved)

    @property
    def intact(self) -> bool:
        """
        Whether the guard bytes around the buffer are as they were.
        """
        end = self._start + (self.length if self.length < GIANT else PAGE)
        raw = self._block.raw
        before, after = raw[self._start - GUARD : self._start], raw[end : end + GUARD]
        return before == after == bytes([EDGE]) * GUARD

    def __str__(self) -> str:
        where = "" if self.kind == "sync" else f" of {self.length} at {self.offset}"
        if not self.accepted:
            return f"{self.kind}{where}: refused with {self.result}"
        ends = [f"code {end.code:#x}, {end.moved} bytes" for end in self.ends]
        return f"{self.kind}{where}: {' and '.join(ends) or 'not completed'}"


class Drive:
    """
    A device that is open, and all that was asked of it.

    Args:
        address: Of the table.

        keep: What must live as long as the device.

        patience: Rounds of waiting after which a request counts as never completed.
    """

    def __init__(self, address: int, keep: object, patience: int) -> None:
        self._table = Table.from_address(address)
        self._keep = keep
        self.patience = patience
        self._page = max(PAGE, self._table.alignment)
        self._calls: dict[str, Any] = {
            name: getattr(self._table, name) for name in FUNCTIONS
        }
        self._changed = threading.Condition()
        self._done = Done(self._complete)
        self._submitting = threading.local()
        self.tickets: list[Ticket] = []
        self.strays = 0
        self.closed = False

    @property
    def facts(self) -> Facts:
        """
        What the table says now.
        """
        return facts_of(self._table)

    # --- completions ----------------------------------------------------------------

    def _complete(self, context: int | None, code: int, moved: int) -> None:
        number = (context or 0) - 1
        inside = getattr(self._submitting, "number", None) == number
        with self._changed:
            if 0 <= number < len(self.tickets):
                ticket = self.tickets[number]
                ticket.ends.append(End(code, moved, inside))
            else:
                self.strays += 1
            self._changed.notify_all()
        if 0 <= number < len(self.tickets) and ticket.then is not None:
            ticket.then()

    # --- requests -------------------------------------------------------------------

    def _submit(self, ticket: Ticket, *args: int) -> Ticket:
        with self._changed:
            self.tickets.append(ticket)
            number = len(self.tickets) - 1
        ticket._completion = Completion(self._done, number + 1)
        outer = getattr(self._submitting, "number", None)
        self._submitting.number = number
        completion = ctypes.byref(ticket._completion)
        call = self._calls[ticket.kind]
        ticket.result = call(self._table.context, *args, completion)
        self._submitting.number = outer
        return ticket

    def read(
        self,
        offset: int,
        length: int,
        *,
        shift: int = 0,
        then: Callable[[], object] | None = None,
    ) -> Ticket:
        """
        Submit a read into a buffer `shift` bytes from a page's beginning.

        `then` is called inside the completion.
        """
        ticket = Ticket("read", offset, length, page=self._page, shift=shift)
        ticket.then = then
        return self._submit(ticket, offset, ticket.address, length)

    def write(
        self,
        offset: int,
        data: bytes,
        *,
        shift: int = 0,
        length: int | None = None,
        then: Callable[[], object] | None = None,
    ) -> Ticket:
        """
        Submit a write; `length` may say more than there is, for what must be refused.
        """
        size = len(data) if length is None else length
        ticket = Ticket("write", offset, size, page=self._page, shift=shift)
        ticket.fill(data)
        ticket.then = then
        return self._submit(ticket, offset, ticket.address, size)

    def sync(self, *, then: Callable[[], object] | None = None) -> Ticket:
        """
        Submit a sync.
        """
        ticket = Ticket("sync", 0, 0)
        ticket.then = then
        return self._submit(ticket)

    def truncate_before(self, offset: int) -> int:
        """
        Call the table's function; give what it answers.
        """
        return int(self._calls["truncate_before"](self._table.context, offset))

    def poll(self) -> int:
        """
        Call the table's function; give what it answers.
        """
        return int(self._calls["poll"](self._table.context))

    def wait(self, timeout_ms: int) -> int:
        """
        Call the table's function; give what it answers.
        """
        return int(self._calls["wait"](self._table.context, timeout_ms))

    # --- waiting --------------------------------------------------------------------

    def finish(self, *tickets: Ticket) -> None:
        """
        Wait until requests are completed; all that were submitted, if none is named.

        Raises:
            Broken: One is never completed.
        """
        self.poll()
        for ticket in tickets or tuple(self.tickets):
            for _ in range(self.patience):
                if ticket.finished:
                    break
                self.wait(ROUND_MS)
                self.idle(ticket)
            must(ticket.finished, f"never completed: {ticket}")

    def idle(self, ticket: Ticket) -> None:
        """
        Give the device a moment without calling it; ends early at the completion.
        """
        with self._changed:
            self._changed.wait_for(lambda: ticket.finished, ROUND_MS / 1000)

    def watch(self, tickets: Iterable[Ticket]) -> bool:
        """
        Wait for requests without calling the device; whether all are completed.
        """
        for ticket in tickets:
            for _ in range(self.patience):
                if ticket.finished:
                    break
                self.idle(ticket)
            else:
                return False
        return True

    def settle(self) -> None:
        """
        Give what should not come some moments, without calling the device.
        """
        with self._changed:
            for _ in range(3):
                self._changed.wait(ROUND_MS / 1000)

    def drain(self) -> None:
        """
        Poll and wait a few times, for what should not come.
        """
        for _ in range(3):
            self.poll()
            self.wait(1)

    def close(self) -> int:
        """
        Close the device; give what the table answers.

        Raises:
            Broken: It does not return, or returns before everything is completed.
        """
        answers: list[int] = []
        self.closed = True
        call, context = self._calls["close"], self._table.context
        closer = threading.Thread(
            target=lambda: answers.append(int(call(context))), daemon=True
        )
        closer.start()
        for _ in range(self.patience):
            closer.join(2 * ROUND_MS / 1000)
            if answers:
                break
        if not answers:
            _graveyard.append(self)
            raise Broken("close does not return")
        unfinished = [str(ticket) for ticket in self.tickets if not ticket.finished]
        if unfinished:
            _graveyard.append(self)
            raise Broken(f"close has returned before: {unfinished[0]}")
        return answers[0]
