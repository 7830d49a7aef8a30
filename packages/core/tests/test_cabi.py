# SPDX-License-Identifier: MIT
"""
The boundary with C: what it refuses, what it hands on, and how handles end.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

import pytest

from pyfaster import _cabi, _hot
from pyfaster.errors import STATUS_ERRORS, ClosedError, ConfigError, DeviceError

LAYOUT = _cabi.enumerators("faster_layout")
HASH = _cabi.enumerators("faster_hash")
TYPE = _cabi.enumerators("faster_type")
STATUS = _cabi.enumerators("faster_status")

Fixed = tuple[_cabi.Kv, _hot.Session[int, int]]
Varlen = tuple[_cabi.Kv, _hot.Session[bytes, bytes]]


def open_fixed(**settings: int) -> _cabi.Kv:
    """Open a store of int64 keys and values."""
    return _cabi.kv_open(
        layout=LAYOUT["FASTER_FIXED"],
        hash=HASH["FASTER_HASH_XXH3"],
        value_type=TYPE["FASTER_TYPE_I64"],
        key_size=8,
        value_size=8,
        **settings,
    )


def open_varlen() -> _cabi.Kv:
    """Open a store of texts."""
    return _cabi.kv_open(
        layout=LAYOUT["FASTER_VARLEN"],
        hash=HASH["FASTER_HASH_XXH3"],
        value_type=TYPE["FASTER_TYPE_TEXT"],
    )


def open_session(kv: _cabi.Kv, kind: str) -> Any:
    """Open a session whose keys and values are of one kind."""
    key, value = _hot.Codec(kind, key=True), _hot.Codec(kind)
    return _hot.Session(_cabi.session_open(kv), kv, key, value)


@pytest.fixture
def fixed() -> Iterator[Fixed]:
    """A store of fixed layout and a session."""
    kv = open_fixed()
    yield kv, open_session(kv, "int64")
    kv.close(1000)


@pytest.fixture
def varlen() -> Iterator[Varlen]:
    """A store of varlen layout and a session."""
    kv = open_varlen()
    yield kv, open_session(kv, "bytes")
    kv.close(1000)


def test_every_status_has_its_sentence() -> None:
    """Each number of the enum has a sentence of its own."""
    sentences = {_cabi.error_text(status) for status in STATUS.values()}
    assert len(sentences) == len(STATUS)
    assert all(sentence.endswith(".") for sentence in sentences)


def test_every_failure_has_an_exception() -> None:
    """Each negative status of the compiled enum is in the table of exceptions."""
    failures = {number for number in STATUS.values() if number < 0}
    assert failures <= STATUS_ERRORS.keys()


def test_system_failures_have_the_systems_sentence() -> None:
    """A status of -errno is told in the system's words."""
    assert "directory" in _cabi.error_text(-2)


def test_half_upgraded_installation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python files of another version than the compiled module's say so at import."""
    monkeypatch.setattr(_cabi, "__version__", "9.9.9")
    with pytest.raises(ImportError, match=r"pyfaster 9\.9\.9 .* half upgraded"):
        _cabi._check_build()


def test_other_interface_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiled module with another interface's number is refused."""
    monkeypatch.setattr(_cabi, "ABI", _cabi.ABI + 1)
    with pytest.raises(ImportError, match="interface 2"):
        _cabi._check_build()


def test_close_is_idempotent() -> None:
    """A second close does nothing, and a closed store refuses operations."""
    kv = open_fixed()
    session = open_session(kv, "int64")
    kv.close(1000)
    kv.close(1000)
    assert kv.closed
    with pytest.raises(ClosedError):
        session.upsert(1, 2)


def test_closed_store_opens_no_session() -> None:
    """A session cannot be opened on a closed store."""
    kv = open_fixed()
    kv.close(1000)
    with pytest.raises(ClosedError):
        _cabi.session_open(kv)


def test_store_left_open_warns() -> None:
    """A store that is collected without close warns once."""
    left = [open_fixed()]
    with pytest.warns(ResourceWarning, match="without close"):
        left.clear()


def test_bad_setting_is_a_config_error() -> None:
    """A setting that the core refuses raises ConfigError."""
    with pytest.raises(ConfigError):
        open_fixed(page_size=4097)


def test_strided_buffers_are_refused() -> None:
    """Memory with gaps is refused, not copied in silence."""
    with pytest.raises(ValueError, match="contiguous"):
        _cabi.Results(memoryview(bytearray(8))[::2])


def test_offsets_are_whole_numbers() -> None:
    """Offsets that end inside a number are refused."""
    with pytest.raises(ValueError, match="no whole number"):
        _cabi.Results(bytearray(4), offsets=bytearray(12))


def test_results_need_writable_memory() -> None:
    """Nothing is written into an object that cannot change."""
    with pytest.raises(ValueError, match="writable"):
        _cabi.Results(b"abcd")


def test_results_need_an_offset_for_every_item(varlen: Varlen) -> None:
    """Fewer offsets than items are refused before C writes past them."""
    _, session = varlen
    few = _cabi.Results(bytearray(8), offsets=array("Q", [0, 0]))
    with pytest.raises(ValueError, match="2 results need 3 offsets"):
        _cabi.scan_next(session.address, _cabi.Cursor(), few, None, 2)


def test_results_begin_inside_their_memory(varlen: Varlen) -> None:
    """A first offset beyond the room is refused."""
    _, session = varlen
    results = _cabi.Results(bytearray(8), offsets=array("Q", [9, 0]))
    with pytest.raises(ValueError, match="offset 9"):
        _cabi.scan_next(session.address, _cabi.Cursor(), results, None, 1)


def test_results_need_room_for_every_row(fixed: Fixed) -> None:
    """The core refuses too little room for items of a fixed size."""
    _, session = fixed
    session.upsert_list([1, 2, 3], [4, 5, 6])
    out = array("q", [7, 7, 7])
    with pytest.raises(DeviceError):
        _cabi.scan_next(
            session.address, _cabi.Cursor(), _cabi.Results(out[:2]), None, 3
        )
    room = _cabi.Results(out), _cabi.Results(out[:2])
    with pytest.raises(DeviceError):
        _cabi.scan_next(session.address, _cabi.Cursor(), *room, 3)
    assert list(out) == [7, 7, 7]


def test_scan_gives_each_live_record_once(fixed: Fixed) -> None:
    """A scan in small steps gives every live record, and no deleted one."""
    _, session = fixed
    session.upsert_list(range(100), range(100))
    session.upsert_list(range(50), range(1000, 1050))
    session.delete_list(range(90, 100))
    seen: list[tuple[int, int]] = []
    cursor = _cabi.Cursor()
    keys, values = array("q", [0] * 7), array("q", [0] * 7)
    places = _cabi.Results(keys), _cabi.Results(values)
    while found := _cabi.scan_next(session.address, cursor, *places, 7)[0]:
        seen += zip(keys[:found], values[:found], strict=True)
    expected = [(i, 1000 + i if i < 50 else i) for i in range(90)]
    assert sorted(seen) == expected


def test_scan_tells_the_room_it_needs(varlen: Varlen) -> None:
    """A record that does not fit is announced with its sizes and then given."""
    _, session = varlen
    session.upsert(b"k" * 30, b"v" * 70)
    cursor = _cabi.Cursor()

    def step(key_room: int, value_room: int) -> tuple[int, int, int]:
        keys = _cabi.Results(bytearray(key_room), offsets=array("Q", [0, 0]))
        values = _cabi.Results(bytearray(value_room), offsets=array("Q", [0, 0]))
        return _cabi.scan_next(session.address, cursor, keys, values, 1)

    key_room, value_room = 4, 4
    needed = [(key_room, value_room)]
    while (step_end := step(key_room, value_room))[0] == 0:
        key_room = max(key_room, step_end[1])
        value_room = max(value_room, step_end[2])
        assert (key_room, value_room) != needed[-1], "asked for no more room"
        needed.append((key_room, value_room))
    assert needed[-1] == (30, 70)
    assert step(key_room, value_room) == (0, 0, 0)


def test_stats_have_the_names_of_the_struct(fixed: Fixed) -> None:
    """Figures count what was done, under the names of the header."""
    kv, session = fixed
    session.upsert_list([1, 2], [1, 2])
    assert session.read_list([1, 3]) == [1, None]
    stats = _cabi.kv_stats(kv)
    assert "size" not in stats
    assert stats["sessions"] == 1
    assert (stats["upserts"], stats["reads_hit"], stats["reads_missed"]) == (2, 1, 1)


def test_index_grows_on_request(fixed: Fixed) -> None:
    """A requested doubling is done, and every key is found afterwards."""
    kv, session = fixed
    keys = range(100)  # far from where growth starts by itself
    session.upsert_list(keys, keys)
    before = after = _cabi.kv_stats(kv)
    _cabi.kv_grow_index(kv)
    for _ in range(100_000):  # ends sooner: operations and the worker split chunks
        after = _cabi.kv_stats(kv)
        if after["index_growths"] > before["index_growths"]:
            break
        session.read_list(keys)
        _cabi.session_wait(session.address)
    assert after["index_growths"] == before["index_growths"] + 1
    assert after["index_buckets"] == 2 * before["index_buckets"]
    assert session.read_list(keys) == list(keys)


def test_hash_is_the_published_function() -> None:
    """The empty input hashes to the published numbers of both functions."""
    assert _cabi.hash_bytes(HASH["FASTER_HASH_XXH3"], b"") == 0x2D06800538D394C2
    assert _cabi.hash_bytes(HASH["FASTER_HASH_XXH64"], b"") == 0xEF46DB3751D8E999
    seeded = _cabi.hash_bytes(HASH["FASTER_HASH_XXH3"], b"", seed=1)
    assert seeded != 0x2D06800538D394C2


def test_view_of_a_mutable_record_is_refused(fixed: Fixed) -> None:
    """A record that may still change is not lent, nor is one that does not exist."""
    kv, session = fixed
    session.upsert(1, 42)
    mutable = _cabi.view_open(kv, session.address, array("q", [1]))
    absent = _cabi.view_open(kv, session.address, array("q", [2]))
    assert mutable == (STATUS["FASTER_MUTABLE"], None)
    assert absent == (STATUS["FASTER_NOT_FOUND"], None)
