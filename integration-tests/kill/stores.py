# SPDX-License-Identifier: MIT
"""
The stores that are killed: what opens them, and how an update becomes a call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from kill.model import Value
from kill.plan import COUNTERS, PRIVATE, SESSIONS, TAGS, Update
from kill.toy import ToyStore

#: Little memory and small pages: most of what a long life writes is on the device only.
SETTINGS: dict[str, Any] = {
    "memory": "768KiB",
    "page_size": "16KiB",
    "segment_size": "256KiB",
    "keep_checkpoints": 2,
}


def open_store(what: str, flavour: str, directory: Path) -> Any:
    """
    Open a store, which recovers what there is.

    Args:
        what: "file", or "toy" with a mutant behind a colon.
    """
    if what != "file":
        return ToyStore(directory, what.partition(":")[2])
    import pyfaster

    sort = int if flavour == "fixed" else bytes
    return pyfaster.open(directory, key=sort, value=sort, **SETTINGS)


class Worker:
    """
    A session in the thread that works with it, in one of the styles of `plan.STYLES`.

    Args:
        store: An open store.

        name: The session's, which the store may know.
    """

    def __init__(self, store: Any, name: str, style: str) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        known = store.recovery is not None and name in store.recovery.sessions
        if isinstance(store, ToyStore):
            self.session: Any = store.resume(name) if known else store.session(name)
            self._prepare = self._prepare_toy
        elif style == "async":
            self._loop = asyncio.new_event_loop()
            self.session = store.async_session(name)
            self._loop.run_until_complete(self.session.__aenter__())
            self._prepare = self._prepare_async
        else:
            self.session = store.resume(name) if known else store.session(name)
            ways = {"batch": self._prepare_batch, "started": self._prepare_started}
            self._prepare = ways.get(style, self._prepare_single)

    def prepare(self, updates: list[Update]) -> Callable[[], object]:
        """
        Give what does updates that have verb and sort in common.

        All of them are done when it returns.
        """
        return self._prepare(updates)

    def _prepare_toy(self, updates: list[Update]) -> Callable[[], object]:
        return partial(self.session.do, updates)

    def _prepare_single(self, updates: list[Update]) -> Callable[[], object]:
        calls = [prepare(self.session, "", one) for one in updates]

        def do() -> None:
            for one in calls:
                one()

        return do

    def _prepare_batch(self, updates: list[Update]) -> Callable[[], object]:
        verb = updates[0].verb
        keys = [one.key for one in updates]
        values = [one.value for one in updates]
        if verb == "upsert":
            return partial(self.session.upsert_many, keys, values)
        if verb == "delete":
            return partial(self.session.delete_many, keys)
        if verb in ("add", "append"):
            return partial(self.session.rmw_many, keys, values, merge=verb)
        return self._prepare_single(updates)

    def _prepare_started(self, updates: list[Update]) -> Callable[[], object]:
        form = "" if updates[0].verb == "discard" else "start_"
        calls = [prepare(self.session, form, one) for one in updates]

        def do() -> None:
            for one in calls:
                one()
            for _ in self.session.complete_pending():
                pass

        return do

    def _prepare_async(self, updates: list[Update]) -> Callable[[], object]:
        assert self._loop is not None
        calls = [prepare(self.session, "", one) for one in updates]

        async def gather() -> None:
            for begun in [one() for one in calls]:
                await begun

        loop = self._loop
        return lambda: loop.run_until_complete(gather())

    def close(self) -> None:
        """Close the session, in any thread, when nobody works with it."""
        if self._loop is None:
            self.session.close()
            return
        self._loop.run_until_complete(self.session.__aexit__(None, None, None))
        self._loop.close()


def prepare(session: Any, form: str, one: Update) -> Callable[[], Any]:
    """Give what does or begins one update; `form` is put before the method's name."""
    if one.verb in ("add", "append"):
        return partial(getattr(session, f"{form}rmw"), one.key, one.value, one.verb)
    method = getattr(session, form + one.verb)
    if one.verb in ("upsert", "insert"):
        return partial(method, one.key, one.value)
    if one.verb in ("delete", "discard"):
        return partial(method, one.key)
    return partial(method, one.key, one.expected, one.value)


def known_keys(flavour: str) -> list[Value]:
    """Give the keys that sessions use in every life, whether they are there or not."""
    if flavour == "fixed":
        return list(range(1, SESSIONS * PRIVATE + COUNTERS + TAGS + 1))
    private = [b"p%d:%d" % (s, n) for s in range(SESSIONS) for n in range(PRIVATE)]
    return [*private, *(b"t%d" % n for n in range(TAGS))]
