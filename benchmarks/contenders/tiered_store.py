# SPDX-License-Identifier: MIT
"""
Stores with more data than memory, each with the same budget and past the system's
cache, so that the budget is all the memory that their data have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.cases import Case, Shape
from benchmarks.contenders.base import Handle, UnavailableError
from benchmarks.contenders.pyfaster_store import Pyfaster
from benchmarks.contenders.rocksdict_store import Rocksdict
from benchmarks.sizes import Budget

#: The share of pyfaster's budget, less the index, for records that were read back.
READ_CACHE = 0.75

#: RocksDB's budget: two write buffers of this share each, the rest for blocks.
WRITE_BUFFER = 0.125


class PyfasterTiered(Pyfaster):
    """
    A store on the device "uring".
    """

    def __init__(
        self, shape: Shape, directory: Path, items: int, budget: Budget
    ) -> None:
        self._items = items
        self._budget = budget
        super().__init__(shape, directory)

    def _open(self, package: Any) -> Any:
        budget = self._budget
        left = budget.memory * (1 - budget.index_fraction)
        try:
            return package.open(
                f"uring:{self.directory / 'store'}",
                **self._types(package),
                durable=False,
                memory=budget.memory,
                index_fraction=budget.index_fraction,
                expected_keys=self._items,
                read_cache=int(left * READ_CACHE),
            )
        except package.errors.PluginMissingError as error:
            raise UnavailableError(str(error)) from error

    @classmethod
    def settings(cls) -> str:
        return (
            "on the device uring, past the system's cache; the budget has the index; "
            f"of the rest, {READ_CACHE:.0%} is read cache and the others are the log; "
            "batches are numpy arrays"
        )


class RocksdictTiered(Rocksdict):
    """
    A database with direct reads, whose caches and buffers make up the budget.
    """

    def __init__(
        self, shape: Shape, directory: Path, items: int, budget: Budget
    ) -> None:
        self._budget = budget
        self._settled = False
        super().__init__(shape, directory)

    def _options(self, package: Any) -> Any:
        buffer = int(self._budget.memory * WRITE_BUFFER)
        options = package.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(buffer)
        options.set_max_write_buffer_number(2)
        options.set_use_direct_reads(True)
        options.set_use_direct_io_for_flush_and_compaction(True)
        options.set_compression_type(package.DBCompressionType.none())
        table = package.BlockBasedOptions()
        table.set_block_cache(package.Cache(self._budget.memory - 2 * buffer))
        table.set_cache_index_and_filter_blocks(True)
        table.set_bloom_filter(10.0, False)
        options.set_block_based_table_factory(table)
        return options

    @classmethod
    def settings(cls) -> str:
        return (
            "raw mode, no write-ahead log, no compression, bloom filters of 10 bits; "
            "direct reads; two write buffers and a block cache, with indexes and "
            "filters in it, make up the budget; compacted after loading"
        )

    def handles(self, case: Case) -> list[Handle]:
        if not self._settled:
            self._database.flush()
            self._database.compact_range(None, None)
            self._settled = True
        return super().handles(case)
