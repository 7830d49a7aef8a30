# SPDX-License-Identifier: MIT
"""
What tests of pyfaster and of its plugins are made with.

Devices that do wrong on purpose or write down what they are asked, and a hand that
drives any device through its table. Nothing here needs pytest.
"""

from __future__ import annotations

from pyfaster._devices import MemoryDevice, NullDevice, PythonDeviceServer
from pyfaster.testing._probe import DONE, Facts, Probe, Result
from pyfaster.testing.faults import FaultyDevice, Injected, Rule
from pyfaster.testing.listening import EventRecorder
from pyfaster.testing.recording import Event, RecordingDevice

__all__ = [
    "DONE",
    "Event",
    "EventRecorder",
    "Facts",
    "FaultyDevice",
    "Injected",
    "MemoryDevice",
    "NullDevice",
    "Probe",
    "PythonDeviceServer",
    "RecordingDevice",
    "Result",
    "Rule",
]
