# SPDX-License-Identifier: MIT
"""
Metrics for Prometheus, by OpenTelemetry's own exporter.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

from pyfaster.errors import ConfigError, PluginMissingError
from pyfaster_observability._failures import kept_apart
from pyfaster_observability._instrument import control

PIP = 'pip install "pyfaster-observability[prometheus]"'


class PrometheusServer:
    """
    What serves a scrape, until `close`.

    Attributes:
        port: Where.

        url: What Prometheus is told to scrape.
    """

    def __init__(self, host: str, port: int) -> None:
        parts = exporter()
        self._closed = False
        registry = parts["CollectorRegistry"]()
        self._reader = parts["PrometheusMetricReader"](registry=registry)
        self._provider = parts["MeterProvider"](metric_readers=[self._reader])
        try:
            self._server, self._thread = parts["start_http_server"](
                port, host, registry=registry
            )
        except (OSError, OverflowError, TypeError) as error:
            self._provider.shutdown()
            why = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"serve_prometheus: {host}:{port}: {why}; give another port"
            ) from error
        self.port = int(self._server.server_port)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}/metrics"
        try:
            control.instrument(None, self._provider)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """
        Serve no more, and undo `instrument`; a second call does nothing.
        """
        if self._closed:
            return
        self._closed = True
        self._server.shutdown()
        self._server.server_close()
        if self._thread is not threading.current_thread():
            self._thread.join()
        if control.tells(self._provider):
            control.uninstrument()
        with kept_apart("metrics"):
            self._provider.shutdown()

    def __enter__(self) -> PrometheusServer:
        """
        Give the server itself.
        """
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """
        Close it.
        """
        self.close()


def exporter() -> dict[str, Any]:
    """
    Import what serves a scrape.

    Raises:
        PluginMissingError: It is not installed; the message says how to get it.
    """
    try:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from opentelemetry.sdk.metrics import MeterProvider
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as error:
        raise PluginMissingError(
            f"serve_prometheus needs {error.name}, which is not installed: {PIP}"
        ) from error
    return {
        "CollectorRegistry": CollectorRegistry,
        "MeterProvider": MeterProvider,
        "PrometheusMetricReader": PrometheusMetricReader,
        "start_http_server": start_http_server,
    }


def serve_prometheus(port: int = 9464, host: str = "127.0.0.1") -> PrometheusServer:
    """
    Serve the metrics of all stores and logs of this process to Prometheus.

    This is `instrument` with a meter provider of its own, and the global tracer
    provider. A program that has a meter provider adds OpenTelemetry's
    `PrometheusMetricReader` to it instead, and calls `instrument`.

    Args:
        port: Where to listen; 0 for any that is free.

        host: The address to listen at; the default can be reached from this machine
            alone.

    Returns:
        What serves; closing it ends that. Its `url` is what is to be scraped.

    Raises:
        PluginMissingError: The exporter is not installed.

        ConfigError: The port is taken or none, or `instrument` was called before.

    Cost: a thread, and one more for each scrape while it lasts.
    """
    return PrometheusServer(host, port)


__all__ = ["PrometheusServer", "serve_prometheus"]
