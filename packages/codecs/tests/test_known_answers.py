# SPDX-License-Identifier: MIT
"""Stable names and bytes: what earlier versions wrote is read and written the same."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from pyfaster_codecs import reference_hash
from pyfaster_codecs._layout import PREFIX, dtype_by_name
from pyfaster_codecs._struct import PREFIX as STRUCT
from pyfaster_codecs._struct import struct_by_name

DATA = Path(__file__).parent / "data"
SPEC = importlib.util.spec_from_file_location(
    "write_known_answers", DATA / "write_known_answers.py"
)
assert SPEC is not None
assert SPEC.loader is not None
PROGRAM = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = PROGRAM  # its classes refer to each other by name
SPEC.loader.exec_module(PROGRAM)
ANSWERS = json.loads((DATA / "known_answers.json").read_text(encoding="utf-8"))
CASES = PROGRAM.cases()
PAIRS = list(zip(CASES, ANSWERS["codecs"], strict=True))


def test_every_case_has_an_answer() -> None:
    """The file and the program that wrote it list the same names."""
    assert [row[0] for row in ANSWERS["codecs"]] == [codec.name for codec, _ in CASES]
    assert len(ANSWERS["hashes"]) == len(PROGRAM.hashes())


@pytest.mark.parametrize(("case", "answer"), PAIRS)
def test_bytes_are_what_they_were(case: Any, answer: Any) -> None:
    """Each object has the recorded bytes, and the recorded bytes give an equal one."""
    (codec, objects), (name, canonical, texts) = case, answer
    assert (codec.name, codec.canonical) == (name, canonical)
    assert [codec.encode(one).hex() for one in objects] == texts
    for text in texts:
        data = bytes.fromhex(text)
        assert codec.encode(codec.decode(data)) == data


@pytest.mark.parametrize("answer", ANSWERS["codecs"])
def test_names_of_records_mean_their_codecs(answer: Any) -> None:
    """A recorded struct or numpy name alone gives a codec that reads the bytes."""
    name, _, texts = answer
    if name.startswith(STRUCT):
        size = struct_by_name(name).size
    elif name.startswith(PREFIX):
        size = dtype_by_name(name).itemsize
    else:
        size = None
    assert size in (None, *(len(text) // 2 for text in texts))


@pytest.mark.parametrize("answer", ANSWERS["hashes"])
def test_hashes_are_what_they_were(answer: Any) -> None:
    """Each hash has the recorded number."""
    name, size, seed, number = answer
    found = reference_hash(name, PROGRAM.pattern(size), int(seed, 16))
    assert found == int(number, 16)
