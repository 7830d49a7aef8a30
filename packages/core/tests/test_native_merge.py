# SPDX-License-Identifier: MIT
"""
Merges of real machine code: what numba compiles, and a symbol of a loaded library.
"""

from __future__ import annotations

import ctypes
import gc
import os
import shlex
import subprocess
import sysconfig
import threading
import weakref
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba import types

import pyfaster
from pyfaster import native_merge
from pyfaster.testing import FaultyDevice, MemoryDevice, Rule

#: Sessions opened until a device has answered, at most.
TRIES = 100_000

BYTES = types.CPointer(types.uint8)
SIGNATURE = types.int64(BYTES, types.int64, types.int64, BYTES, types.int64)

#: Keeps the larger magnitude, and counts how often: value = (best, times).
SOURCE = """
#include <stdint.h>
#include <string.h>

int64_t keep_largest(uint8_t *value, int64_t value_size, int64_t capacity,
                     const uint8_t *input, int64_t input_size) {
    int64_t pair[2] = {0, 0};
    int64_t offered;
    if (input_size != 8 || capacity < 16) {
        return input_size != 8 ? -1 : 16;
    }
    if (value_size == 16) {
        memcpy(pair, value, 16);
    }
    memcpy(&offered, input, 8);
    if (pair[1] == 0 || offered > pair[0]) {
        pair[0] = offered;
    }
    pair[1] += 1;
    memcpy(value, pair, 16);
    return 16;
}
"""


def saturate(value: Any, size: Any, capacity: Any, given: Any, given_size: Any) -> Any:
    """Add two int64, and stay at 100."""
    if given_size != 8 or capacity < 8:
        return -1
    new = numba.carray(given, (8,)).view(np.int64)
    old = numba.carray(value, (8,)).view(np.int64)
    total = new[0] if size < 0 else old[0] + new[0]
    old[0] = min(total, 100)
    return 8


class Code:
    """Machine code that goes with its last reference."""

    def __init__(self, code: Any) -> None:
        self.code = code
        self.address = int(code.address)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """A shared library with a merge in it, made by the system's compiler."""
    folder: Path = tmp_path_factory.mktemp("merge")
    source = folder / "merge.c"
    source.write_text(SOURCE)
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    target = folder / "merge.so"
    command = [*shlex.split(compiler), "-shared", "-fPIC", "-O2", "-o"]
    subprocess.run([*command, str(target), str(source)], check=True)
    return ctypes.CDLL(str(target))


def test_a_numba_cfunc_merges() -> None:
    """What numba compiled runs inside the core, for absent and for present keys."""
    merge = native_merge(numba.cfunc(SIGNATURE)(saturate))
    with pyfaster.open(key=str, value=int) as store, store.session() as session:
        assert session.rmw("k", 60, merge=merge) == 60
        assert session.rmw("k", 30, merge=merge) == 90
        assert session.rmw("k", 30, merge=merge) == 100
        session.rmw_many(["k", "l", "l"], [1, 2, 3], merge=merge)
        assert session.read_many(["k", "l"]) == [100, 5]


def test_a_symbol_of_a_library_merges(library: ctypes.CDLL) -> None:
    """A C function combines an input of one type with a value of another."""
    merge = native_merge(library.keep_largest, input=int)
    with pyfaster.open(key=bytes, value=bytes) as store, store.session() as session:
        for offered in (3, 9, -4):
            session.rmw(b"k", offered, merge=merge)
        best, times = np.frombuffer(session[b"k"], np.int64)
        assert (best, times) == (9, 3)


def test_native_merges_lose_nothing_between_threads(library: ctypes.CDLL) -> None:
    """Machine code runs under the record's lock: every call of every thread counts."""
    merge = native_merge(library.keep_largest, input=int)
    rounds, threads = 200, 4
    with pyfaster.open(key=int, value=pyfaster.Bytes(16)) as store:

        def work(number: int) -> None:
            with store.session() as session:
                keys = np.zeros(100, np.int64)
                inputs = [number] * 100
                for _ in range(rounds):
                    session.rmw_many(keys, inputs, merge=merge)

        workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        best, times = np.frombuffer(store[0], np.int64)
    assert (best, times) == (threads - 1, rounds * threads * 100)


def test_a_merge_outlives_a_session_that_was_dropped() -> None:
    """The store still brings the update to its end, so the code stays loaded."""
    code = Code(numba.cfunc(SIGNATURE)(saturate))
    alive = weakref.ref(code)
    device = FaultyDevice(MemoryDevice(), [Rule("hold", "read", times=1)])
    with pyfaster.open(key=str, value=int, device=device, memory="1MiB") as store:
        store["k"] = 60
        store.evict()
        session = store.session()
        assert session.start_rmw("k", 30, merge=native_merge(code)) is pyfaster.PENDING
        del session, code
        gc.collect()
        assert alive() is not None
        device.release()
        with store.session() as session:
            for _ in range(TRIES):
                if session.read("k") == 90:
                    break
                store.session().close()  # whoever opens one helps
            assert session.read("k") == 90
