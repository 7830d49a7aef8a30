# SPDX-License-Identifier: MIT
"""What type checkers say about checkpoints; this file is checked, never run."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from pyfaster.checkpoints import (
    CheckpointEngine,
    CheckpointFiles,
    CheckpointInfo,
    CheckpointKeeper,
    CheckpointProvider,
    CheckpointSettings,
    RecoveryEngine,
    RecoveryPlan,
    RecoveryReport,
    ValidationReport,
)
from pyfaster_checkpoint import CleanUpFailed, Coordinator, DiskFiles, Keeper


def contracts(path: Path, settings: CheckpointSettings) -> CheckpointProvider:
    """Each class fits its contract."""
    files: CheckpointFiles = DiskFiles(path, read_only=True)
    keeper: CheckpointKeeper = Keeper(files, settings)
    keeper.close()
    return Coordinator()


def results(keeper: Keeper, engine: CheckpointEngine, back: RecoveryEngine) -> None:
    """What the keeper's calls give."""
    assert_type(keeper.take(engine, "auto", cookie=b"", timeout=1.5), CheckpointInfo)
    plan = keeper.plan("latest", {"key_size": 8}, exclude={"token"})
    assert_type(plan, RecoveryPlan | None)
    if plan is not None:
        assert_type(keeper.recover(plan, back), RecoveryReport)
    assert_type(keeper.checkpoints(), tuple[CheckpointInfo, ...])
    assert_type(keeper.validate("token", deep=True), ValidationReport)
    assert_type(keeper.prune(keep=3), tuple[str, ...])


def events(event: CleanUpFailed) -> None:
    """What an event has."""
    assert_type(event.token, str)
    assert_type(event.error, Exception)


def refused(keeper: Keeper) -> None:
    """Mistakes that are seen before the program runs."""
    keeper.prune(3)  # type: ignore[call-arg]
    keeper.validate(token="x")  # type: ignore[call-arg]
    keeper.plan("latest")  # type: ignore[call-arg]
