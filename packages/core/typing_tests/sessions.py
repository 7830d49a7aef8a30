# SPDX-License-Identifier: MIT
"""What type checkers say about operations that end later; checked, never run."""

from __future__ import annotations

import asyncio
from typing import assert_type

import pyfaster


def started(session: pyfaster.Session[str, int]) -> None:
    """A result, or PENDING; and then what is told of each."""
    found = session.start_read("a", context=object())
    if found is not pyfaster.PENDING:
        assert_type(found, int | None)
    merged = session.start_rmw("a", 1, merge="add")
    if merged is not pyfaster.PENDING:
        assert_type(merged, int)
    for one in session.complete_pending(timeout=1.0):
        assert_type(one.key, str)
        assert_type(one.error, Exception | None)


async def awaited(store: pyfaster.FasterKv[str, int]) -> None:
    """What is awaited has the type of the plain operation."""
    async with store.async_session("name") as session:
        assert_type(session, pyfaster.AsyncSession[str, int])
        assert_type(await session.read("a"), int | None)
        assert_type(await session.read("a", "none"), int | str)
        assert_type(await session.insert("a", 1), bool)
        assert_type(await session.rmw("a", 1, "add"), int)
        assert_type(await session.update("a", lambda value: value + 1), int)
        assert_type(await session.read_many(["a", "b"]), list[int | None])
        task = asyncio.create_task(session.read("a"))
        assert_type(await task, int | None)
