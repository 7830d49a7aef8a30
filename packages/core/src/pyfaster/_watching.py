# SPDX-License-Identifier: MIT
"""
Who tells plugins what happens in a store.

Theory of operation: there are two ways. Where nobody listens, a `Watch` compares
figures with those seen before, whenever somebody takes figures. Where a plugin
implements `pyfaster_event`, a `Listener` has one thread for the store, which sleeps in
the core until something has happened there, and tells it. That thread alone tells then,
so events come in the order of time; whoever takes figures hands them to it.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

from pyfaster import _cabi
from pyfaster._cabi_figures import kv_histograms
from pyfaster._stats import StoreStats
from pyfaster.errors import FasterError, PluginWarning, error_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyfaster._config import StoreConfig
    from pyfaster._listener import Listener
    from pyfaster._registry import Registry
    from pyfaster._watch import Taken, Watch
    from pyfaster.events import StoreEvent

_HOOK = "pyfaster_event"

#: What `close()` waits at least for plugins that are still being told.
GRACE_S = 10.0


class Watching:
    """
    What a store says of itself, and to plugins.
    """

    name: str
    config: StoreConfig
    _kv: _cabi.Kv
    _registry: Registry
    _watch: Watch
    _listener: Listener | None
    _listener_lock: threading.Lock
    _plugin_errors: list[tuple[str, BaseException]]
    _pid: int

    def _begin_watching(self, name: str) -> None:
        from pyfaster._watch import Watch  # brings the events, which are slow to make

        self._plugin_errors = []
        self._watch = Watch(name)
        self._listener = None
        self._listener_lock = threading.Lock()

    def stats(self) -> StoreStats:
        """
        Take a snapshot of the store's figures.

        Plugins are told what has happened since the last one (`pyfaster.events`): by
        this thread, or where the store listens, soon by the one that does.
        """
        taken = time.monotonic_ns()
        figures = StoreStats.of(_cabi.kv_stats(self._kv), kv_histograms(self._kv))
        if self.config.read_only:
            return figures  # its pages do not leave memory, which is no failure
        stop = _cabi.kv_failure(self._kv)
        listener = self._listener
        if listener is not None and listener.alive:
            listener.hand((figures, stop, taken))
            return figures
        for event in self._watch.news(figures, stop, taken):
            self.tell_plugins(_HOOK, event=event)
        return figures

    # --- listening ------------------------------------------------------------------

    def listen(self) -> None:
        """
        Tell plugins what happens from now on, by a thread of this store.

        Done when a store is opened, if a plugin that implements `pyfaster_event` is
        registered by then; for plugins that are registered later. A second call does
        nothing. The thread ends when the store is closed, or dropped.

        Raises:
            ClosedError: The store is closed.

            ForkedError: The store belongs to the parent of this process.

        Cost: a thread, and the room for `event_capacity` events, 72 bytes each. What
            happens is told off the path of operations.
        """
        if os.getpid() != self._pid:
            raise error_for(_cabi.FORKED, f"store {self.name!r}: listen")
        with self._listener_lock:
            if self._kv.closed:
                raise error_for(_cabi.CLOSED, f"store {self.name!r}: listen")
            if self._listener is None:
                from pyfaster._listener import Listener  # not everybody needs it

                self._listener = Listener(self, self._kv, self._watch)

    @property
    def listening(self) -> bool:
        """
        Whether a thread tells plugins what happens in this store.
        """
        here = os.getpid() == self._pid
        return here and self._listener is not None and self._listener.alive

    def _listen_if_heard(self) -> None:
        """
        Listen when the store is opened, if some plugin wants to hear.
        """
        if self._registry.hears(_HOOK):
            self.listen()

    def _end_listening(self, timeout: float) -> None:
        """
        Let what was told last arrive; the core has been closed.
        """
        listener = self._listener
        if listener is None or listener.join(max(timeout, GRACE_S)):
            return
        warnings.warn(
            f"store {self.name!r}: a plugin is still being told of an event of the "
            "store that was closed; what came after it may not be told",
            PluginWarning,
            stacklevel=3,
        )

    def _figures(self) -> Taken | None:
        """
        What `Watch` compares; None when there is nothing to be had.
        """
        if self.config.read_only:
            return None
        taken = time.monotonic_ns()
        try:
            figures = StoreStats.of(_cabi.kv_stats(self._kv))
        except FasterError:  # the store is being closed, which has taken them
            return None
        return figures, _cabi.kv_failure(self._kv), taken

    def _tell_event(self, event: StoreEvent) -> None:
        """
        Tell plugins where nobody could be told of a warning that is an error, and where
        no plugin's `sys.exit` shall end what serves all of them.
        """
        with suppress(Warning):  # `plugin_errors` has it
            self._tell(_HOOK, BaseException, {"event": event})

    # --- plugins --------------------------------------------------------------------

    @property
    def plugin_errors(self) -> tuple[tuple[str, BaseException], ...]:
        """
        What plugins raised when they were told of this store: (plugin, exception).
        """
        return tuple(self._plugin_errors)

    def tell_plugins(self, hook: str, **said: object) -> None:
        """
        Tell plugins of this store; a plugin's failure is a warning.
        """
        self._tell(hook, Exception, said or {"store": self})

    def _tell(
        self, hook: str, failures: type[BaseException], said: Mapping[str, object]
    ) -> None:
        raised = self._registry.tell(hook, failures, **said)
        self._plugin_errors.extend(raised)
        for plugin, error in raised:
            warnings.warn(
                f"plugin {plugin!r} raised {type(error).__name__} in {hook}: {error}",
                PluginWarning,
                stacklevel=4,
            )


__all__ = ["Watching"]
