# SPDX-License-Identifier: MIT
"""
The conformance suite of codecs: one check for each sentence of their contract.

The contract is `pyfaster.protocols.Codec`. Whoever writes a codec gives the suite some
objects, and gets one outcome for each check:

>>> from pyfaster import Bytes
>>> from pyfaster.testing.codecs import check_codec
>>> outcomes = check_codec(Bytes(2), [b"ab", b"cd"], foreign=["ab", b"abc"])
>>> [one.id for one in outcomes if one.status == "failed"]
[]

What a suite cannot do is to guess objects: those that are equal and look different, the
longest, the emptiest. They are what makes a codec wrong, so give them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from pyfaster._resolve import codec_flaw
from pyfaster.errors import FasterError
from pyfaster.testing.conformance import FAILED, NOT_APPLICABLE, PASSED, Outcome

#: What encoding may raise for an object that cannot be stored.
_REFUSALS = (TypeError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class _Subject:
    """
    A codec, and what it is tried with.
    """

    codec: Any
    values: Sequence[Any]
    foreign: Sequence[Any]
    damaged: Sequence[bytes]


class _Broken(Exception):
    """
    What a check found instead.
    """


class _Silent(Exception):
    """
    Why a check says nothing of this codec.
    """


def _described(subject: _Subject) -> None:
    flaw = codec_flaw(subject.codec)
    if flaw:
        raise _Broken(f"it {flaw}")
    native, dtype = subject.codec.native, subject.codec.dtype
    if native is None and dtype is not None and subject.codec.size is None:
        raise _Broken(f"it has the dtype {dtype!r} and no fixed size")


def _gives_bytes(subject: _Subject) -> None:
    for value in subject.values:
        data, size = subject.codec.encode(value), subject.codec.size
        if type(data) is not bytes:
            raise _Broken(f"{value!r} became {type(data).__name__}, not bytes")
        if size not in (None, len(data)):
            raise _Broken(f"{value!r} became {len(data)} bytes; its size is {size}")


def _comes_back(subject: _Subject) -> None:
    for value in subject.values:
        found = subject.codec.decode(subject.codec.encode(value))
        if type(found) is not type(value):
            kinds = type(value).__name__, type(found).__name__
            raise _Broken("{}: a {} came back as a {}".format(repr(value), *kinds))
        if found != value and value == value:  # NaN equals nothing
            raise _Broken(f"{value!r} came back as {found!r}")


def _repeats(subject: _Subject) -> None:
    for value in subject.values:
        if subject.codec.encode(value) != subject.codec.encode(value):
            raise _Broken(f"{value!r} became other bytes the second time")


def _is_canonical(subject: _Subject) -> None:
    if not subject.codec.canonical:
        raise _Silent("it does not serve keys")
    for value in subject.values:
        for other in subject.values:
            same = subject.codec.encode(value) == subject.codec.encode(other)
            if value == other and not same:
                raise _Broken(f"{value!r} == {other!r}, with other bytes")


def _refuses_foreign(subject: _Subject) -> None:
    for value in (object(), *subject.foreign):
        try:
            data = subject.codec.encode(value)
        except _REFUSALS:
            continue
        raise _Broken(f"{value!r} became {data!r}")


def _refuses_damage(subject: _Subject) -> None:
    damaged = list(subject.damaged)
    if subject.codec.size is not None and subject.codec.native is None:
        data = bytes(subject.codec.size)
        damaged += [data + b"\0", *([data[1:]] if data else [])]
    if not damaged:
        raise _Silent("no damaged bytes were given, and the size varies")
    for data in damaged:
        try:
            found = subject.codec.decode(data)
        except ValueError:
            continue
        raise _Broken(f"{data!r} became {found!r}")


def _fits_arrays(subject: _Subject) -> None:
    codec = subject.codec
    if codec.dtype is None:
        raise _Silent("it has no dtype")
    if find_spec("numpy") is None:
        raise _Silent("numpy is not installed")
    size = import_module("numpy").dtype(codec.dtype).itemsize
    if codec.size != size:
        raise _Broken(f"an item of {codec.dtype!r} has {size} bytes, not {codec.size}")


def _serves_values(subject: _Subject) -> None:
    with import_module("pyfaster").open(key=int, value=subject.codec) as store:
        store.upsert_many(range(len(subject.values)), list(subject.values))
        for place, value in enumerate(subject.values):
            found = store[place]
            if found != value and value == value:
                raise _Broken(f"{value!r} was read as {found!r}")


def _serves_keys(subject: _Subject) -> None:
    if not subject.codec.canonical:
        raise _Silent("it does not serve keys")
    with import_module("pyfaster").open(key=subject.codec, value=int) as store:
        for place, value in enumerate(subject.values):
            store[value] = place
            if store.read(value) != place:
                raise _Broken(f"{value!r} is not found again")
        count = len({subject.codec.encode(value) for value in subject.values})
        if store.count() != count:
            raise _Broken(f"{store.count()} keys; their bytes are {count} different")


#: Each check: its id, its sentence, and the function that tries it.
_CHECKS: tuple[tuple[str, str, Callable[[_Subject], None]], ...] = (
    ("C-is-described", "Its attributes are those of a codec.", _described),
    ("C-gives-bytes", "Objects become bytes, of its size if it has one.", _gives_bytes),
    ("C-comes-back", "What was encoded is decoded to an equal object.", _comes_back),
    ("C-repeats", "An object becomes the same bytes each time.", _repeats),
    ("C-is-canonical", "Equal objects have equal bytes, for keys.", _is_canonical),
    ("C-refuses-foreign", "What is not of its type is refused.", _refuses_foreign),
    ("C-refuses-damage", "Bytes that are no object are refused.", _refuses_damage),
    ("C-fits-arrays", "An item of its dtype has its size.", _fits_arrays),
    ("C-serves-values", "A store gives its values back.", _serves_values),
    ("C-serves-keys", "A store finds its keys again.", _serves_keys),
)


def _outcomes(subject: _Subject) -> Iterator[Outcome]:
    for name, sentence, run in _CHECKS:
        status, reason = PASSED, ""
        try:
            run(subject)
        except _Silent as silent:
            status, reason = NOT_APPLICABLE, str(silent)
        except _Broken as broken:
            status, reason = FAILED, str(broken)
        except (FasterError, AttributeError, *_REFUSALS) as error:
            status, reason = FAILED, f"{type(error).__name__}: {error}"
        yield Outcome(name, sentence, status, reason)


def check_codec(
    codec: object,
    values: Sequence[object],
    *,
    foreign: Sequence[object] = (),
    damaged: Sequence[bytes] = (),
) -> tuple[Outcome, ...]:
    """
    Hold a codec to its contract.

    Args:
        codec: What would be given as `key=` or `value=`.

        values: Objects that it must store: among them equal ones that look different,
            the largest and the smallest.

        foreign: Objects that it must refuse.

        damaged: Bytes that it must refuse.

    Returns:
        An outcome for each check: passed, failed with what was found instead, or not
        applicable with the reason.

    Raises:
        ValueError: There are no values, so nothing would be tried.

    Cost: each value is encoded some ten times, and compared with each other one.
    """
    if not values:
        raise ValueError("check_codec: give it some values")
    return tuple(_outcomes(_Subject(codec, values, foreign, damaged)))
