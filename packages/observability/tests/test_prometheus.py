# SPDX-License-Identifier: MIT
"""
A scrape by Prometheus's own parser, and the dashboard that is made for it.
"""

from __future__ import annotations

import builtins
import json
import math
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import pyfaster
from pyfaster_observability import dashboard_path, failures, serve_prometheus
from pyfaster_observability._dashboard import LEFT_OUT
from pyfaster_observability._log_metrics import LOG_METRICS
from pyfaster_observability._metrics import COUNTER, Metric
from pyfaster_observability._store_metrics import STORE_METRICS

#: What a unit is called at the end of a name.
UNITS = {"By": "_bytes", "s": "_seconds"}


def shown_as(metric: Metric) -> str:
    """Give the name that a metric has in a scrape."""
    name = metric.name.replace(".", "_") + UNITS.get(metric.unit, "")
    return f"{name}_total" if metric.kind == COUNTER else name


NAMES = {shown_as(one): one for one in (*STORE_METRICS, *LOG_METRICS)}


def scrape(url: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Fetch and parse; give the samples of each name."""
    with urllib.request.urlopen(url) as answer:
        text = answer.read().decode()
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def full_scrape(place: Path) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Scrape a process in which everything that is told of is there."""
    logs = pytest.importorskip("pyfaster_fasterlog")
    with serve_prometheus(0) as server, logs.FasterLog.open(":memory:") as log:
        log.append_and_commit(b"one")
        with pyfaster.open(place, key=int, value=int, memory="64MiB") as store:
            store[1] = 1
            store.checkpoint()
            with pytest.raises(pyfaster.CheckpointFailedError):
                store.checkpoint("fold-over", progress=refuse)
            return scrape(server.url)


def refuse(progress: object) -> None:
    """End a checkpoint."""
    raise RuntimeError("no")


def test_a_scrape_has_every_metric(place: Path) -> None:
    """Each metric of the tables is in a scrape, under the name that is expected."""
    found = full_scrape(place)
    assert {name for name in found if name.startswith("pyfaster_")} == NAMES.keys()
    assert dict(failures()) == {}


def test_quantiles_of_a_scrape_are_those_of_the_store() -> None:
    """What `histogram_quantile` makes of the buckets is the figure of `stats()`."""
    with serve_prometheus(0) as server:
        with pyfaster.open(key=int, value=int, sample_every=1) as store:
            for key in range(2000):
                store.upsert(key, key)
            histogram = store.stats().latencies["upsert"]
            found = scrape(server.url)
    buckets = {
        float(labels["le"]): count
        for labels, count in found["pyfaster_operation_duration_bucket_total"]
        if labels["db_operation_name"] == "upsert"
    }
    assert buckets[math.inf] == histogram.samples > 0
    for part in (0.5, 0.9, 0.99):
        expected = histogram.quantile(part)
        assert expected is not None
        shown = histogram_quantile(part, buckets)
        low, high = (1 << 7) / 1e9, (1 << 34) / 1e9
        assert shown == pytest.approx(min(max(expected / 1e9, 0), high), rel=0.01) or (
            shown <= low
        )


def histogram_quantile(part: float, buckets: dict[float, float]) -> float:
    """Compute as Prometheus documents it: linear inside a bucket, from 0 on."""
    wanted = part * buckets[math.inf]
    below, low = 0.0, 0.0
    for limit, count in sorted(buckets.items()):
        if count >= wanted:
            if limit == math.inf:
                return low
            return low + (limit - low) * (wanted - below) / (count - below)
        below, low = count, limit
    raise AssertionError("the last bucket has everything")


def test_a_port_that_is_taken_is_an_error_that_says_so() -> None:
    """And what was begun is undone: another port serves."""
    with serve_prometheus(0) as server:
        port = server.port
        with pytest.raises(pyfaster.ConfigError, match="give another port"):
            serve_prometheus(port)
        with pyfaster.open():
            assert "pyfaster_sessions" in scrape(server.url)
    server.close()
    with serve_prometheus(0) as server, pyfaster.open():
        assert "pyfaster_sessions" in scrape(server.url)


@pytest.mark.parametrize("port", [-1, 70_000, "many", None, 80.5])
def test_what_is_no_port_is_an_error_that_says_so(port: Any) -> None:
    """A ConfigError, whatever the library below raises; another port serves."""
    with pytest.raises(pyfaster.ConfigError, match="give another port"):
        serve_prometheus(port)
    with serve_prometheus(0) as server, pyfaster.open():
        assert "pyfaster_sessions" in scrape(server.url)


def test_without_the_exporter_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A PluginMissingError with the line for pip; nothing is left behind."""
    plain = builtins.__import__

    def without(name: str, *args: Any, **named: Any) -> Any:
        if name.startswith("opentelemetry.exporter"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return plain(name, *args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", without)
        with pytest.raises(pyfaster.PluginMissingError) as raised:
            serve_prometheus(0)
    assert 'pip install "pyfaster-observability[prometheus]"' in str(raised.value)
    with serve_prometheus(0) as server:
        assert server.port > 0


# --- the dashboard ------------------------------------------------------------------


def panels() -> list[dict[str, Any]]:
    """Give the dashboard's panels."""
    data = json.loads(dashboard_path().read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = data["panels"]
    return found


def expressions() -> list[str]:
    """Give what the panels ask Prometheus."""
    return [one["expr"] for panel in panels() for one in panel.get("targets", ())]


def used() -> set[str]:
    """Give the names of metrics in the panels."""
    return {
        word
        for text in expressions()
        for word in re.findall(r"pyfaster_\w+(?=\{)", text)
    }


def test_the_dashboard_asks_only_for_what_a_scrape_has(place: Path) -> None:
    """Each metric of an expression, and each label it goes by, is in a scrape."""
    found = full_scrape(place)
    assert used() - found.keys() == set()
    for text in expressions():
        (name, *_) = re.findall(r"pyfaster_\w+(?=\{)", text)
        labels = set().union(*(set(own) for own, _ in found[name]))
        grouped = re.findall(r"by \(([^)]*)\)", text)
        wanted = {word.strip() for group in grouped for word in group.split(",")}
        assert wanted - labels == set(), text
        matched = set(re.findall(r"(\w+)=~?\"", text))
        assert matched - labels == set(), text


def test_every_metric_is_in_the_dashboard_or_left_out_for_a_reason() -> None:
    """No metric is forgotten, and none is both."""
    shown = {NAMES[name].name for name in used()}
    assert shown | LEFT_OUT.keys() == {one.name for one in NAMES.values()}
    assert shown & LEFT_OUT.keys() == set()
    assert all(LEFT_OUT.values())


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    """Ids are unique, panels lie side by side, rows are there, the data source is
    chosen by the user."""
    found = panels()
    assert len({panel["id"] for panel in found}) == len(found)
    titles = [panel["title"] for panel in found if panel["type"] == "row"]
    for title in ("Operations", "Latency", "Memory and regions", "Device"):
        assert title in titles
    assert {"Checkpoints", "Index"} <= set(titles)
    cells: set[tuple[int, int]] = set()
    for panel in found:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= own
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["description"]
