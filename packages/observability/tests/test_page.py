# SPDX-License-Identifier: MIT
"""
docs/observability.md says what the code says: every metric, every span, every limit.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from observe_kit import Providers

from pyfaster import events
from pyfaster_observability import _traces as traces_module
from pyfaster_observability import _wire
from pyfaster_observability._log_metrics import LOG_METRICS
from pyfaster_observability._metrics import LIMITS
from pyfaster_observability._recent import RECENT
from pyfaster_observability._store_metrics import STORE_METRICS
from pyfaster_observability._traces import Traces

PAGE = (Path(__file__).parents[3] / "docs" / "observability.md").read_text("utf-8")
INFO: Any = SimpleNamespace(kind="snapshot", token="t1", size=7, version=3)
REPORT: Any = SimpleNamespace(
    kind="snapshot", token="t1", version=3, log_bytes=1, file_bytes=2
)

#: An event of each type that becomes a span, and one that failed.
TOLD = (
    events.OperationSampled("s", "read", "hit", 1, 1),
    events.OperationSampled("s", "read", "failed", 1, 2),
    events.PendingCompleted("s", "read", "hit", 1, 1, 1),
    events.PendingCompleted("s", "read", "failed", 1, 1, 2),
    events.CheckpointPhase("s", "t1", "snapshot", "stream", 1),
    events.CheckpointTaken("s", INFO, 1),
    events.CheckpointFailed("s", "snapshot", OSError(5, "no"), 1),
    events.RecoveryDone("s", REPORT, 1),
    events.PagesFlushed("s", 64, 128, 64, 1),
    events.IndexGrown("s", 1, 128, 8192, 1),
    events.DeviceFailed("s", "write", 5, 64, 128),
    events.WritesStopped("s", 5, 64, 128, "no"),
)


def rows(heading: str) -> list[list[str]]:
    """Give the cells of the tables whose first column has a heading."""
    tables = re.findall(rf"^\| {heading} \|.*\n\|[- |]+\n((?:\|.*\n)+)", PAGE, re.M)
    lines = "".join(tables).splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def words(cell: str) -> list[str]:
    """Give what a cell has between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def test_every_metric_is_in_the_tables() -> None:
    """In the code's order, with kind, unit, attributes and words."""
    told = [
        (words(row[0])[0], row[1], words(row[2])[0], tuple(words(row[3])), row[4])
        for row in rows("metric")
    ]
    assert told == [
        (
            one.name,
            one.kind,
            one.unit,
            one.attributes,
            one.description[0].lower() + one.description[1:],
        )
        for one in (*STORE_METRICS, *LOG_METRICS)
    ]


def test_every_span_is_in_the_table_with_its_attributes() -> None:
    """What the tracer makes of each event is what the table says of it."""
    page: dict[str, tuple[str, str, set[str]]] = {}
    for name, made_of, kind, attributes in rows("span"):
        page[words(made_of)[0]] = (words(name)[0], kind, set(words(attributes)))
    phase = page["CheckpointPhase"]
    phase[2].update(page["CheckpointTaken"][2])
    assert set(page) == {type(event).__name__ for event in TOLD}
    assert set(page) == {one.__name__ for one in Traces(None)._tells}
    found: dict[str, tuple[str, str, set[str]]] = {}
    for event in TOLD:
        providers = Providers()
        traces = Traces(providers.tracers)
        if isinstance(event, events.CheckpointTaken):
            traces.tell(TOLD[4], "s")
        traces.tell(event, "s")
        for span in providers.spans():
            told_as = span.name.removesuffix(" s").replace("stream", "{phase}")
            told_as = re.sub("read|write$", "{operation}", told_as)
            is_phase = "{phase}" in told_as
            told = "CheckpointPhase" if is_phase else type(event).__name__
            own = set(span.attributes or {}) - {"db.system.name", "db.namespace"}
            before = found.get(told, ("", "", set()))[2]
            found[told] = (told_as, span.kind.name.lower(), before | own)
    assert found == page


def test_limits_are_those_of_the_code() -> None:
    """Numbers in the text are the constants."""
    for number, words_behind in (
        (f"{len(LIMITS)} limits", "from 128 ns to 17 s"),
        (f"{traces_module.LINKS_MAX:,} calls", "of the process"),
        (f"{RECENT}\nevents", ". Of `device_options`"),
        (f"{_wire.REQUEST_MAX} bytes", ", and of more"),
        (f"{_wire.CLIENTS_MAX} clients", "the one"),
    ):
        flat = " ".join(PAGE.split())
        assert f"{' '.join(number.split())}" in flat, number
        assert words_behind in flat, words_behind
    assert traces_module.WAITING_MAX == 64
    assert "Sixty-four may wait" in " ".join(PAGE.split())
