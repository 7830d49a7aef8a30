# SPDX-License-Identifier: MIT
"""
What is measured: workloads, and the grid of cases made from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

DISTRIBUTIONS = ("uniform", "zipf")
KEY_SIZES = (8, 16)
VALUE_SIZES = (8, 100)
THREADS = (1, 2)


@dataclass(frozen=True, slots=True)
class Workload:
    """
    A mix of operations, in percent; they add to 100.

    Attributes:
        name: YCSB's letter, or a word for a mix that YCSB has not.

        reads: Reads of items that exist.

        writes: Updates of items that exist, whatever they hold.

        bumps: Read-modify-writes: the value's stamp goes up by one.

        inserts: Writes of items that do not exist yet.
    """

    name: str
    reads: int = 0
    writes: int = 0
    bumps: int = 0
    inserts: int = 0


WORKLOADS = {
    load.name: load
    for load in (
        Workload("A", reads=50, writes=50),
        Workload("B", reads=95, writes=5),
        Workload("C", reads=100),
        Workload("F", reads=50, bumps=50),
        Workload("rmw", bumps=100),
        Workload("new", inserts=100),
    )
}

#: The workloads of the grid; the others serve the bars.
YCSB = ("A", "B", "C", "F")


@dataclass(frozen=True, slots=True)
class Shape:
    """
    Sizes of keys and values, in bytes. One loaded store serves all cases of a shape.
    """

    key_size: int
    value_size: int


@dataclass(frozen=True, slots=True)
class Case:
    """
    One thing to measure.

    Attributes:
        batch: Operations per call; 1 means the single-operation interface.
    """

    workload: str
    distribution: str
    shape: Shape
    batch: int
    threads: int

    @property
    def mode(self) -> str:
        """
        "single" or "batch".
        """
        return "single" if self.batch == 1 else "batch"

    @property
    def name(self) -> str:
        """
        The case's name: what `--only` filters by.
        """
        return (
            f"{self.workload}-{self.distribution}-k{self.shape.key_size}"
            f"-v{self.shape.value_size}-{self.mode}-t{self.threads}"
        )

    def to_json(self) -> dict[str, object]:
        """
        Give the case as a worker process gets it.
        """
        return {
            "workload": self.workload,
            "distribution": self.distribution,
            "key_size": self.shape.key_size,
            "value_size": self.shape.value_size,
            "batch": self.batch,
            "threads": self.threads,
        }


def case_of(fields: dict[str, object]) -> Case:
    """
    Make the case that `Case.to_json` described.
    """
    return Case(
        workload=str(fields["workload"]),
        distribution=str(fields["distribution"]),
        shape=Shape(int(str(fields["key_size"])), int(str(fields["value_size"]))),
        batch=int(str(fields["batch"])),
        threads=int(str(fields["threads"])),
    )


def shapes() -> Iterator[Shape]:
    """
    Give the grid's shapes.
    """
    for key_size in KEY_SIZES:
        for value_size in VALUE_SIZES:
            yield Shape(key_size, value_size)


def grid(batch: int) -> list[Case]:
    """
    Give all cases of the YCSB grid, those of one shape together.
    """
    return [
        Case(workload, distribution, shape, size, threads)
        for shape in shapes()
        for threads in THREADS
        for size in (1, batch)
        for workload in YCSB
        for distribution in DISTRIBUTIONS
    ]
