# SPDX-License-Identifier: MIT
"""Durable stores as users write them; checked by mypy, never run."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

import pyfaster

if TYPE_CHECKING:
    from typing import assert_type

    with pyfaster.open(
        "data/", key=str, value=int, checkpoint_every=60.0, keep_for=3600
    ) as store:
        info = store.checkpoint("snapshot", cookie=b"17", timeout=5.0)
        assert_type(info, pyfaster.CheckpointInfo)
        assert_type(info.sessions["ingest"], int)
        future = store.checkpoint(wait=False)
        assert_type(future, Future[pyfaster.CheckpointInfo])
        assert_type(store.checkpoints(), tuple[pyfaster.CheckpointInfo, ...])
        assert_type(store.recovery, pyfaster.RecoveryReport | None)
        assert_type(store.validate(info.token, deep=True).ok, bool)
        assert_type(store.prune(keep=1), tuple[str, ...])
        session = store.resume("ingest")
        assert_type(session, pyfaster.Session[str, int])
        assert_type(session.committed_serial, int)
        session.wait_committed(timeout=1.5)
        store.forget_session("ingest")

    async def waits(session: pyfaster.AsyncSession[str, int]) -> None:
        """Wait in a task."""
        await session.wait_committed(17, timeout=None)

    pyfaster.open("data/", read_only=True, checkpoint=info.token)
    pyfaster.open(device=object(), checkpoints="kept/")  # type: ignore[call-overload]
    store.checkpoint(cookie="17")  # type: ignore[call-overload]
