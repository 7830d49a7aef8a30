# SPDX-License-Identifier: MIT
"""
pydantic models as JSON.

A model is written with its aliases and read back through its validators, on writing
too: nothing is stored that cannot be read. JSON has many forms for one object, so
models are for values, never for keys. pydantic is not imported here; whoever passes a
model has done so.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Generic, TypeVar

from pyfaster.errors import CodecError
from pyfaster_codecs._fidelity import require_same, same
from pyfaster_codecs._names import check_schema

if TYPE_CHECKING:
    from pydantic import BaseModel

    M = TypeVar("M", bound=BaseModel)
else:
    M = TypeVar("M")

PREFIX = "json:"

_ADVICE = (
    "fields that are excluded or have different aliases for reading and writing get "
    "lost; for NaN set ser_json_inf_nan='constants', for bytes ser_json_bytes and "
    "val_json_bytes='base64' in model_config"
)


class Json(Generic[M]):
    """
    The codec of a pydantic model as JSON.

    Args:
        model: The model's class.

        name: What the schema is called on disk; the class's simple name when not
            given. Give one when the class may be renamed.

    Raises:
        CodecError: It is no pydantic model, or its name cannot be written to disk.

        ConfigError: The name given cannot.
    """

    __slots__ = ("_model", "name")

    size: int | None = None
    canonical = False
    value_type = "opaque"
    native: None = None
    dtype: None = None
    not_a_key_because = (
        "it is stored as JSON, which has many forms for one object; use a NamedTuple "
        "or a msgspec.Struct with frozen=True"
    )

    def __init__(self, model: type[M], *, name: str | None = None) -> None:
        if not is_model(model):
            raise CodecError(
                f"{model!r} is no pydantic model; use MsgPack for other types"
            )
        label = _model_name(model) if name is None else check_schema(name)
        self.name = PREFIX + label
        self._model = model

    def __repr__(self) -> str:
        name = self.name.removeprefix(PREFIX)
        return f"Json({self._model.__name__}, name={name!r})"

    def encode(self, value: M, /) -> bytes:
        """
        Give the JSON of a model.

        Raises:
            TypeError: It is of another class.

            ValueError: It would not come back as it is.
        """
        if type(value) is not self._model:
            raise TypeError(
                f"{self.name}: expected {self._model.__name__}, found "
                f"{type(value).__name__}; a subclass would lose what it adds"
            )
        try:
            back = self._model.model_validate_json(self._dump(value))
        except ValueError as exc:
            raise ValueError(
                f"{self.name}: the model would not come back: {exc}; {_ADVICE}"
            ) from exc
        if not same(value, back):
            require_same(value, back, self.name)
        return self._dump(back)

    def decode(self, data: bytes, /) -> M:
        """
        Give the model of some JSON.

        Raises:
            ValueError: It is not JSON, or the model's validators refuse it.
        """
        try:
            return self._model.model_validate_json(data)
        except ValueError as exc:
            raise ValueError(f"{self.name}: {exc}") from exc

    def _dump(self, value: M) -> bytes:
        text = value.model_dump_json(by_alias=True, round_trip=True, warnings="error")
        return text.encode()


def is_model(kind: object) -> bool:
    """
    Say whether something is a pydantic model's class, without importing pydantic.
    """
    pydantic = sys.modules.get("pydantic")  # absent: then nobody has made a model
    return (
        pydantic is not None
        and isinstance(kind, type)
        and issubclass(kind, pydantic.BaseModel)
        and kind is not pydantic.BaseModel
    )


def _model_name(model: type[object]) -> str:
    try:
        return check_schema(model.__name__)
    except ValueError as exc:
        raise CodecError(f"{exc}; give one, as in Json(model, name='order')") from exc
