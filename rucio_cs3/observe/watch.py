"""The hooks when somebody watches: each step is timed and counted, or becomes a span, or both."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Callable
from urllib.parse import urlsplit

from rucio_cs3 import observe
from rucio_cs3.errors import Cs3Error, Stopped
from rucio_cs3.observe import FILE, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from rucio_cs3.observe import Headers
    from rucio_cs3.observe.metrics import Metrics
    from rucio_cs3.observe.traces import Traces

    Ended = Callable[["Seen", BaseException | None], None]

ENDED_BY_SOMEBODY = (Stopped, KeyboardInterrupt, GeneratorExit)


@dataclass(frozen=True)
class Watch:
    metrics: Metrics | None = None
    traces: Traces | None = None

    def phase(self, name: str) -> Step:
        return Seen(self.traces, Span(name), self._times(name))

    def _times(self, phase: str) -> Ended:
        def ended(seen: Seen, _: BaseException | None) -> None:
            if self.metrics and phase:
                self.metrics.took(phase, seen.seconds)

        return ended

    def call(self, name: str, who: str, path: str, part: str) -> Step:
        if self.traces is None and not part:
            return observe.NOTHING
        facts = {"server.address": _host(who), "cs3.path": _path(path)}
        return Seen(self.traces, Span(name, "client", facts, current=False), self._times(part))

    def transfer(self, direction: str, what: object) -> Step:
        def ended(seen: Seen, error: BaseException | None) -> None:
            if self.metrics:
                self.metrics.transferred(direction, result_of(error), seen.size)
            if error:
                self.failed(error)

        return Seen(self.traces, Span(direction, facts={"cs3.path": _path(str(what))}), ended)

    def work(self, name: str, parent: Mapping[str, str] | None, facts: Mapping[str, Any]) -> Step:
        if self.traces is None:
            return observe.NOTHING
        named = {f"cs3.{fact}": value for fact, value in facts.items()}
        return Seen(self.traces, Span(name, facts=named, parent=parent))

    def failed(self, error: BaseException) -> None:
        if self.metrics and isinstance(error, Cs3Error) and not (error.counted or isinstance(error, Stopped)):
            error.counted = True
            self.metrics.failed(code_of(error))

    def retried(self, error: BaseException) -> None:
        if self.metrics:
            self.metrics.retried(code_of(error))

    def renewed(self, method: str, result: str) -> None:
        if self.metrics:
            self.metrics.renewed(method, result)

    def headers(self) -> Mapping[str, str]:
        return self.traces.headers() if self.traces else {}

    def trace_id(self) -> str:
        return self.traces.trace_id() if self.traces else ""


@dataclass(frozen=True)
class Span:
    """What a span is to be."""

    name: str
    kind: str = "internal"
    facts: Mapping[str, Any] = field(default_factory=dict)
    parent: Mapping[str, str] | None = None
    """headers of the one that it is a part of, empty where there is none; None for what the thread is at"""
    current: bool = True
    """whether this is what the thread is at until it ends"""


class Seen(Step):
    """A step that is watched."""

    def __init__(self, traces: Traces | None, span: Span, ended: Ended = lambda _, __: None) -> None:
        self.size = 0
        self.seconds = 0.0
        self.status = ""
        self._traces = traces
        self._wanted = span
        self._ended = ended
        self._open: Any = None

    def __enter__(self) -> Self:
        if self._traces:
            self._open = self._traces.open(self._wanted)
            self.headers = self._traces.headers(self._open) if self._wanted.kind == "client" else {}
        self._began = time.perf_counter()
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.seconds = time.perf_counter() - self._began
        try:
            self._ended(self, error)
        finally:
            if self._traces:
                self._traces.close(self._open, self.status, error)

    def moved(self, size: int) -> None:
        self.size = size

    def told(self, status: str) -> None:
        self.status = status


def with_metrics(watch: Watch | None, wanted: str) -> Watch:
    from rucio_cs3.observe.metrics import Metrics  # noqa: PLC0415 - brings prometheus_client, which may be missing

    watch = watch or Watch()
    metrics = watch.metrics or Metrics()
    if wanted.startswith(FILE):
        metrics.write_at_exit(wanted[len(FILE) :])
    return replace(watch, metrics=metrics)


def with_traces(watch: Watch | None, service: str) -> Watch:
    from rucio_cs3.observe.traces import Traces  # noqa: PLC0415 - brings opentelemetry, which may be missing

    watch = watch or Watch()
    return watch if watch.traces else replace(watch, traces=Traces(service))


WITH = {"metrics": with_metrics, "traces": with_traces}


def serving(watch: Watch | None, service: str, name: str, headers: Headers) -> Step:
    def ended(seen: Seen, error: BaseException | None) -> None:
        if observe.log_requests:
            facts = {"request": name, "code": seen.status or code_of(error), "seconds": round(seen.seconds, 4)}
            logging.getLogger(f"rucio_cs3.{service}").info("%s: %s", name, facts["code"], extra=facts)

    traces = watch.traces if watch else None
    return Seen(traces, Span(name, "server", parent=_trace_context(headers) if traces else None), ended)


def _trace_context(headers: Headers) -> dict[str, str]:
    """Under the names that the standard has for them; WSGI has others."""
    named = ((name.lower().replace("_", "-"), value) for name, value in headers())
    found = ((name.removeprefix("http-"), value) for name, value in named)
    return {name: str(value) for name, value in found if name in {"traceparent", "tracestate"}}


def _host(address: str) -> str:
    """What else stands in an address can be a secret."""
    return urlsplit(address).netloc.rpartition("@")[2] if "://" in address else address


def _path(path: str) -> str:
    """What follows a ? in an address can open the door."""
    return path.partition("?")[0]


def result_of(error: BaseException | None) -> str:
    if error is None:
        return "done"
    return "stopped" if isinstance(error, ENDED_BY_SOMEBODY) else "failed"


def code_of(error: BaseException | None) -> str:
    """Stable, one of few, and never the text, of which nobody knows what stands in it."""
    if error is None:
        return "ok"
    code = getattr(error, "code", None)
    return code if isinstance(code, str) else type(error).__name__
