# SPDX-License-Identifier: MIT
"""
Reading a manifest: nothing in it is believed before it was checked.

First the size, then the checksum, then the format's version, then every member: its
type, its range, and how it agrees with the others. Nothing is imported or opened
because a manifest names it; codecs, hashes and layouts are texts that are compared.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import xxhash

from pyfaster.errors import FasterError
from pyfaster_checkpoint._manifest import (
    COOKIE_SIZE_MAX,
    FILES,
    FORMAT,
    INDEX,
    KINDS,
    MANIFEST,
    MANIFEST_SIZE_MAX,
    SEQUENCE_MAX,
    Addresses,
    FileEntry,
    Manifest,
    Value,
    canonical,
    sequence_of,
)
from pyfaster_checkpoint._problems import damaged, unsupported

T = TypeVar("T")

_TOKEN = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}")
_HEX = re.compile(r"[0-9a-f]{16}")
_END = re.compile(rb',"checksum":"([0-9a-f]{16})"\}\n')
_END_SIZE = len(',"checksum":"0123456789abcdef"}\n')

_U32 = (1 << 32) - 1
_U63 = (1 << 63) - 1
_U64 = (1 << 64) - 1
_INDEX_BITS_MAX = 48
_TEXT_MAX = 1 << 16

#: Member of a layout to the types that it may have.
LAYOUT: Mapping[str, tuple[type, ...]] = {
    "layout": (str,),
    "key_size": (int, type(None)),
    "value_size": (int, type(None)),
    "page_size": (int,),
    "hash": (str,),
    "key_codec": (str,),
    "value_codec": (str,),
    "value_type": (str,),
}


class _Wrong(Exception):
    """
    A member is not what it must be; the text says how.
    """


def is_token(text: object) -> bool:
    """
    Whether this is a checkpoint's name as we write them.
    """
    return isinstance(text, str) and _TOKEN.fullmatch(text) is not None


def parse(data: bytes, token: str) -> Manifest:
    """
    Check the bytes of a manifest.

    Args:
        data: The whole file.

        token: The directory that it was read from.

    Returns:
        What it says.

    Raises:
        CorruptCheckpointError: It is damaged, or belongs elsewhere.

        UnsupportedFormatError: A newer version of this package wrote it.
    """
    if len(data) > MANIFEST_SIZE_MAX:
        text = f"it has {len(data):,} bytes, more than {MANIFEST_SIZE_MAX:,}"
        raise damaged(token, MANIFEST, text)
    try:
        members = _open(data)
        found = members.get("format")
        if type(found) is not int or found != FORMAT:
            raise _other_format(token, found)
        return _build(members, token)
    except _Wrong as error:
        raise damaged(token, MANIFEST, str(error)) from None


def _other_format(token: str, found: object) -> FasterError:
    if type(found) is int and found > FORMAT:
        return unsupported(
            token,
            f"{MANIFEST} has format {found}, this is a reader of format {FORMAT}",
            "open it with the version of pyfaster-checkpoint that wrote it",
        )
    return damaged(token, MANIFEST, f"its format is {_show(found)}, not {FORMAT}")


def _open(data: bytes) -> dict[str, Any]:
    """
    Check the checksum and the form; give the members.
    """
    end = _END.fullmatch(data, max(len(data) - _END_SIZE, 0))
    if end is None:
        raise _Wrong(f"it does not end with a checksum ({len(data):,} bytes)")
    body = data[:-_END_SIZE] + b"}"
    found, computed = int(end[1], 16), xxhash.xxh3_64_intdigest(body)
    if found != computed:
        raise _Wrong(f"its checksum is {found:#018x}, computed {computed:#018x}")
    try:
        members = json.loads(body)
        same = isinstance(members, dict) and canonical(members) == body
    except (ValueError, RecursionError) as error:
        raise _Wrong(f"it is no canonical JSON ({type(error).__name__})") from None
    if not same:
        raise _Wrong("it is no canonical JSON of one object")
    return dict(members)


def _build(members: dict[str, Any], token: str) -> Manifest:
    """
    Check every member, then how they agree.
    """
    missing, unknown = _NAMES - members.keys(), members.keys() - _NAMES
    if missing or unknown:
        names = ", ".join(sorted(_show(name) for name in missing | unknown))
        raise _Wrong(f"members are missing or unknown: {names}")
    values = {name: _CHECKS[name](name, members[name]) for name in _CHECKS}
    manifest = Manifest(**values)
    if manifest.token != token:
        raise _Wrong(f"it belongs to checkpoint {manifest.token}")
    for agreed, text in _agreements(manifest):
        if not agreed:
            raise _Wrong(text)
    return manifest


def _agreements(one: Manifest) -> list[tuple[bool, str]]:
    """
    Say how the members must agree, and what to say when they do not.
    """
    at = one.addresses
    own = one.index == one.token
    names = sorted([*KINDS[one.kind], *([INDEX] if own else [])])
    older = [named for named in (one.parent, one.index) if named is not None]
    ids = [number for number, _ in one.sessions.values()]
    return [
        (sequence_of(one.token) == one.sequence, "its sequence is not its name's"),
        ((one.kind == "incremental") == (one.parent is not None), "parent and kind"),
        (one.parent != one.token, "it is its own parent"),
        (all(sequence_of(name) <= one.sequence for name in older), "a later parent"),
        (one.kind != "index" or own, "an index checkpoint without an index copy"),
        (own == (at.index_bits > 0), "index copy and index bits"),
        (
            at.begin <= at.fuzzy_start <= at.final,
            "addresses: begin, fuzzy start, final",
        ),
        (at.log_until <= at.final, "addresses: log until, final"),
        (not own or at.begin <= at.index_start <= at.final, "addresses: index start"),
        (one.kind != "fold-over" or at.log_until == at.final, "a fold-over's log"),
        (one.generations[0][0] == 0, "generations do not begin at 0"),
        (_ascending([first for first, _ in one.generations]), "order of generations"),
        (all(start < end for start, end, _ in one.skips), "an empty skip"),
        (_apart(one.skips), "order of skips"),
        (not one.skips or one.skips[-1][1] <= at.final, "a skip behind the end"),
        (len(set(ids)) == len(ids), "two sessions of one number"),
        (all(0 < number < one.next_session_id for number in ids), "session numbers"),
        ([entry.name for entry in one.files] == names, f"files are not {names}"),
    ]


def _ascending(values: list[int]) -> bool:
    return all(low < high for low, high in itertools.pairwise(values))


def _apart(skips: tuple[tuple[int, int, int], ...]) -> bool:
    pairs = itertools.pairwise(skips)
    return all(before[1] <= after[0] for before, after in pairs)


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _whole(low: int, high: int) -> Callable[[str, object], int]:
    def check(name: str, value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise _Wrong(f"{name} is {_show(value)}, not a number in {low}..{high}")
        return value

    return check


def _power(low: int) -> Callable[[str, object], int]:
    def check(name: str, value: object) -> int:
        number = _whole(low, _U63)(name, value)
        if number & (number - 1):
            raise _Wrong(f"{name} is {number:,}, not a power of two")
        return number

    return check


def _token(name: str, value: object) -> str:
    if not isinstance(value, str) or not is_token(value):
        raise _Wrong(f"{name} is {_show(value)}, not the name of a checkpoint")
    return value


def _token_or_none(name: str, value: object) -> str | None:
    return None if value is None else _token(name, value)


def _hex(name: str, value: object) -> int:
    if not isinstance(value, str) or _HEX.fullmatch(value) is None:
        raise _Wrong(f"{name} is {_show(value)}, not 16 hex digits")
    return int(value, 16)


def _choice(choices: Mapping[str, object]) -> Callable[[str, object], str]:
    def check(name: str, value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise _Wrong(f"{name} is {_show(value)}, not one of {', '.join(choices)}")
        return value

    return check


def _list(name: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise _Wrong(f"{name} is {_show(value)}, not a list")
    return value


def _object(name: str, value: object, names: set[str] | None) -> dict[str, Any]:
    if not isinstance(value, dict) or (names is not None and set(value) != names):
        wanted = f" of {', '.join(sorted(names))}" if names else ""
        raise _Wrong(f"{name} is {_show(value)}, not an object{wanted}")
    return value


def _rows(*columns: Callable[[str, object], int]) -> Callable[[str, object], Any]:
    def check(name: str, value: object) -> tuple[tuple[int, ...], ...]:
        return tuple(_row(name, row, columns) for row in _list(name, value))

    return check


def _row(
    name: str, row: object, columns: tuple[Callable[[str, object], int], ...]
) -> tuple[int, ...]:
    cells = _list(name, row)
    if len(cells) != len(columns):
        raise _Wrong(f"{name} has a row {_show(row)}, not of {len(columns)} numbers")
    return tuple(check(name, cell) for check, cell in zip(columns, cells, strict=True))


def _generations(name: str, value: object) -> tuple[tuple[int, ...], ...]:
    rows = tuple(
        _row(name, row, (_whole(0, _U63), _whole(1, _U64)))
        for row in _list(name, value)
    )
    if not rows:
        raise _Wrong(f"{name} is empty")
    return rows


def _addresses(name: str, value: object) -> Addresses:
    cells = _object(name, value, set(Addresses.__slots__))
    for word, cell in cells.items():
        high = _INDEX_BITS_MAX if word.endswith("_bits") else _U63
        _whole(0, high)(f"{name}.{word}", cell)
    return Addresses(**cells)


def _layout(name: str, value: object) -> dict[str, Value]:
    cells = _object(name, value, set(LAYOUT))
    for word, cell in cells.items():
        if type(cell) not in LAYOUT[word]:
            raise _Wrong(f"{name}.{word} is {_show(cell)}")
        if isinstance(cell, str) and len(cell) > _TEXT_MAX:
            raise _Wrong(f"{name}.{word} has {len(cell):,} characters")
        if isinstance(cell, int):
            _whole(0, _U63)(f"{name}.{word}", cell)
    _power(1)(f"{name}.page_size", cells["page_size"])
    return cells


def _sessions(name: str, value: object) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for session, pair in _object(name, value, None).items():
        number, serial = _row(name, pair, (_whole(1, _U64), _whole(0, _U64)))
        found[session] = (number, serial)
    return found


def _files(name: str, value: object) -> tuple[FileEntry, ...]:
    return tuple(_file(name, row) for row in _list(name, value))


def _file(name: str, row: object) -> FileEntry:
    cells = _object(name, row, {"name", "kind", "length", "xxh3"})
    word = _choice(FILES)(f"{name}.name", cells["name"])
    if cells["kind"] != FILES[word]:
        raise _Wrong(f"{name}: {word} is of kind {_show(cells['kind'])}")
    length = _whole(0, _U63)(f"{name}.length", cells["length"])
    return FileEntry(word, length, _hex(f"{name}.xxh3", cells["xxh3"]))


def _cookie(name: str, value: object) -> bytes:
    try:
        if not isinstance(value, str):
            raise TypeError
        data = base64.b64decode(value, validate=True)
        same = base64.b64encode(data).decode("ascii") == value
    except (TypeError, ValueError, binascii.Error):
        raise _Wrong(f"{name} is {_show(value)}, not base64") from None
    if not same or len(data) > COOKIE_SIZE_MAX:
        raise _Wrong(f"{name} is no canonical base64 of at most {COOKIE_SIZE_MAX:,}")
    return data


#: Member to its check. The only such table.
_CHECKS: Mapping[str, Callable[[str, object], Any]] = {
    "token": _token,
    "kind": _choice(KINDS),
    "sequence": _whole(1, SEQUENCE_MAX),
    "version": _whole(1, _U32),
    "parent": _token_or_none,
    "index": _token_or_none,
    "store_id": _hex,
    "seed": _hex,
    "created": _whole(0, _U63),
    "addresses": _addresses,
    "generations": _generations,
    "skips": _rows(_whole(0, _U63), _whole(0, _U63), _whole(1, _U32)),
    "layout": _layout,
    "segment_size": _whole(0, _U63),
    "sessions": _sessions,
    "next_session_id": _whole(1, _U64),
    "files": _files,
    "cookie": _cookie,
    "records": _whole(0, _U63),
}
_NAMES = {"format", *_CHECKS}

__all__ = ["LAYOUT", "is_token", "parse"]
