# SPDX-License-Identifier: MIT
"""pydantic models as JSON: checked when written, checked when read."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from pyfaster.errors import CodecError, ConfigError
from pyfaster.protocols import Codec
from pyfaster_codecs import Json


class Item(BaseModel):
    """A part of a customer's order."""

    sku: str
    count: int = Field(gt=0)


class Customer(BaseModel):
    """A model with a bit of everything."""

    name: str
    at: datetime | None = None
    items: list[Item] = []
    tags: dict[str, float] = {}
    pair: tuple[int, str] = (0, "")


class Aliased(BaseModel):
    """Is written and read under another name."""

    inner: int = Field(alias="outer")


class Split(BaseModel):
    """Is written under one name and read under another."""

    inner: int = Field(validation_alias="a", serialization_alias="b")


class Secret(BaseModel):
    """Leaves a field out when it is written."""

    shown: int
    hidden: int = Field(default=0, exclude=True)


class Constant(BaseModel):
    """Writes NaN as a constant."""

    model_config = ConfigDict(ser_json_inf_nan="constants")
    x: float


class Plain(BaseModel):
    """Has no settings for what JSON lacks."""

    x: float = 0.0
    data: bytes = b""


class Tree(pydantic.RootModel[dict[str, list[int]]]):
    """A model of one value without a name."""


class BigItem(Item):
    """A subclass with one field more."""

    size: int = 1


class Open(BaseModel):
    """Keeps fields that it does not know."""

    model_config = ConfigDict(extra="allow")


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
ITEMS = st.builds(Item, sku=TEXTS, count=st.integers(1, 2**60))
CUSTOMERS = st.builds(
    Customer,
    name=TEXTS,
    at=st.none() | st.datetimes(timezones=st.just(UTC)),
    items=st.lists(ITEMS, max_size=3),
    tags=st.dictionaries(TEXTS, st.floats(allow_nan=False, allow_infinity=False)),
    pair=st.tuples(st.integers(), TEXTS),
)


@given(CUSTOMERS)
def test_models_come_back(value: Customer) -> None:
    """What is encoded is decoded as an equal model, and is JSON."""
    codec = Json(Customer)
    data = codec.encode(value)
    assert codec.decode(data) == value
    assert codec.encode(codec.decode(data)) == data
    assert json.loads(data)["name"] == value.name


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_other_bytes_are_refused(data: bytes) -> None:
    """Bytes that are not the model's JSON give a ValueError."""
    with pytest.raises(ValueError, match="json:Customer"):
        Json(Customer).decode(data)


@pytest.mark.parametrize(
    "data", [b'{"sku":"a"}', b'{"sku":"a","count":0}', b'{"sku":1,"count":1}', b"[]"]
)
def test_validators_run_on_reading(data: bytes) -> None:
    """JSON that the model's validators refuse is not decoded."""
    with pytest.raises(ValueError, match="json:Item"):
        Json(Item).decode(data)


@pytest.mark.parametrize(
    ("model", "value", "error"),
    [
        (Item, {"sku": "a", "count": 1}, TypeError),
        (Item, BigItem(sku="a", count=1), TypeError),
        (Customer, Customer(name="a", items=[BigItem(sku="a", count=1)]), TypeError),
        (Item, Item.model_construct(sku="a", count=-1), ValueError),
        (Item, Item.model_construct(sku=5, count=1), ValueError),
        (Item, Item.model_construct(sku="a"), ValueError),
        (Split, Split(a=1), ValueError), (Plain, Plain(x=math.inf), ValueError),
        (Secret, Secret(shown=1, hidden=2), ValueError),
        (Plain, Plain(data=b"\xff"), ValueError),
        (Open, Open(a=Item(sku="a", count=1)), TypeError),
    ],
)  # fmt: skip
def test_what_would_change_is_refused(model: Any, value: Any, error: type) -> None:
    """A model that would not come back as it is is refused on writing."""
    with pytest.raises(error, match="json:"):
        Json(model).encode(value)


@pytest.mark.parametrize(
    "value",
    [Aliased(outer=3), Secret(shown=1), Constant(x=math.inf), Constant(x=math.nan),
     Tree({"a": [1, 2]}), Open(a=1, b="x")],
)  # fmt: skip
def test_settings_of_models_are_kept(value: BaseModel) -> None:
    """Aliases, constants for NaN, root models and extra fields survive."""
    codec = Json(type(value))
    back = codec.decode(codec.encode(value))
    assert repr(back) == repr(value)


def test_the_contract_is_met() -> None:
    """A Json fits the protocol, is never for keys, and says why."""
    codec = Json(Customer, name="customer-v1")
    assert isinstance(codec, Codec)
    assert (codec.name, codec.size, codec.dtype) == ("json:customer-v1", None, None)
    assert not codec.canonical
    assert "many forms" in codec.not_a_key_because


@pytest.mark.parametrize("model", [BaseModel, dict, int, 5, Item(sku="", count=1)])
def test_only_models_are_taken(model: Any) -> None:
    """Anything but a model's class is refused, with the way out."""
    with pytest.raises(CodecError, match="use MsgPack"):
        Json(model)


def test_names_are_checked() -> None:
    """A generic model needs a name, and no name has a dot."""
    with pytest.raises(CodecError, match="name='order'"):
        Json(pydantic.RootModel[int])
    with pytest.raises(ConfigError, match="no dots"):
        Json(Item, name="shop.Item")
    assert Json(pydantic.RootModel[int], name="n").name == "json:n"
