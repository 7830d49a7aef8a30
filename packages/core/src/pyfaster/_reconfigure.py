# SPDX-License-Identifier: MIT
"""
What a store has been told, and what it can be told while it is open.

A setting can change where the store looks at it each time that it matters. What it was
built with (the size of its pages, its files, its hash) cannot, and the error says why
and what to do instead.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from pyfaster import _cabi, _cabi_limits
from pyfaster._read_only import refuse
from pyfaster.errors import ConfigError, FasterError, Place, error_for

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pyfaster._config import Settings, StoreConfig
    from pyfaster._durable import Durability
    from pyfaster._registry import Registry
    from pyfaster._watch import Watch

#: What may change while a store is open.
LIVE = (
    "memory",
    "sessions_max",
    "close_timeout",
    "mutable_fraction",
    "checkpoint_every",
    "checkpoint_on_close",
    "checkpoint_timeout",
    "keep_checkpoints",
    "keep_for",
    "sample_every",
)

_REOPEN = "close the store and open it with the new value"
_COPY = "copy the items into a new store"

#: Why what else there is may not, and what to do.
FIXED = {
    "page_size": f"the log is laid out in pages of this size; {_COPY}",
    "index_fraction": f"memory is shared out when a store is opened; {_REOPEN}",
    "expected_keys": "it is what the index starts with; call grow_index()",
    "hash": f"the index is built of this hash; {_COPY}",
    "durable": f"it decides what is kept of the log; {_REOPEN}",
    "read_cache": f"the cache is laid out when a store is opened; {_REOPEN}",
    "segment_size": f"the log's files have this size; {_COPY}",
    "device_options": f"the device is opened with them; {_REOPEN}",
    "recover": f"recovery is over once a store is open; {_REOPEN}",
    "read_only": f"who only looks has nothing to write with; {_REOPEN}",
    "checkpoint": f"it is what this store shows; {_REOPEN}",
    "event_capacity": f"the room for events is taken at opening; {_REOPEN}",
    "socket": f"it is opened together with the store; {_REOPEN}",
    "telemetry": f"it begins together with the store; {_REOPEN}",
}

_OF_CHECKPOINTS = (
    "checkpoint_every",
    "checkpoint_on_close",
    "checkpoint_timeout",
    "keep_checkpoints",
    "keep_for",
)
#: What the keeper of checkpoints goes by.
_OF_KEEPER = {"checkpoint_timeout", "keep_checkpoints", "keep_for"}


class StoreSettings:
    """
    What a store does with its settings.
    """

    name: str
    config: StoreConfig
    _kv: _cabi.Kv
    _lock: threading.RLock
    _registry: Registry
    _watch: Watch
    _durability: Durability | None
    _plugin_settings: Mapping[str, BaseModel] = {}

    @abstractmethod
    def _refuse_fork(self, what: str) -> None: ...

    @abstractmethod
    def _place(self) -> Place: ...

    @abstractmethod
    def _begin_background(self) -> None: ...

    @abstractmethod
    def _end_background(self) -> None: ...

    def plugin_settings(self, name: str) -> BaseModel:
        """
        Give the settings that a plugin's table has for this store.

        Args:
            name: The table.

        Returns:
            The plugin's own model, as the file, the environment and `plugins=` of
            `pyfaster.open` fill it; what it is by default where nobody said anything.

        Raises:
            ConfigError: No plugin brings such a table, or it has settings without a
                default and nobody gave them.
        """
        from pyfaster._config_layers import plugin_settings

        return plugin_settings(name, self._plugin_settings, self._registry)

    def reconfigure(self, **settings: Unpack[Settings]) -> StoreConfig:
        """
        Change settings of an open store; what holds from then on is `config`.

        `memory` (of a store in memory), `sessions_max`, `close_timeout`,
        `mutable_fraction`, `sample_every` and all about checkpoints but what is
        recovered can change. Another interval between checkpoints begins at once; one
        that is being taken comes to its end.

        Args:
            **settings: As for `pyfaster.open`.

        Returns:
            The new configuration.

        Raises:
            ConfigError: A setting is wrong, or cannot change; then none has changed.
                The message says why, and what to do.

            ReadOnlyError: The store is only looked at.

            ClosedError, ForkedError: The store is closed, or the parent's.

        Cost: no operation waits. Memory that is in use is not given back: where the new
            budget is below it, what would take more is refused.
        """
        self._refuse_fork("reconfigure")
        if self.config.read_only:
            refuse("reconfigure")
        with self._lock:
            if self._kv.closed:
                raise error_for(_cabi.CLOSED, self._place())
            new = self._merged(settings)
            changed = {
                name
                for name in LIVE
                if getattr(new, name) != getattr(self.config, name)
            }
            self._change_core(new, changed)
            self.config = new
            self._change_checkpoints(changed)
            return new

    def _merged(self, settings: Settings) -> StoreConfig:
        """
        The configuration with some settings changed.
        """
        from pyfaster._config_layers import changed_by

        self._refuse_fixed(settings)
        return changed_by(self.config, settings)

    def _change_core(self, new: StoreConfig, changed: set[str]) -> None:
        """
        Let the core know.
        """
        kv = self._kv
        try:
            if "memory" in changed:
                permille = round(new.index_fraction * 1000)
                _cabi_limits.kv_limit_memory(kv, new.memory or 0, permille)
                self._watch.allow()
            if "sessions_max" in changed:
                _cabi_limits.kv_limit_sessions(kv, new.sessions_max)
            if "mutable_fraction" in changed:
                _cabi_limits.kv_keep_mutable(kv, round(new.mutable_fraction * 1000))
            if "sample_every" in changed:
                _cabi_limits.kv_sample(kv, new.sample_every)
        except FasterError as error:
            if error.status == _cabi.FULL:
                most = _cabi_limits.kv_memory_most(kv)
                raise ConfigError(
                    f"keyword memory: this store has addresses for {most:,} bytes of "
                    f"records; {_REOPEN}",
                    status=error.status,
                ) from None
            raise error_for(error.status, self._place()) from error

    def _change_checkpoints(self, changed: set[str]) -> None:
        """
        Let the keeper of checkpoints know, and begin another interval.
        """
        kept, config = self._durability, self.config
        if kept is None:
            return
        if changed & _OF_KEEPER:
            kept.keeper.go_by(
                keep=config.keep_checkpoints,
                keep_for=config.keep_for,
                timeout=config.checkpoint_timeout,
            )
        if "checkpoint_every" in changed:
            self._end_background()
            self._begin_background()

    def _refuse_fixed(self, settings: Mapping[str, Any]) -> None:
        """
        Refuse what cannot change.
        """
        wrong = [
            f"keyword {name}: it cannot change while the store is open: {FIXED[name]}"
            for name in settings
            if name in FIXED
        ]
        if "memory" in settings and self._kv.waits:
            wrong.append(
                "keyword memory: it cannot change while a store on a device is open: "
                f"the log's place in memory has its size from the start; {_REOPEN}"
            )
        if self._durability is None:
            wrong += [
                f"keyword {name}: this store takes no checkpoints; open it with a path "
                "and durable=True"
                for name in settings
                if name in _OF_CHECKPOINTS
            ]
        if wrong:
            from pyfaster._config_words import explain

            raise ConfigError(explain(wrong))


__all__ = ["FIXED", "LIVE", "StoreSettings"]
