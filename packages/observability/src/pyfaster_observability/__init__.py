# SPDX-License-Identifier: MIT
"""
Metrics, traces and a live view of pyfaster's stores and logs.

`instrument` is where everything begins. Importing starts nothing, and imports the rest
when it is asked for: the command and every store load this distribution's plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyfaster_observability._version import __version__

if TYPE_CHECKING:
    from pyfaster_observability._dashboard import dashboard_path
    from pyfaster_observability._failures import Failure, failures
    from pyfaster_observability._instrument import instrument, uninstrument
    from pyfaster_observability._prometheus import PrometheusServer, serve_prometheus

_LAZY = {
    "Failure": "_failures",
    "PrometheusServer": "_prometheus",
    "dashboard_path": "_dashboard",
    "failures": "_failures",
    "instrument": "_instrument",
    "serve_prometheus": "_prometheus",
    "uninstrument": "_instrument",
}


def __getattr__(name: str) -> Any:
    """
    Import what is first asked for.
    """
    if name not in _LAZY:
        raise AttributeError(
            f"module 'pyfaster_observability' has no attribute {name!r}"
        )
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """
    All public names, the lazy ones too.
    """
    return sorted(__all__)


__all__ = [
    "Failure",
    "PrometheusServer",
    "__version__",
    "dashboard_path",
    "failures",
    "instrument",
    "serve_prometheus",
    "uninstrument",
]
