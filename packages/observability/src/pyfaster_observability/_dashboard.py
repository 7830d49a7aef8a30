# SPDX-License-Identifier: MIT
"""
The dashboard for Grafana, which comes with this distribution.
"""

from __future__ import annotations

from pathlib import Path

#: Metrics that no panel shows, and why.
LEFT_OUT = {
    "pyfaster.cache.insertions": "its evictions tell whether the cache is too small",
    "pyfaster.checkpoints.duration.sum": "the newest one's duration is shown",
    "pyfaster.device.duration.sum": "the quantiles are shown",
    "pyfaster.events.waiting": "events that were lost are shown",
    "pyfaster.index.growing": "growths are shown",
    "pyfaster.memory.used": "its components are shown",
    "pyfaster.operation.duration.sum": "the quantiles are shown",
    "pyfaster.wait.duration.sum": "the quantiles are shown",
    "pyfaster.fasterlog.commit.duration.sum": "the quantiles are shown",
    "pyfaster.fasterlog.device.duration.sum": "the quantiles are shown",
    "pyfaster.fasterlog.completed": "it changes once in a log's life",
    "pyfaster.fasterlog.cursors": "it changes rarely",
    "pyfaster.fasterlog.generation": "it changes when a log is opened",
    "pyfaster.fasterlog.scans": "it is of use when a log is examined",
    "pyfaster.fasterlog.slots.written": "it follows from commits",
}


def dashboard_path() -> Path:
    """
    Give the path of the Grafana dashboard, a JSON file to be imported there.
    """
    return Path(__file__).parent / "grafana" / "pyfaster.json"


__all__ = ["LEFT_OUT", "dashboard_path"]
