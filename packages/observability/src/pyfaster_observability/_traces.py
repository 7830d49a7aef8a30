# SPDX-License-Identifier: MIT
"""
Spans made of events.

Theory of operation: the core times what it does and tells of it when it is over, so a
span is made at its end, with the start that the event gives. What has no length of its
own (a page was turned, pages have left memory, a request was tried again) waits and
becomes a span event of the next piece of work of the same store. A checkpoint is told
by the thread that took it: where that thread is in a span of the user's, the
checkpoint's is its child. All else is told by the store's own thread, and begins a
trace.

A sampled operation that had to wait for the device is told twice: when its call
returned, and when it was complete. The second span has a link to the first, which is
remembered for so long as there is room.
"""

from __future__ import annotations

import dataclasses
import errno
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    TracerProvider,
    get_tracer,
    set_span_in_context,
)

from pyfaster import events
from pyfaster_observability._failures import kept_apart
from pyfaster_observability._meters import SCOPE, SYSTEM
from pyfaster_observability._version import __version__

#: Operations whose second half may be linked to the first, of all stores together.
LINKS_MAX = 1024
#: Happenings of one store that wait for a span, and stores that have some.
WAITING_MAX = 64
STORES_MAX = 256
#: Phases of one checkpoint; checkpoints under way at once.
PHASES_MAX = 64

#: The outcome of an operation that is a failure of the store's, not an answer.
FAILED = "failed"

Facts = dict[str, Any]
_SIMPLE = (bool, int, float, str)
_TEXT_MAX = 500


def system_name(number: int) -> str:
    """
    What `error.type` says of an errno: "ENOSPC".
    """
    return errno.errorcode.get(number, str(number))


def facts_of(event: object) -> Facts:
    """
    What an event says, as attributes: its simple fields but for name and times.
    """
    found: Facts = {}
    if not dataclasses.is_dataclass(event):
        return found
    for field in dataclasses.fields(event):
        if field.name in ("store", "time_ns", "duration_ns"):
            continue
        value = getattr(event, field.name)
        if isinstance(value, _SIMPLE):
            found[f"pyfaster.{field.name}"] = (
                value[:_TEXT_MAX] if isinstance(value, str) else value
            )
    return found


class Bounded(OrderedDict[Any, Any]):
    """
    A mapping that lets the oldest go when there are too many.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def put(self, key: Any, value: Any) -> None:
        """
        Keep something.
        """
        self[key] = value
        while len(self) > self._most:
            self.popitem(last=False)


class Traces:
    """
    Makes spans of events, with the tracer of one provider.

    Args:
        provider: The provider; None for the global one.
    """

    def __init__(self, provider: TracerProvider | None) -> None:
        self._tracer: Tracer | None = None
        with kept_apart("traces"):
            self._tracer = get_tracer(SCOPE, __version__, provider)
        self._lock = threading.Lock()
        self._links = Bounded(LINKS_MAX)
        self._waiting = Bounded(STORES_MAX)
        self._phases = Bounded(STORES_MAX)
        self._tells: Mapping[type, Callable[[Any, str], None]] = {
            events.OperationSampled: self._operation,
            events.PendingCompleted: self._pending,
            events.PagesFlushed: self._flush,
            events.IndexGrown: self._growth,
            events.CheckpointPhase: self._phase,
            events.CheckpointTaken: self._checkpoint,
            events.CheckpointFailed: self._checkpoint_failed,
            events.RecoveryDone: self._recovery,
            events.DeviceFailed: self._device_failed,
            events.WritesStopped: self._stopped,
        }

    def begin_anew(self) -> None:
        """
        After fork(), in the child: the lock may have been held.
        """
        self._lock = threading.Lock()

    def forget(self, namespace: str) -> None:
        """
        Let go what waits of a store that is closed: another may get its name.
        """
        with self._lock:
            self._waiting.pop(namespace, None)
            for kept in (self._links, self._phases):
                for key in [key for key in kept if key[0] == namespace]:
                    del kept[key]

    def tell(self, event: Any, namespace: str) -> None:
        """
        Make what an event tells a span, or keep it for one.

        Args:
            event: One of `pyfaster.events`, or another store event.

            namespace: The name under which its store is told of.
        """
        if self._tracer is None:
            return
        with kept_apart("traces"):
            tell = self._tells.get(type(event))
            if tell is not None:
                tell(event, namespace)
            elif isinstance(event, events.StoreEvent):
                self._keep(event, namespace)

    # --- parts of spans -------------------------------------------------------------

    def _keep(self, event: events.StoreEvent, namespace: str) -> None:
        """
        Keep what has no length for the store's next span.
        """
        with self._lock:
            waiting = self._waiting.get(namespace)
            if waiting is None:
                waiting = deque(maxlen=WAITING_MAX)
                self._waiting.put(namespace, waiting)
            waiting.append((type(event).__name__, event.time_ns, facts_of(event)))

    def _begin(
        self,
        name: str,
        event: Any,
        namespace: str,
        *,
        duration_ns: int | None = None,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        facts: Facts | None = None,
        links: tuple[Link, ...] = (),
    ) -> Span:
        """
        Begin a span that has ended already.
        """
        assert self._tracer is not None
        length = event.duration_ns if duration_ns is None else duration_ns
        return self._tracer.start_span(
            f"{name} {namespace}",
            context=context,
            kind=kind,
            attributes={
                "db.system.name": SYSTEM,
                "db.namespace": namespace,
                **(facts or {}),
            },
            links=links,
            start_time=event.time_ns - length,
        )

    def _with_news(self, span: Span, namespace: str) -> None:
        """
        Put what has waited for a span into it.
        """
        with self._lock:
            waiting = self._waiting.pop(namespace, ())
        for name, at, facts in waiting:
            span.add_event(name, facts, at)

    def _whole(self, name: str, event: Any, namespace: str, facts: Facts) -> None:
        """
        Make a span that begins a trace.
        """
        span = self._begin(name, event, namespace, context=Context(), facts=facts)
        self._with_news(span, namespace)
        span.end(event.time_ns)

    # --- operations -----------------------------------------------------------------

    def _operation(self, event: events.OperationSampled, namespace: str) -> None:
        span = self._begin(
            event.kind,
            event,
            namespace,
            context=Context(),
            kind=SpanKind.CLIENT,
            facts=_operation_facts(event),
        )
        _judge(span, event.outcome)
        if event.sequence:
            with self._lock:
                self._links.put((namespace, event.sequence), span.get_span_context())
        span.end(event.time_ns)

    def _pending(self, event: events.PendingCompleted, namespace: str) -> None:
        context: SpanContext | None = None
        if event.sequence:
            with self._lock:
                context = self._links.pop((namespace, event.sequence), None)
        span = self._begin(
            f"pending {event.kind}",
            event,
            namespace,
            context=Context(),
            facts={
                **_operation_facts(event),
                "pyfaster.device_reads": event.device_reads,
            },
            links=() if context is None else (Link(context),),
        )
        _judge(span, event.outcome)
        span.end(event.time_ns)

    # --- work of the store's own ----------------------------------------------------

    def _flush(self, event: events.PagesFlushed, namespace: str) -> None:
        self._whole("flush", event, namespace, facts_of(event))

    def _growth(self, event: events.IndexGrown, namespace: str) -> None:
        self._whole("grow index", event, namespace, facts_of(event))

    def _recovery(self, event: events.RecoveryDone, namespace: str) -> None:
        report = event.report
        facts = {
            "pyfaster.checkpoint.kind": report.kind,
            "pyfaster.token": report.token,
            "pyfaster.version": report.version,
            "pyfaster.log_bytes": report.log_bytes,
            "pyfaster.file_bytes": report.file_bytes,
        }
        span = self._begin("recovery", event, namespace, facts=facts)
        self._with_news(span, namespace)
        span.end(event.time_ns)

    def _device_failed(self, event: events.DeviceFailed, namespace: str) -> None:
        self._failure(f"device {event.operation}", event, namespace)

    def _stopped(self, event: events.WritesStopped, namespace: str) -> None:
        self._failure("writes stopped", event, namespace)

    def _failure(self, name: str, event: Any, namespace: str) -> None:
        """
        Make a span of no length for what failed.
        """
        facts = {**facts_of(event), "error.type": system_name(event.errno)}
        span = self._begin(
            name, event, namespace, duration_ns=0, context=Context(), facts=facts
        )
        span.set_status(Status(StatusCode.ERROR, system_name(event.errno)))
        self._with_news(span, namespace)
        span.end(event.time_ns)

    # --- checkpoints ----------------------------------------------------------------

    def _phase(self, event: events.CheckpointPhase, namespace: str) -> None:
        """
        Keep a phase until the checkpoint that this thread takes is over.
        """
        key = namespace, threading.get_ident()
        with self._lock:
            phases = self._phases.get(key)
            if phases is None:
                phases = deque(maxlen=PHASES_MAX)
                self._phases.put(key, phases)
            phases.append(event)

    def _end_checkpoint(
        self, event: Any, namespace: str, facts: Facts, error: BaseException | None
    ) -> None:
        """
        Make the span of a checkpoint and of its phases; a child of the span that this
        thread is in.
        """
        with self._lock:
            phases = self._phases.pop((namespace, threading.get_ident()), ())
        span = self._begin("checkpoint", event, namespace, facts=facts)
        if error is not None:
            span.set_attribute("error.type", type(error).__qualname__)
            span.record_exception(error, timestamp=event.time_ns)
            span.set_status(Status(StatusCode.ERROR, str(error)[:_TEXT_MAX]))
        self._with_news(span, namespace)
        inside = set_span_in_context(span)
        for phase in phases:
            part = self._begin(
                f"checkpoint {phase.phase}",
                phase,
                namespace,
                context=inside,
                facts={"pyfaster.phase": phase.phase, **facts},
            )
            part.end(phase.time_ns)
        span.end(event.time_ns)

    def _checkpoint(self, event: events.CheckpointTaken, namespace: str) -> None:
        info = event.info
        facts = {
            "pyfaster.checkpoint.kind": info.kind,
            "pyfaster.token": info.token,
            "pyfaster.size": info.size,
            "pyfaster.version": info.version,
        }
        self._end_checkpoint(event, namespace, facts, None)

    def _checkpoint_failed(
        self, event: events.CheckpointFailed, namespace: str
    ) -> None:
        facts = {"pyfaster.checkpoint.kind": event.kind}
        self._end_checkpoint(event, namespace, facts, event.error)


def _operation_facts(event: Any) -> Facts:
    return {"db.operation.name": event.kind, "pyfaster.outcome": event.outcome}


def _judge(span: Span, outcome: str) -> None:
    """
    Say so when an operation failed.
    """
    if outcome == FAILED:
        span.set_attribute("error.type", outcome)
        span.set_status(Status(StatusCode.ERROR))


__all__ = ["Traces"]
