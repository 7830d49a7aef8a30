# SPDX-License-Identifier: MIT
"""What the tests share: a meter and a tracer provider in memory, and reading them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pyfaster_observability import instrument

Points = dict[frozenset[tuple[str, str]], float]


@dataclass(frozen=True, slots=True)
class Collected:
    """
    A metric as a reader got it.

    Attributes:
        unit: Its unit.

        points: Its values by their attributes.
    """

    unit: str
    points: Points


class Providers:
    """A meter provider and a tracer provider that keep all in memory."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider(metric_readers=[self.reader])
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))

    def instrument(self) -> None:
        """Tell of everything through these."""
        instrument(tracer_provider=self.tracers, meter_provider=self.meters)

    def collect(self) -> dict[str, Collected]:
        """Collect once; give the metrics by name."""
        data = self.reader.get_metrics_data()
        found: dict[str, Collected] = {}
        for resource in [] if data is None else data.resource_metrics:
            for scope in resource.scope_metrics:
                assert scope.scope.name == "pyfaster"
                for metric in scope.metrics:
                    found[metric.name] = Collected(metric.unit or "", points_of(metric))
        return found

    def spans(self) -> tuple[ReadableSpan, ...]:
        """Give the spans that have ended, in the order of their ends."""
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        """Give the spans whose names begin so."""
        return [one for one in self.spans() if one.name.startswith(name)]


def points_of(metric: Any) -> Points:
    """Give a metric's values; no two may have the same attributes."""
    found: Points = {}
    for point in metric.data.data_points:
        key = frozenset(point.attributes.items())
        assert key not in found
        found[key] = point.value
    return found


def value(metric: Collected, **attributes: str) -> float:
    """Give the one value that has these attributes, "." written as "__"."""
    wanted = {(name.replace("__", "."), word) for name, word in attributes.items()}
    (found,) = [number for key, number in metric.points.items() if wanted <= key]
    return found


def labels(key: frozenset[tuple[str, str]]) -> Mapping[str, str]:
    """Give attributes by name."""
    return dict(key)
