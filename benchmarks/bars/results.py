# SPDX-License-Identifier: MIT
"""
How large the bars are run, and where what they gave is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.driver import MeasuringError, Roster

Rounds = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class BarSettings:
    """
    How large the bars are run.

    Attributes:
        items: Items for single operations.

        operations: Reads and bumps of one round; inserts are a fifth of it.

        fixed_items: Items of the store that batches are measured on.

        batch: Keys in a batch.

        calls: Batches in a round.

        memory_items: Inserts while memory is watched; a little beyond the point where
            the index doubles, so that the worst moment is seen.

        memory_chunk: Inserts between two samples.

        memory_from: Samples with fewer items are not judged: fixed costs dominate.

        small, large: Items of the two stores that batch times are compared at.

        latency_items: Inserts that are timed one by one.

        device_items: Items of the stores on a device, ten times their log's memory.

        device_rounds: Rounds of the bars on devices, which take long.

        raw_seconds: How long a round of raw reads lasts.

        cold_keys, cold_batch: Reads of a round, and how many make a batch.

        async_keys, async_tasks: Reads of a round, and how many are in flight.

        hot_keys, hot_samples: Keys in memory, and reads of them timed one by one.

        zipf_items, zipf_operations: Items, and operations of a round.

        bounded_memory: Budget of the process whose memory is watched, in bytes.

        checkpoint_items: Items of the store that checkpoints are taken of.

        checkpoint_operations, checkpoint_batch: Operations of a pass, and how many
            make a batch.

        checkpoint_seconds: For how long passes are repeated, at least.

        original_items: Items of the store beside which published figures stand.

        log_entries: Entries of the logs whose throughput is measured.

        log_singles: Entries that are appended one by one.

        log_commits, log_many_commits: Durable appends of a round by one task, and by
            all of them.

        log_seconds: For how long durable appends of a round go on, at most.

        log_groups: Groups of a round that are appended durably beside peers.

        log_peer_entries: Entries that a log has when it is scanned beside peers.

        judged: False when sizes are too small for a verdict.
    """

    items: int = 1_000_000
    operations: int = 1_000_000
    fixed_items: int = 16_000_000
    batch: int = 65_536
    calls: int = 64
    memory_items: int = 18_000_000
    memory_chunk: int = 250_000
    memory_from: int = 4_000_000
    small: int = 1_000_000
    large: int = 50_000_000
    latency_items: int = 20_000_000
    device_items: int = 8_388_000
    device_rounds: int = 3
    raw_seconds: float = 2.0
    cold_keys: int = 262_144
    cold_batch: int = 16_384
    async_keys: int = 100_000
    async_tasks: int = 1_000
    hot_keys: int = 1_000
    hot_samples: int = 1_000_000
    zipf_items: int = 4_194_000
    zipf_operations: int = 200_000
    bounded_memory: int = 128 << 20
    checkpoint_items: int = 4_000_000
    checkpoint_operations: int = 1_000_000
    checkpoint_batch: int = 1_024
    checkpoint_seconds: float = 3.0
    original_items: int = 16_000_000
    log_entries: int = 4_500_000
    log_singles: int = 1_000_000
    log_commits: int = 4_000
    log_many_commits: int = 100_000
    log_seconds: float = 2.0
    log_groups: int = 1_000
    log_peer_entries: int = 1_000_000
    rounds: int = 5
    seed: int = 1
    judged: bool = True


SMOKE = BarSettings(
    items=2_000,
    operations=2_000,
    fixed_items=20_000,
    batch=512,
    calls=4,
    memory_items=40_000,
    memory_chunk=5_000,
    memory_from=20_000,
    small=2_000,
    large=20_000,
    latency_items=20_000,
    device_items=16_000,
    device_rounds=1,
    raw_seconds=0.1,
    cold_keys=4_000,
    cold_batch=1_000,
    async_keys=2_000,
    async_tasks=100,
    hot_keys=100,
    hot_samples=2_000,
    zipf_items=16_000,
    zipf_operations=1_000,
    bounded_memory=4 << 20,
    checkpoint_items=16_000,
    checkpoint_operations=2_000,
    checkpoint_batch=256,
    checkpoint_seconds=0.02,
    original_items=16_000,
    log_entries=20_000,
    log_singles=5_000,
    log_commits=20,
    log_many_commits=200,
    log_seconds=0.1,
    log_groups=5,
    log_peer_entries=2_000,
    rounds=1,
    judged=False,
)


@dataclass(slots=True)
class BarResults:
    """
    What the bars gave.

    Attributes:
        bars: One line for each bar that was measured.

        orientation: Measurements without a bar: name, text, unit, figures.

        missing: Bar -> why it was not measured.

        contenders_missing, contender_settings: As in `Roster`.
    """

    bars: list[dict[str, object]] = field(default_factory=list)
    orientation: list[dict[str, object]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    contenders_missing: dict[str, str] = field(default_factory=dict)
    contender_settings: dict[str, str] = field(default_factory=dict)

    def roster(self, *names: str) -> Roster:
        """
        Give a roster whose findings end up here.
        """
        return Roster(names, self.contenders_missing, self.contender_settings)

    def note(self, name: str, what: str, unit: str, figures: dict[str, object]) -> None:
        """
        Keep a measurement that has no bar.
        """
        self.orientation.append(
            {"name": name, "what": what, "unit": unit, "figures": figures}
        )


def real(value: object) -> float:
    """
    Take a number out of an answer.
    """
    if not isinstance(value, (int, float)):
        raise MeasuringError(f"a number was expected, not {value!r}")
    return float(value)
