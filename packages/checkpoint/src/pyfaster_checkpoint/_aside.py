# SPDX-License-Identifier: MIT
"""
Calls that another thread makes while one's own goes on.

A pool of `concurrent.futures` takes no calls once the main thread has ended, and a
store may be closed after that: at exit, or by a thread that outlives the main one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

_Call = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]
_Calls = SimpleQueue[_Call | None]


class Aside:
    """
    A thread that makes one call after the other; used by one thread.

    Args:
        name: The thread's.

    It begins with the first call. Where none can be begun, as while the interpreter
    ends, whoever asks makes the call. Leaving it waits for what was asked for, so that
    nothing goes on behind it. The thread keeps no process alive.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: _Calls = SimpleQueue()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def ask(self, call: Callable[..., T], /, *args: Any) -> Future[T]:
        """
        Have something called behind what was asked for before; its result comes later.
        """
        coming: Future[T] = Future()
        if self._thread is None:
            self._thread = begun(self._name, _make_calls, self._calls)
        if self._thread is None:
            _make(coming, call, args)
        else:
            self._calls.put((coming, call, args))
        return coming

    def close(self) -> None:
        """
        Wait for what was asked for, and end the thread; a second call does nothing.
        """
        thread, self._thread = self._thread, None
        if thread is not None:
            self._calls.put(None)
            thread.join()


def begun(
    name: str, call: Callable[..., object], *args: Any, daemon: bool = True
) -> threading.Thread | None:
    """
    Begin a thread; give None where no thread can be begun any more.
    """
    thread = threading.Thread(target=call, args=args, name=name, daemon=daemon)
    try:
        thread.start()
    except RuntimeError:  # the interpreter ends, or the system has no more of them
        return None
    return thread


def _make_calls(calls: _Calls) -> None:
    while (call := calls.get()) is not None:
        _make(*call)
        del call  # what it holds is free while this waits for the next one


def _make(coming: Future[T], call: Callable[..., T], args: tuple[Any, ...]) -> None:
    try:
        result = call(*args)
    except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
        coming.set_exception(error)
    else:
        coming.set_result(result)
    finally:
        del coming, args  # an error holds this frame


__all__ = ["Aside", "begun"]
