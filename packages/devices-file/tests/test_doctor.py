# SPDX-License-Identifier: MIT
"""What `pyfaster doctor` is told of direct transfers, and that nothing is left."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from pyfaster_devices_file import _doctor
from pyfaster_devices_file._plugin import pyfaster_doctor


def test_a_directory_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    """There is one finding, which has no warning in it, and no file is left."""
    (finding,) = pyfaster_doctor(tmp_path)
    assert finding.name == "direct transfers"
    assert finding.status in ("ok", "note")
    assert list(tmp_path.iterdir()) == []


def test_without_a_directory_there_is_nothing_to_try() -> None:
    """Nothing is told of the machine alone."""
    assert pyfaster_doctor(None) == []


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="the system has none")
@pytest.mark.parametrize(
    ("refused", "status", "said"),
    [
        ((), "ok", "512 bytes"),
        ((512,), "ok", "4,096 bytes"),
        ((512, 4096), "note", "has none"),
    ],
)
def test_the_finest_alignment_is_told(
    refused: tuple[int, ...],
    status: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the file system refuses is passed over for the next."""
    monkeypatch.setattr(_doctor, "_moves", lambda _, size: size not in refused)
    _has_direct(monkeypatch)
    finding = _doctor.direct_found(tmp_path)
    assert (finding.status, said in finding.found) == (status, True)


def _has_direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files be opened again, whatever the file system has."""
    opened = os.open

    def plain(path: Any, flags: int, *more: Any, **named: Any) -> int:
        return opened(path, flags & ~os.O_DIRECT, *more, **named)

    monkeypatch.setattr(os, "open", plain)


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="the system has none")
@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EINVAL, "has none"), (errno.ENOENT, "could not be tried")],
)
def test_a_refusal_is_a_note(
    number: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system without them is told apart from a system that cannot be asked."""
    opened = os.open

    def refuse(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_DIRECT:
            raise OSError(number, os.strerror(number))
        return opened(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refuse)
    finding = _doctor.direct_found(tmp_path)
    assert (finding.status, said in finding.found) == ("note", True)
    assert "direct=" in finding.advice
