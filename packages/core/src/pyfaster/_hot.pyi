# SPDX-License-Identifier: MIT
# The methods that a loop calls a million times; csrc/hot.h says what they promise.
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator
from typing import Any, Generic, Literal, Self, TypeVar, final, overload

from typing_extensions import Buffer

from pyfaster._pending import Pending

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

def init(address: int, /) -> None: ...
def set_error_factory(
    factory: Callable[
        [int, str, object, int, int, int, int, int, str | None], BaseException
    ],
    /,
) -> None: ...
def handle(address: int, free: int, /) -> object: ...
def view(handle: object, store: int, view: int, close: int, /) -> Buffer: ...
def set_pending(sentinel: object, /) -> None: ...
def set_log_errors(
    factory: Callable[
        [Log | LogScan, int, str, int, int, tuple[int, int, int, int]], BaseException
    ],
    /,
) -> None: ...
def set_merges(merges: dict[str, Merge], /) -> None: ...
def pack(codec: Codec, objects: Iterable[Any], /) -> Items: ...
def borrow(codec: Codec, buffer: Buffer, /) -> Items: ...
def repeat(codec: Codec, value: object, count: int, /) -> Items: ...
def arrow(codec: Codec, schema: object, array: object, /) -> Items: ...

@final
class Codec:
    size: int
    key: int
    def __new__(
        cls,
        kind: str,
        size: int | None = None,
        encode: Callable[[Any], bytes] | None = None,
        decode: Callable[[bytes], Any] | None = None,
        key: bool = False,
    ) -> Self: ...
    def encode(self, value: Any, /) -> bytes: ...
    def decode(self, data: bytes, /) -> Any: ...

@final
class Merge:
    name: str
    kind: int
    address: int
    input: Codec | None
    keep: Any
    def __new__(
        cls,
        name: str,
        kind: int,
        address: int,
        input: Codec | None,
        keep: object,
        /,
    ) -> Self: ...

@final
class Items:
    def __len__(self) -> int: ...

@final
class Operation(Coroutine[Any, Any, V]):
    def __await__(self) -> Generator[Any, Any, V]: ...
    def send(self, value: None, /) -> Any: ...
    def throw(self, *error: Any) -> Any: ...
    def close(self) -> None: ...

_Later = Literal[Pending.PENDING]

class _Base(Generic[K, V]):
    def __new__(
        cls,
        address: int,
        owner: object,
        key: Codec,
        value: Codec,
        handle: object = None,
        page_size: int = 0,
        waits: bool = False,
    ) -> Self: ...
    @property
    def serial(self) -> int: ...
    @property
    def address(self) -> int: ...
    @property
    def owner(self) -> Any: ...
    @property
    def key_codec(self) -> Codec: ...
    @property
    def value_codec(self) -> Codec: ...
    @property
    def pending(self) -> int: ...
    @property
    def busy(self) -> int:
        """
        How many operations have not been handed over: those on their way, and those
        that have ended since anybody looked.
        """

    def abandon(self, error: BaseException | None, /) -> None: ...
    def end(self) -> bool: ...

class AsyncSession(_Base[K, V]):
    @overload
    def read(self, key: K) -> Operation[V | None]: ...
    @overload
    def read(self, key: K, default: D) -> Operation[V | D]: ...
    def upsert(self, key: K, value: V) -> Operation[None]: ...
    def insert(self, key: K, value: V) -> Operation[bool]: ...
    def delete(self, key: K, /) -> Operation[bool]: ...
    def discard(self, key: K, /) -> Operation[None]: ...
    def rmw(self, key: K, input: Any, merge: str | Merge) -> Operation[V]: ...
    def compare_and_set(self, key: K, expected: V, new: V) -> Operation[bool]: ...
    def read_encoded(self, key: K, default: D) -> Operation[bytes | D]: ...
    def swap_encoded(self, key: K, expected: bytes, new: V) -> Operation[bool]: ...
    def resolve(self) -> int: ...
    def bind(self, loop: Any, running: Any, future: Any, soon: Any, /) -> None: ...

class Session(_Base[K, V]):
    @overload
    def read(self, key: K) -> V | None: ...
    @overload
    def read(self, key: K, default: D) -> V | D: ...
    def upsert(self, key: K, value: V) -> None: ...
    def insert(self, key: K, value: V) -> bool: ...
    def delete(self, key: K, /) -> bool: ...
    def discard(self, key: K, /) -> None: ...
    def rmw(self, key: K, input: Any, merge: str | Merge) -> V: ...
    def compare_and_set(self, key: K, expected: V, new: V) -> bool: ...
    def update(self, key: K, fn: Callable[[V], V], initial: V = ...) -> V: ...
    def read_into(self, key: K, buffer: Buffer) -> int: ...
    def start_read(self, key: K, context: object = None) -> V | _Later | None:
        """
        Begin `read(key)` without waiting for the device.

        Args:
            key: Which value.

            context: Anything; `complete_pending` gives it back with the end. It is kept
                until then, or until the session is closed.

        Returns:
            The value, None when the key is absent, if memory can tell: then it has
            ended, and nobody is told of it again. Else `PENDING`: the device has been
            asked, and `complete_pending` gives a `Completed` for it.

        Raises:
            FasterError: As `read`, from what memory can tell. What goes wrong later is
                in the `error` of the `Completed`.

            OutOfMemoryError: There is no room to remember the operation; it was not
                begun.

        Cost: as `read` for what is in memory; else one request of the device, which is
        not waited for, and about a record's size of memory until its end is fetched.
        """

    def start_upsert(self, key: K, value: V, context: object = None) -> _Later | None:
        """
        Begin `upsert(key, value)`; None when it has been done.

        `PENDING` only while an earlier update of the session to the same key is on its
        way, whose turn comes first. Arguments, errors and cost as in `start_read`; the
        value is copied before this returns. Waits where there is no room in memory for
        the new record. An update that is PENDING has its serial
        number once its turn has come: in the order in which updates were begun.
        """

    def start_insert(self, key: K, value: V, context: object = None) -> bool | _Later:
        """
        Begin `insert(key, value)`; whether it was inserted, or `PENDING`.

        As `start_upsert`; `PENDING` also when only the device can tell whether the key
        is there.
        """

    def start_delete(self, key: K, context: object = None) -> bool | _Later:
        """
        Begin `delete(key)`; whether the key was there, or `PENDING`.

        As `start_insert`.
        """

    def start_rmw(
        self, key: K, input: Any, merge: str | Merge, context: object = None
    ) -> V | _Later:
        """
        Begin `rmw(key, input, merge)`; the new value, or `PENDING`.

        As `start_upsert`; `PENDING` also when the old value is on the device. Merges of
        one session into one key take place in the order in which they were begun.
        """

    def start_compare_and_set(
        self, key: K, expected: V, new: V, context: object = None
    ) -> bool | _Later:
        """
        Begin `compare_and_set(key, expected, new)`; whether it was set, or `PENDING`.

        As `start_rmw`.
        """

    def finished(
        self, timeout_ms: int, /
    ) -> list[tuple[str, K, Any, int, Any, int, Exception | None]]:
        """
        Take what has ended, as the fields of `Completed`; wait for the first.

        What this gives, `complete_pending` does not: use one of the two.
        """

    def read_list(self, keys: Iterable[K] | Items) -> list[V | None]: ...
    def upsert_list(
        self, keys: Iterable[K] | Items, values: Iterable[V] | Items
    ) -> None: ...
    def rmw_list(
        self,
        keys: Iterable[K] | Items,
        inputs: Iterable[Any] | Items,
        merge: str | Merge,
        returning: bool = False,
    ) -> list[V] | None: ...
    def delete_list(self, keys: Iterable[K] | Items) -> list[bool]: ...
    def run(
        self,
        operation: int,
        merge: str | Merge | None,
        keys: Items,
        values: Items | None,
        data: Buffer | None,
        offsets: Buffer | None,
        flags: Buffer | None,
        done: int,
        /,
    ) -> int: ...
    def __getitem__(self, key: K) -> V: ...
    def __setitem__(self, key: K, value: V) -> None: ...
    def __delitem__(self, key: K) -> None: ...
    def __contains__(self, key: object) -> bool: ...

@final
class Entry:
    """
    An entry of a durable log.

    Attributes:
        address: Where it is.

        payload: Its bytes.

        next: The address behind it; a scan from there goes on with the next entry.

        kind: 1; 2 for a commit record, of scans that were asked for these.
    """

    @property
    def address(self) -> int: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def next(self) -> int: ...
    @property
    def kind(self) -> int: ...

@final
class Piece:
    """
    The entries of a log that a scan had in memory, where they are.

    It keeps their bytes alive, beyond its scan and its log; so does each of its views.

    Attributes:
        address: Of the first byte of `data`.

        data: The log's bytes, headers and all.

        starts: Where in `data` each payload begins.

        sizes: How many bytes each payload has.

    Shape: data uint8, starts and sizes uint32 (len,); all read-only.
    """

    @property
    def address(self) -> int: ...
    @property
    def data(self) -> memoryview: ...
    @property
    def starts(self) -> memoryview: ...
    @property
    def sizes(self) -> memoryview: ...
    def payloads(self) -> list[bytes]:
        """
        Copy all payloads.
        """

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> memoryview: ...
    def __iter__(self) -> Iterator[memoryview]: ...

@final
class LogScan(Iterator[Entry]):
    """
    Reads what is committed, in order. One thread at a time may use it.

    An iteration ends where nothing more is committed, or where the scan was to end;
    a later one goes on from there.
    """

    def __iter__(self) -> Self: ...
    def __next__(self) -> Entry: ...
    def next_piece(self) -> Piece | None:
        """
        Give all entries that are in memory next, at least one; None where an iteration
        would end. Raises as an iteration does; see `Log.scan`.

        Cost: copies nothing; waits for the device when nothing is there.
        """

    def batches(self) -> Iterator[Piece]:
        """
        Iterate over pieces in place of entries; each is what `next_piece` gives.
        """

    @property
    def position(self) -> int:
        """
        Where it goes on.
        """

    @property
    def log(self) -> Log | None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...

class Log:
    """
    A durable log. Any thread may call any method.

    Units: bytes.

    Source: `native/src/flog/append.c`, `commit.c`, `read.c`, `scan.c`; group commit is
    DeWitt et al., SIGMOD 1984.
    """

    def __new__(cls, address: int, handle: object, owner: object = None) -> Self: ...
    @property
    def address(self) -> int: ...
    @property
    def owner(self) -> object: ...
    @property
    def payload_max(self) -> int:
        """
        The most bytes that an entry may have.
        """

    def append(self, data: Buffer, /) -> int:
        """
        Append an entry; a commit makes it durable.

        Args:
            data: Its bytes, which do not change meanwhile.

        Returns:
            Its address.

        Raises:
            ValueTooLargeError: There are more than `payload_max`.

            DurabilityError: Writing has failed; nothing more becomes durable.

            ReadOnlyError, ClosedError: The log is only read, or closed.

        Cost: one copy; waits for room, GIL released, when the device is behind.
        """

    def try_append(self, data: Buffer, /) -> int | None:
        """
        Append an entry, but never wait: None when there is no room now. Raises as
        `append` does.
        """

    def append_many(
        self,
        entries: Iterable[Buffer] | Buffer,
        *,
        offsets: Buffer | None = None,
        atomic: bool = False,
        addresses: Buffer | None = None,
    ) -> int:
        """
        Append many entries, in order.

        An error tells in its attribute `done` how many were appended.

        Args:
            entries: Their bytes; or one buffer of all, with `offsets`.

            offsets: Where in the buffer each entry begins, and where the last one ends.

            atomic: No other entry, and no commit, comes between them; they must fit a
                page together.

            addresses: Room for the address of each.

        Returns:
            The address behind the last, to commit up to; 0 when there are none.

        Raises:
            ValueTooLargeError, DurabilityError, ReadOnlyError, ClosedError: As from
                `append`.

            ValueError: Offsets descend, or a buffer has another shape.

        Shape: offsets uint64 (n + 1,), ascending; addresses uint64 (n,), writable; all
        contiguous, borrowed for the call.

        Cost: waits for room; GIL released but for gathering.
        """

    def append_and_commit(self, data: Buffer, /) -> int:
        """
        Append an entry and wait until it is durable; others that do share the sync.

        When this is interrupted by a signal, the entry may become durable or not.

        Returns:
            Its address.

        Raises:
            ValueTooLargeError, DurabilityError, ReadOnlyError, ClosedError: As from
                `append`.

        Cost: one copy; at most one write and one sync, GIL released.
        """

    def read(self, address: int, /) -> bytes:
        """
        Give the bytes of a committed entry.

        Raises:
            LogAddressError: It is outside of what is committed, or a commit record's.

            CorruptLogError: No whole entry begins there.

            DeviceError, ClosedError: The device cannot be read; the log is closed.

        Cost: one read of the device, GIL released.
        """

    def scan(
        self,
        start: int | None = 0,
        until: int | None = 0,
        *,
        commits: bool = False,
        read_ahead: int = 1,
    ) -> LogScan:
        """
        Iterate over committed entries.

        Args:
            start: An entry's address; 0: where the log begins.

            until: End before the first entry at or above this; 0 or None: where nothing
                more is committed.

            commits: Give commit records, too.

            read_ahead: Pages that are read beside the one looked at; 0: 1.

        Raises:
            LogAddressError, LogTruncatedError: No entry can begin there; the log begins
                above. The second and the following also while entries are taken:

            LogCutError: The end was cut off below what was given.

            CorruptLogError, DeviceError, ClosedError: What comes next is damaged, or no
                entry; it cannot be read; the scan or its log is closed.

        Cost: each page is read once, ahead of the loop, GIL released.
        """
