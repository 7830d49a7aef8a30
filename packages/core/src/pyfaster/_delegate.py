# SPDX-License-Identifier: MIT
"""
A session's operations on a store: each goes to the calling thread's session.

The documentation of each operation is the session's; here is only what differs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from pyfaster._mapping import StoreMapping

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from pyfaster._hot import Merge
    from pyfaster._session import Session

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")
KT = TypeVar("KT")
VT_co = TypeVar("VT_co", covariant=True)


class KeysAndGetItem(Protocol[KT, VT_co]):
    """
    What `update` takes besides mappings and pairs: anything dict() takes.
    """

    def keys(self) -> Iterable[KT]: ...
    def __getitem__(self, key: KT, /) -> VT_co: ...


class SessionDelegate(StoreMapping[K, V]):
    """
    The operations of a session, on the session of whichever thread calls.
    """

    @abstractmethod
    def _session(self) -> Session[K, V]:
        """
        The calling thread's session.
        """

    # --- one key --------------------------------------------------------------------

    @overload
    def read(self, key: K) -> V | None: ...
    @overload
    def read(self, key: K, default: D) -> V | D: ...
    def read(self, key: K, default: Any = None) -> Any:
        """
        Give a key's value, or `default` when it is absent.
        """
        return self._session().read(key, default)

    def upsert(self, key: K, value: V) -> None:
        """
        Set a value whatever was there.
        """
        self._session().upsert(key, value)

    def insert(self, key: K, value: V) -> bool:
        """
        Set a value only if the key is absent; tell whether it was.
        """
        return self._session().insert(key, value)

    def delete(self, key: K) -> bool:
        """
        Remove a key; tell whether it was there.
        """
        return self._session().delete(key)

    def discard(self, key: K) -> None:
        """
        Remove a key if it is there.
        """
        self._session().discard(key)

    def rmw(self, key: K, input: Any, merge: str | Merge) -> V:
        """
        Combine the value with an input and give the new value.

        Args:
            key: Which value; an absent one becomes the input.

            input: What to combine it with.

            merge: A merge's name ("add", "max", ...), or what
                `pyfaster.native_merge` gave.
        """
        return self._session().rmw(key, input, merge)

    def compare_and_set(self, key: K, expected: V, new: V) -> bool:
        """
        Set `new` only if the value is `expected`; tell whether it was.
        """
        return self._session().compare_and_set(key, expected, new)

    def read_into(self, key: K, buffer: Buffer) -> int:
        """
        Copy an encoded value into a buffer, and give its size.
        """
        return self._session().read_into(key, buffer)

    def read_view(self, key: K) -> AbstractContextManager[memoryview]:
        """
        Look at an encoded value where it is; see `Session.read_view`.
        """
        return self._session().read_view(key)

    # --- many keys ------------------------------------------------------------------

    def read_many(self, keys: Any, *, out: Any = None, as_buffers: bool = False) -> Any:
        """
        Read many keys in one call; see `Session.read_many`.
        """
        return self._session().read_many(keys, out=out, as_buffers=as_buffers)

    def upsert_many(self, keys: Any, values: Any) -> None:
        """
        Set many values in one call; see `Session.upsert_many`.
        """
        self._session().upsert_many(keys, values)

    def rmw_many(
        self, keys: Any, inputs: Any, *, merge: str | Merge, returning: bool = False
    ) -> Any:
        """
        Merge many inputs in one call; see `Session.rmw_many`.
        """
        session = self._session()
        return session.rmw_many(keys, inputs, merge=merge, returning=returning)

    def delete_many(self, keys: Any) -> Any:
        """
        Remove many keys in one call; see `Session.delete_many`.
        """
        return self._session().delete_many(keys)

    # --- as a mapping ---------------------------------------------------------------

    def __getitem__(self, key: K) -> V:
        return self._session()[key]

    def __setitem__(self, key: K, value: V) -> None:
        self._session().upsert(key, value)

    def __delitem__(self, key: K) -> None:
        if not self._session().delete(key):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return key in self._session()

    @overload
    def update(self, other: KeysAndGetItem[K, V], /, **items: V) -> None: ...
    @overload
    def update(self, other: Iterable[tuple[K, V]], /, **items: V) -> None: ...
    @overload
    def update(self, /, **items: V) -> None: ...
    @overload
    def update(self, key: K, fn: Callable[[V], V], /) -> V: ...
    @overload
    def update(self, key: K, fn: Callable[[V], V], /, initial: V) -> V: ...
    def update(self, /, *args: Any, **items: Any) -> Any:
        """
        With one argument or none: set many items, as `dict.update` does.

        With two: change one value by a function, as `Session.update(key, fn,
        initial=...)` does, and give the new value. The function may run again when
        another thread was faster; no lock is held while it runs.

        Raises:
            KeyError: The key is absent, and there is no `initial`.
        """
        if len(args) == 2:
            return self._session().update(*args, **items)
        if len(args) == 1 and isinstance(args[0], (str, bytes)):
            raise TypeError(
                f"update({args[0]!r}): give items, or a key and a function of its value"
            )
        if len(args) > 2:
            raise TypeError(
                f"update() takes items, or a key and a function, found {len(args)} "
                "arguments"
            )
        return super().update(*args, **items)
