# SPDX-License-Identifier: MIT
"""
The boundary with C: what it refuses, what it hands on, and how handles end.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator
from typing import Any

import pytest

from pyfaster import _cabi
from pyfaster.errors import (
    STATUS_ERRORS,
    ClosedError,
    ConfigError,
    KeyTooLargeError,
    MergeError,
    MergeOverflowError,
)

LAYOUT = _cabi.enumerators("faster_layout")
HASH = _cabi.enumerators("faster_hash")
TYPE = _cabi.enumerators("faster_type")
MERGE = _cabi.enumerators("faster_merge_kind")
STATUS = _cabi.enumerators("faster_status")

ADD = MERGE["FASTER_MERGE_ADD"]
APPEND = MERGE["FASTER_MERGE_APPEND"]


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


@pytest.fixture
def fixed() -> Iterator[tuple[_cabi.Kv, int]]:
    """A store of fixed layout and a session."""
    kv = open_fixed()
    session = _cabi.session_open(kv)
    yield kv, session
    _cabi.session_free(session)
    kv.close(1000)


@pytest.fixture
def varlen() -> Iterator[tuple[_cabi.Kv, int]]:
    """A store of varlen layout and a session."""
    kv = open_varlen()
    session = _cabi.session_open(kv)
    yield kv, session
    _cabi.session_free(session)
    kv.close(1000)


def numbers(*values: int) -> _cabi.Items:
    """Give int64 items."""
    return _cabi.Items(array("q", values), size=8)


def texts(*values: bytes) -> _cabi.Items:
    """Give items of varying size."""
    offsets = array("Q", [0])
    for value in values:
        offsets.append(offsets[-1] + len(value))
    return _cabi.Items(b"".join(values), offsets=offsets)


def read_fixed(session: int, *keys: int) -> list[int | None]:
    """Read int64 keys; None for those that are absent."""
    out = array("q", [0] * len(keys))
    found = bytearray(len(keys))
    room = _cabi.Results(out, size=8, flags=found)
    assert _cabi.read_many(session, numbers(*keys), room) == len(keys)
    return [value if flag else None for value, flag in zip(out, found, strict=True)]


def read_texts(session: int, *keys: bytes, room: int) -> list[bytes | None]:
    """Read keys of a varlen store, with twice the room whenever a value did not fit."""
    data = bytearray(room)
    offsets = array("Q", bytes(8 * (len(keys) + 1)))
    found = bytearray(len(keys))
    results = _cabi.Results(data, offsets=offsets, flags=found)
    if _cabi.read_many(session, texts(*keys), results) < len(keys):
        return read_texts(session, *keys, room=2 * room)
    parts = (bytes(data[offsets[i] : offsets[i + 1]]) for i in range(len(keys)))
    return [part if flag else None for part, flag in zip(parts, found, strict=True)]


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
    session = _cabi.session_open(kv)
    kv.close(1000)
    kv.close(1000)
    assert kv.closed
    with pytest.raises(ClosedError):
        _cabi.upsert_many(session, numbers(1), numbers(2))
    _cabi.session_free(session)


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


def test_fixed_batches_round_trip(fixed: tuple[_cabi.Kv, int]) -> None:
    """What upsert_many stores, read_many gives; absent keys keep their rows."""
    _, session = fixed
    keys = array("q", range(1000))
    values = array("q", (7 * key for key in keys))
    items = _cabi.Items(keys, size=8)
    assert _cabi.upsert_many(session, items, _cabi.Items(values, size=8)) == 1000
    assert read_fixed(session, 3, 5000, 999) == [21, None, 6993]
    assert _cabi.session_serial(session) == 1000


def test_varlen_batches_round_trip(varlen: tuple[_cabi.Kv, int]) -> None:
    """Texts of any size come back, and a value that does not fit stops the call."""
    _, session = varlen
    seed = 20
    print("seed", seed)
    pick = random.Random(seed)
    keys = [b"key%d" % i for i in range(200)]
    values = [pick.randbytes(pick.randrange(300)) for _ in keys]
    assert _cabi.upsert_many(session, texts(*keys), texts(*values)) == 200
    assert read_texts(session, *keys, b"absent", room=100) == [*values, None]


def test_rmw_many_adds(fixed: tuple[_cabi.Kv, int]) -> None:
    """A batch of merges gives the new values in order, repeated keys included."""
    _, session = fixed
    out = array("q", [0] * 4)
    keys, inputs = numbers(1, 2, 1, 1), numbers(10, 20, 30, 40)
    room = _cabi.Results(out, size=8)
    assert _cabi.rmw_many(session, ADD, 0, keys, inputs, room) == 4
    assert list(out) == [10, 20, 40, 80]


def test_failed_batch_says_where_it_stood(fixed: tuple[_cabi.Kv, int]) -> None:
    """An overflow in item 2 leaves items 0 and 1 done, and the message says so."""
    _, session = fixed
    keys, inputs = numbers(1, 2, 3), numbers(5, 6, 1)
    _cabi.upsert_many(session, numbers(3), numbers(2**63 - 1))
    with pytest.raises(MergeOverflowError, match="item 2 of a batch of 3"):
        _cabi.rmw_many(session, ADD, 0, keys, inputs, _cabi.Results(None))
    assert read_fixed(session, 1, 2, 3) == [5, 6, 2**63 - 1]


def test_delete_many_tells_what_was_there(fixed: tuple[_cabi.Kv, int]) -> None:
    """flags[i] is 1 exactly where the key was there."""
    _, session = fixed
    _cabi.upsert_many(session, numbers(1, 3), numbers(1, 1))
    flags = bytearray(b"\7\7\7")
    assert _cabi.delete_many(session, numbers(1, 2, 3), flags) == 3
    assert list(flags) == [1, 0, 1]
    assert read_fixed(session, 1, 2, 3) == [None, None, None]


def test_key_of_wrong_size_is_refused(fixed: tuple[_cabi.Kv, int]) -> None:
    """A fixed store refuses keys of another size; nothing is written."""
    kv, session = fixed
    keys = _cabi.Items(b"abcd", size=4)
    with pytest.raises(KeyTooLargeError):
        _cabi.upsert_many(session, keys, numbers(1))
    assert _cabi.kv_stats(kv)["upserts"] == 0


@pytest.mark.parametrize(
    ("size", "message"), [(3, "8 bytes are not 2 items of 3"), (0, "pass count")]
)
def test_cut_off_items_are_refused(size: int, message: str) -> None:
    """A buffer that is no whole number of items is refused before C sees it."""
    with pytest.raises(ValueError, match=message):
        _cabi.Items(b"abcdefgh", size=size)


@pytest.mark.parametrize("offsets", [[0, 9], [0, 5, 4], [5, 4, 8], [2**64 - 1, 2]])
def test_offsets_outside_the_data_are_refused(
    varlen: tuple[_cabi.Kv, int], offsets: list[int]
) -> None:
    """Offsets that leave the buffer or go back are refused before C follows them."""
    _, session = varlen
    keys = _cabi.Items(b"abcdefgh", offsets=array("Q", offsets))
    with pytest.raises(ValueError, match="offsets must ascend"):
        _cabi.delete_many(session, keys)


def test_offsets_of_wrong_count_are_refused() -> None:
    """There is one offset more than there are items."""
    with pytest.raises(ValueError, match="2 items need 3 offsets"):
        _cabi.Items(b"abcd", offsets=array("Q", [0, 4]), count=2)
    with pytest.raises(ValueError, match="one number more"):
        _cabi.Items(b"", offsets=b"")
    with pytest.raises(ValueError, match="no whole number"):
        _cabi.Items(b"abcd", offsets=b"\0" * 12)


def test_strided_buffers_are_refused() -> None:
    """Memory with gaps is refused, not copied in silence."""
    with pytest.raises(ValueError, match="contiguous"):
        _cabi.Items(memoryview(b"abcdefgh")[::2], size=1)


def test_results_need_writable_memory() -> None:
    """Nothing is written into an object that cannot change."""
    with pytest.raises(ValueError, match="writable"):
        _cabi.Results(b"abcd")


def test_results_need_room_for_every_flag(fixed: tuple[_cabi.Kv, int]) -> None:
    """Fewer flags or offsets than items are refused before C writes past them."""
    _, session = fixed
    out = array("q", [0, 0])
    few = _cabi.Results(out, size=8, flags=bytearray(1))
    with pytest.raises(ValueError, match="2 results need 2 flags"):
        _cabi.read_many(session, numbers(1, 2), few)
    few = _cabi.Results(out, offsets=array("Q", [0, 0]))
    with pytest.raises(ValueError, match="2 results need 3 offsets"):
        _cabi.read_many(session, numbers(1, 2), few)
    with pytest.raises(ValueError, match="2 results need 2 flags"):
        _cabi.delete_many(session, numbers(1, 2), bytearray(1))


def test_results_begin_inside_their_memory(varlen: tuple[_cabi.Kv, int]) -> None:
    """A first offset beyond the room is refused."""
    _, session = varlen
    results = _cabi.Results(bytearray(8), offsets=array("Q", [9, 0]))
    with pytest.raises(ValueError, match="offset 9"):
        _cabi.read_many(session, texts(b"a"), results)


def test_results_need_room_for_every_value(fixed: tuple[_cabi.Kv, int]) -> None:
    """Too little room for values of a fixed size is refused before C writes past it."""
    _, session = fixed
    out = array("q", [0, 0])
    with pytest.raises(ValueError, match="3 results do not fit 16 bytes"):
        _cabi.read_many(session, numbers(1, 2, 3), _cabi.Results(out, size=8))
    with pytest.raises(ValueError, match="need a size or offsets"):
        _cabi.read_many(session, numbers(1, 2), _cabi.Results(out))


def test_counts_of_keys_and_values_must_agree(fixed: tuple[_cabi.Kv, int]) -> None:
    """Two keys with one value are refused."""
    _, session = fixed
    with pytest.raises(ValueError, match="2 keys come with 1 values"):
        _cabi.upsert_many(session, numbers(1, 2), numbers(1))


def test_scan_gives_each_live_record_once(fixed: tuple[_cabi.Kv, int]) -> None:
    """A scan in small steps gives every live record, and no deleted one."""
    _, session = fixed
    _cabi.upsert_many(session, numbers(*range(100)), numbers(*range(100)))
    _cabi.upsert_many(session, numbers(*range(50)), numbers(*range(1000, 1050)))
    _cabi.delete_many(session, numbers(*range(90, 100)))
    seen: list[tuple[int, int]] = []
    cursor = _cabi.Cursor()
    keys, values = array("q", [0] * 7), array("q", [0] * 7)
    places = _cabi.Results(keys), _cabi.Results(values)
    while found := _cabi.scan_next(session, cursor, *places, 7)[0]:
        seen += zip(keys[:found], values[:found], strict=True)
    expected = [(i, 1000 + i if i < 50 else i) for i in range(90)]
    assert sorted(seen) == expected


def test_scan_tells_the_room_it_needs(varlen: tuple[_cabi.Kv, int]) -> None:
    """A record that does not fit is announced with its sizes and then given."""
    _, session = varlen
    _cabi.upsert_many(session, texts(b"k" * 30), texts(b"v" * 70))
    cursor = _cabi.Cursor()

    def step(key_room: int, value_room: int) -> tuple[int, int, int]:
        keys = _cabi.Results(bytearray(key_room), offsets=array("Q", [0, 0]))
        values = _cabi.Results(bytearray(value_room), offsets=array("Q", [0, 0]))
        return _cabi.scan_next(session, cursor, keys, values, 1)

    key_room, value_room = 4, 4
    needed = [(key_room, value_room)]
    while (step_end := step(key_room, value_room))[0] == 0:
        key_room = max(key_room, step_end[1])
        value_room = max(value_room, step_end[2])
        assert (key_room, value_room) != needed[-1], "asked for no more room"
        needed.append((key_room, value_room))
    assert needed[-1] == (30, 70)
    assert step(key_room, value_room) == (0, 0, 0)


def test_stats_have_the_names_of_the_struct(fixed: tuple[_cabi.Kv, int]) -> None:
    """Figures count what was done, under the names of the header."""
    kv, session = fixed
    _cabi.upsert_many(session, numbers(1, 2), numbers(1, 2))
    read_fixed(session, 1, 3)
    stats = _cabi.kv_stats(kv)
    assert "size" not in stats
    assert stats["sessions"] == 1
    assert (stats["upserts"], stats["reads_hit"], stats["reads_missed"]) == (2, 1, 1)


def test_merges_are_checked_against_the_type(fixed: tuple[_cabi.Kv, int]) -> None:
    """Adding applies to integers, appending does not."""
    kv, _ = fixed
    _cabi.kv_check_merge(kv, ADD)
    with pytest.raises(MergeError):
        _cabi.kv_check_merge(kv, APPEND)


def test_index_grows_on_request(fixed: tuple[_cabi.Kv, int]) -> None:
    """A requested doubling is done, and every key is found afterwards."""
    kv, session = fixed
    keys = range(100)  # far from where growth starts by itself
    _cabi.upsert_many(session, numbers(*keys), numbers(*keys))
    before = after = _cabi.kv_stats(kv)
    _cabi.kv_grow_index(kv)
    for _ in range(100_000):  # ends sooner: operations and the worker split chunks
        after = _cabi.kv_stats(kv)
        if after["index_growths"] > before["index_growths"]:
            break
        read_fixed(session, *keys)
        _cabi.session_wait(session)
    assert after["index_growths"] == before["index_growths"] + 1
    assert after["index_buckets"] == 2 * before["index_buckets"]
    assert read_fixed(session, *keys) == list(keys)


def test_hash_is_the_published_function() -> None:
    """The empty input hashes to the published numbers of both functions."""
    assert _cabi.hash_bytes(HASH["FASTER_HASH_XXH3"], b"") == 0x2D06800538D394C2
    assert _cabi.hash_bytes(HASH["FASTER_HASH_XXH64"], b"") == 0xEF46DB3751D8E999
    seeded = _cabi.hash_bytes(HASH["FASTER_HASH_XXH3"], b"", seed=1)
    assert seeded != 0x2D06800538D394C2


def test_view_of_a_mutable_record_is_refused(fixed: tuple[_cabi.Kv, int]) -> None:
    """A record that may still change is not lent, nor is one that does not exist."""
    kv, session = fixed
    _cabi.upsert_many(session, numbers(1), numbers(42))
    mutable = _cabi.view_open(kv, session, array("q", [1]))
    absent = _cabi.view_open(kv, session, array("q", [2]))
    assert mutable == (STATUS["FASTER_MUTABLE"], None)
    assert absent == (STATUS["FASTER_NOT_FOUND"], None)


class Lender:
    """Stands in for the core: lends one value, and counts who has it."""

    FASTER_OK = STATUS["FASTER_OK"]

    def __init__(self, value: bytes) -> None:
        self.memory = _cabi.ffi.new("uint8_t[]", value)
        self.size = len(value)
        self.borrowed = 0

    def faster_view_open(self, _session: Any, _key: Any, _size: int, view: Any) -> int:
        """Lend the value."""
        view.data, view.size = self.memory, self.size
        self.borrowed += 1
        return self.FASTER_OK

    def faster_view_close(self, _kv: Any, _view: Any) -> None:
        """Take it back."""
        self.borrowed -= 1


def test_view_is_given_back_with_its_last_slice(
    fixed: tuple[_cabi.Kv, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record stays pinned while any slice of its view lives, and no longer."""
    kv, session = fixed
    lender = Lender(b"value")
    monkeypatch.setattr(_cabi, "lib", lender)
    status, view = _cabi.view_open(kv, session, b"key")
    assert status == STATUS["FASTER_OK"]
    assert view is not None
    assert view.readonly
    part = view[1:3]
    _cabi.view_close(view)
    _cabi.view_close(view)
    assert (part.tobytes(), lender.borrowed) == (b"al", 1)
    part.release()
    assert lender.borrowed == 0
    assert not _cabi._pins
