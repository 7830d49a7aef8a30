# SPDX-License-Identifier: MIT
"""The pages about codecs: their examples run, and what their table says is so."""

from __future__ import annotations

import enum
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import codec_shapes as shapes
import msgspec
import numpy as np
import pytest

import pyfaster
from pyfaster._registry import registry
from pyfaster._resolve import codec_for
from pyfaster_codecs import Struct, unregister

pytestmark = pytest.mark.once

PACKAGE = Path(__file__).parent.parent
PAGES = [PACKAGE / "README.md", PACKAGE.parent.parent / "docs" / "codecs.md"]
NAIVE = Annotated[datetime, msgspec.Meta(tz=False)]


class Strange(enum.Enum):
    """An enum with an equality of its own."""

    A = "a"

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_run(page: Path) -> None:
    """Every example of a page runs, each after those before it."""
    blocks = re.findall(
        r"```python[^\n]*\n(.*?)```", page.read_text("utf-8"), re.DOTALL
    )
    assert blocks
    names: dict[str, Any] = {"__name__": "page"}
    try:
        for block in blocks:
            exec(compile(block, page.name, "exec"), names)
    finally:
        unregister("acme:ipv4")


@pytest.mark.parametrize(
    ("spec", "size", "name", "key"),
    [
        (bytes, None, "bytes", True), (str, None, "utf8", True),
        (int, 8, "int64", True), (pyfaster.UInt64, 8, "uint64", True),
        (float, 8, "float64", True), (pyfaster.Bytes(16), 16, "bytes[16]", True),
        (Struct("<IH"), 6, "struct:<IH", True), (Struct("<d"), 8, "struct:<d", False),
        (np.int32, 4, "numpy:<i4", True), (np.float32, 4, "numpy:<f4", False),
        (np.bool_, 1, "numpy:|b1", False), (np.dtype("S16"), 16, "numpy:|S16", True),
        (np.dtype("M8[us]"), 8, "numpy:<M8[us]", True),
        (np.dtype([("id", "<u4"), ("x", "<i4")]), 8,
         'numpy:[["id","<u4"],["x","<i4"]]', True),
        (bool, None, "msgpack:bool", True), (date, None, "msgpack:date", True),
        (timedelta, None, "msgpack:timedelta", True),
        (UUID, None, "msgpack:UUID", True),
        (datetime, None, "msgpack:datetime", False),
        (time, None, "msgpack:time", False),
        (NAIVE, None, "msgpack:datetime", True),
        (Decimal, None, "msgpack:Decimal", False),
        (shapes.Color, None, "msgpack:Color", True),
        (Strange, None, "msgpack:Strange", False),
        (Literal["a"], None, "msgpack:Literal['a']", True),
        (tuple[int, str], None, "msgpack:tuple[int,str]", True),
        (shapes.Pair, None, "msgpack:Pair", True),
        (int | str, None, "msgpack:int|str", True),
        (int | bool, None, "msgpack:bool|int", False),
        (shapes.Order, None, "msgpack:Order", True),
        (shapes.Box, None, "msgpack:Box", False),
        (shapes.Noted, None, "msgpack:Noted", False),
        (shapes.Entry, None, "msgpack:Entry", False),
        (list[int], None, "msgpack:list[int]", False),
    ],
)  # fmt: skip
def test_the_table_is_so(spec: Any, size: int | None, name: str, key: bool) -> None:
    """Each kind of type has the size, the name and the fitness that the page says."""
    codec = codec_for(spec, role="value", registry=registry)
    assert (codec.size, codec.name, codec.canonical) == (size, name, key)
