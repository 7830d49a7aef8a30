# SPDX-License-Identifier: MIT
"""
The store as a `MutableMapping`: what a dict does, made of what a store does.

Everything here works by scans and single operations, so it differs from a dict where a
dict relies on standing still: iteration goes on while keys come and go, `len()` counts
by scanning, and no two operations are one step. Memory stays bounded throughout.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import (
    ItemsView,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    ValuesView,
)
from typing import Any, TypeVar, overload

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

_MISSING: Any = object()


class StoreMapping(MutableMapping[K, V]):
    """
    The mapping protocol over a few operations that subclasses give.
    """

    __slots__ = ()

    @overload
    def read(self, key: K) -> V | None: ...
    @overload
    def read(self, key: K, default: D) -> V | D: ...
    @abstractmethod
    def read(self, key: K, default: Any = None) -> Any:
        """
        Give a key's value, or the default.
        """

    @abstractmethod
    def insert(self, key: K, value: V) -> bool:
        """
        Set a value if the key is absent; tell whether it was.
        """

    @abstractmethod
    def delete(self, key: K) -> bool:
        """
        Remove a key; tell whether it was there.
        """

    @abstractmethod
    def scan_items(self) -> Iterator[tuple[K, V]]:
        """
        All live records.
        """

    @abstractmethod
    def scan_values(self) -> Iterator[V]:
        """
        All live values.
        """

    @abstractmethod
    def count(self) -> int:
        """
        How many live records there are, by scanning.
        """

    def __len__(self) -> int:
        """
        Count by scanning; see `count`.
        """
        return self.count()

    def __bool__(self) -> bool:
        """
        Whether there is any key: scans up to the first, past what was deleted.
        """
        return next(iter(self), _MISSING) is not _MISSING

    def __eq__(self, other: object) -> bool:
        """
        Whether another mapping holds the same items; reads this one by scanning.
        """
        if self is other:
            return True
        if not isinstance(other, Mapping):
            return NotImplemented
        same = 0
        for key, value in self.scan_items():
            found = other.get(key, _MISSING)
            if found is _MISSING or found != value:
                return False
            same += 1
        return same == len(other)

    __hash__ = None  # type: ignore[assignment]  # as every mutable mapping

    def keys(self) -> KeysView[K]:
        """
        The live keys, each once, as a view.
        """
        return KeysView(self)

    def values(self) -> ValuesView[V]:
        """
        The live values, as a view.
        """
        return StoreValues(self)

    def items(self) -> ItemsView[K, V]:
        """
        The live keys with their values, each once, as a view.
        """
        return StoreItems(self)

    @overload
    def pop(self, key: K, /) -> V: ...
    @overload
    def pop(self, key: K, /, default: D) -> V | D: ...
    def pop(self, key: K, /, default: Any = _MISSING) -> Any:
        """
        Remove a key and give the value it had just before.

        Of several threads that pop one key, one gets it. A value that another thread
        sets between the look and the removal is removed unseen.
        """
        value = self.read(key, _MISSING)
        while value is not _MISSING:
            if self.delete(key):
                return value
            value = self.read(key, _MISSING)
        if default is _MISSING:
            raise KeyError(key)
        return default

    def setdefault(self, key: K, default: Any = None, /) -> Any:
        """
        Give a key's value; set it to `default` first if the key is absent.

        Raises:
            TypeError: The key is absent, and the store holds no such default; with
                most value types that means None.
        """
        value = self.read(key, _MISSING)
        while value is _MISSING:
            if self.insert(key, default):
                return default
            value = self.read(key, _MISSING)
        return value

    def clear(self) -> None:
        """
        Remove all keys that a scan finds.
        """
        for key in self:
            self.delete(key)


class StoreItems(ItemsView[K, V]):
    """
    The items of a store.
    """

    _mapping: StoreMapping[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return self._mapping.scan_items()


class StoreValues(ValuesView[V]):
    """
    The values of a store.
    """

    _mapping: StoreMapping[Any, V]

    def __iter__(self) -> Iterator[V]:
        return self._mapping.scan_values()

    def __contains__(self, value: object) -> bool:
        return any(found == value for found in self)
