# SPDX-License-Identifier: MIT
"""
pyfaster on a device, durable, with room in memory for all of its data and more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.cases import Shape
from benchmarks.contenders.base import UnavailableError
from benchmarks.contenders.pyfaster_store import Pyfaster
from benchmarks.sizes import roomy

#: Records of 8-byte keys and values.
SHAPE = Shape(8, 8)

#: The log has room for so many times the data: what checkpoints make a store write
#: anew stays in memory, and no round reads from the device.
TIMES = 8


class Durable(Pyfaster):
    """
    A store that takes checkpoints when it is asked to, and none by itself.

    Args:
        scheme: The device.

        directory: Where the store's directory is, or will be.
    """

    def __init__(self, scheme: str, directory: Path, items: int) -> None:
        self._scheme = scheme
        self._items = items
        super().__init__(SHAPE, directory)

    @property
    def place(self) -> Path:
        """
        The store's directory.
        """
        return self.directory / "store"

    def _open(self, package: Any) -> Any:
        budget = roomy(self._items, self.shape.value_size, TIMES)
        try:
            return package.open(
                f"{self._scheme}:{self.place}",
                **self._types(package),
                memory=budget.memory,
                index_fraction=budget.index_fraction,
                expected_keys=self._items,
                read_cache=0,
                checkpoint_on_close=False,
            )
        except package.errors.PluginMissingError as error:
            raise UnavailableError(str(error)) from error

    @classmethod
    def settings(cls) -> str:
        return (
            "durable on a device, UInt64 keys and values, memory for 8 times the "
            "data, device options as they come"
        )

    def written(self) -> int:
        """
        Give how many bytes the device was given to write.
        """
        size: int = self.store.stats().device_write_bytes
        return size
