# SPDX-License-Identifier: MIT
"""What type checkers say about observability; this file is checked, never run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

import pyfaster
from pyfaster.protocols import LiveStores
from pyfaster_observability import (
    Failure,
    PrometheusServer,
    client,
    dashboard_path,
    failures,
    instrument,
    serve_prometheus,
    uninstrument,
)


def telling(tracers: TracerProvider, meters: MeterProvider) -> None:
    """What is told of, and where."""
    instrument()
    instrument(tracer_provider=tracers, meter_provider=meters)
    uninstrument()
    assert_type(failures(), Mapping[str, Failure])
    assert_type(failures()["traces"].count, int)
    assert_type(dashboard_path(), Path)
    with serve_prometheus(port=0, host="::1") as server:
        assert_type(server, PrometheusServer)
        assert_type(server.url, str)


def opening(path: Path) -> None:
    """The settings that ask for it."""
    pyfaster.open(socket=True, telemetry=True)
    pyfaster.open(socket=str(path))


def looking(path: Path) -> LiveStores:
    """What a client gets."""
    assert_type(client.running(), list[client.Running])
    assert_type(client.snapshot(), client.Snapshot)
    for store in client.snapshot(path).stores:
        assert_type(store, client.LiveStore)
        assert_type(store.stats, Mapping[str, Any])
    assert_type(client.ask(path, timeout=1.5), client.Snapshot)
    return client.Sockets()


def refused(meters: MeterProvider) -> None:
    """Mistakes that are seen before the program runs."""
    instrument(meters)  # type: ignore[call-arg, arg-type]
    serve_prometheus("9464")  # type: ignore[arg-type]
    client.snapshot(1.5)  # type: ignore[arg-type]
