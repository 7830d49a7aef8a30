# SPDX-License-Identifier: MIT
"""Settings of all tests here: the same examples in every run; helpers are found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile("fasterlog", derandomize=True, deadline=None)
settings.load_profile("fasterlog")


@pytest.fixture(scope="module", autouse=True)
def kept_by_tests() -> Iterator[None]:
    """Have no log look after its slots by itself: it would depend on how long a test
    takes which slots there are, and whose thread has a log at hand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyfaster_fasterlog._keeper.EVERY_S", 86_400.0)
        yield


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where a test's log lives, in files; nothing is there yet."""
    pytest.importorskip("pyfaster_devices_file")
    return tmp_path / "wal"


@pytest.fixture
def built(place: Path) -> Path:
    """A completed log of ten entries, a cursor and a cookie."""
    from log_kit import fill, open_log  # found by the path above

    with open_log(place) as log:
        fill(log, 10, 10)
        log.commit(cookie=b"cookie")
        log.cursor("billing").save(log.committed.until)
        log.complete()
    return place
