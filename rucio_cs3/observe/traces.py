"""Spans by OpenTelemetry, each with what it is about and with our codes of errors, and nothing that is secret."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from rucio_cs3.errors import AlreadyExists, Cs3Error, NotFound
from rucio_cs3.observe.watch import code_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import Token

    from rucio_cs3.observe.watch import Span

log = logging.getLogger(__name__)
W3C = TraceContextTextMapPropagator()  # traceparent and tracestate, and no baggage: that is nobody else's
KINDS = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT, "server": SpanKind.SERVER}
LOOKED_FOR = (AlreadyExists, NotFound)  # whoever asks may want to know just that, and it is no failure
SECONDS = 3.0  # for a collector, after which a command that has ended is not kept any longer; its own 10 are too many
END_SECONDS = 2.0  # for all that is left when a process ends
TIMEOUTS = ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
OTLP = "opentelemetry.exporter.otlp.proto"
# By what OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_PROTOCOL say; what is not named here is told.
EXPORTERS = {
    ("otlp", "http/protobuf"): (f"{OTLP}.http.trace_exporter", "OTLPSpanExporter"),
    ("otlp", "grpc"): (f"{OTLP}.grpc.trace_exporter", "OTLPSpanExporter"),
    ("console", "http/protobuf"): ("opentelemetry.sdk.trace.export", "ConsoleSpanExporter"),
}


class Traces:
    def __init__(self, service: str) -> None:
        self._provider = _provider(service)
        self._flush = _Flush(self._provider)
        self._tracer = self._provider.get_tracer("rucio_cs3", version("rucio-cs3"))
        around = {name.lower(): os.environ[name] for name in ("TRACEPARENT", "TRACESTATE") if name in os.environ}
        self._around = W3C.extract(around, Context())

    def open(self, wanted: Span) -> tuple[Any, Span, Token[Any] | None]:
        context = self._context(wanted.parent)
        span = self._tracer.start_span(wanted.name, context, KINDS[wanted.kind], dict(wanted.facts))
        return span, wanted, contexts.attach(trace.set_span_in_context(span, context)) if wanted.current else None

    def close(self, opened: tuple[Any, Span, Token[Any] | None], status: str, error: BaseException | None) -> None:
        span, wanted, token = opened
        if token is not None:
            contexts.detach(token)
        if status:
            span.set_attribute("cs3.status", status)
        if error is not None and not (isinstance(error, SystemExit) and not error.code):
            _record(span, wanted, error)
        span.end()

    def headers(self, opened: tuple[Any, Span, Token[Any] | None] | None = None) -> dict[str, str]:
        carrier: dict[str, str] = {}
        W3C.inject(carrier, trace.set_span_in_context(opened[0]) if opened else None)
        return carrier

    def end(self) -> None:
        self._flush.end()

    @staticmethod
    def trace_id() -> str:
        found = trace.get_current_span().get_span_context()
        return trace.format_trace_id(found.trace_id) if found.is_valid else ""

    def _context(self, parent: Mapping[str, str] | None) -> Context:
        """Of the step that is told, else of what the thread is at, else of the program that has started us."""
        if parent is not None:
            return W3C.extract(parent, Context())
        now = contexts.get_current()
        return now if trace.get_current_span(now).get_span_context().is_valid else self._around


class _Flush:
    """Sends what is left when the process ends, and no longer than it may take: OpenTelemetry's own limits are none.

    Its thread is there from the beginning, because a process that ends can start none.
    """

    def __init__(self, provider: Any) -> None:
        self._process = os.getpid()
        self._wanted, self._done = threading.Event(), threading.Event()
        if isinstance(provider, TracerProvider):  # what is not OpenTelemetry's may know nothing of an end
            threading.Thread(target=self._work, args=[provider], name="traces-end", daemon=True).start()
            atexit.register(self.end)
        else:
            self._done.set()

    def end(self) -> None:
        if self._process == os.getpid():  # threads are not there after a fork
            self._wanted.set()
            self._done.wait(END_SECONDS)

    def _work(self, provider: TracerProvider) -> None:
        self._wanted.wait()
        try:
            provider.force_flush()
        finally:
            self._done.set()


def _record(span: Any, wanted: Span, error: BaseException) -> None:
    span.set_attribute("error.type", code_of(error))
    if isinstance(error, Cs3Error) and error.status:
        span.set_attribute("cs3.status", error.status)
    if not (wanted.kind == "client" and isinstance(error, LOOKED_FOR)):
        span.set_status(StatusCode.ERROR)  # without its text: sites like to repeat what they were shown


def _provider(service: str) -> Any:
    """The program's own, if it has one."""
    theirs = trace.get_tracer_provider()
    if not isinstance(theirs, trace.ProxyTracerProvider):
        return theirs
    resource = Resource.create()
    if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": service}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)  # which would wait for 30 seconds
    exporter = _exporter()
    if exporter is not None:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _exporter() -> Any:
    """None where nobody here can do what the environment wants. Raises ModuleNotFoundError."""
    wanted = os.environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    protocol = "http/protobuf"
    if wanted == "otlp":
        said = (os.environ.get(f"OTEL_EXPORTER_OTLP_{which}PROTOCOL") for which in ("TRACES_", ""))
        protocol = next(filter(None, said), protocol)
    if (wanted, protocol) not in EXPORTERS:
        log.warning("no traces: exporter %s by %s is not known here; otlp by http/protobuf is", wanted, protocol)
        return None
    module, name = EXPORTERS[wanted, protocol]
    options: dict[str, Any] = {"out": sys.stderr} if wanted == "console" else {}  # stdout is a command's own
    if wanted == "otlp" and not any(variable in os.environ for variable in TIMEOUTS):
        options["timeout"] = SECONDS
    return getattr(import_module(module), name)(**options)
