"""What goes on inside, for who wants to know: numbers for Prometheus, and spans for OpenTelemetry.

All of it is off until `begin` is asked for one of them; then it is on for the whole process, and stays so. While it is
off each hook costs one look at a global, and neither prometheus_client nor opentelemetry is imported.

    with observe.transfer("upload", ref) as seen:               # a file: how it ended, its bytes, its error
        with observe.phase("verify"):                           # a part of that, and the time it takes
            with observe.call("Stat", gateway, path) as step:   # a question to somebody, who is sent `step.headers`
"""

from __future__ import annotations

import logging
import os
import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import Self

    from rucio_cs3.observe.watch import Watch

    Headers = Callable[[], Iterable[tuple[str, str]]]

log = logging.getLogger(__name__)
OFF, ON, AUTO = "off", "on", "auto"
FILE = "file:"
"""what metrics begin with that are written there when the process ends"""
TRACES = (OFF, ON, AUTO)
SERVICE = "rucio-cs3"
# What each needs beside this package, the extra that brings it, and where its own settings are.
NEEDS = {
    "metrics": ("prometheus_client", "metrics", "the variables PROMETHEUS_…"),
    "traces": ("opentelemetry", "otel", "the variables OTEL_…"),
}
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Step:
    """A piece of work, as a block. This one is everybody's while nobody watches, and does nothing."""

    headers: Mapping[str, str] = MappingProxyType({})
    """to be sent to whoever is asked, so that what is done there is seen as a part of this"""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        pass

    def moved(self, size: int) -> None:
        """A transfer did so many bytes."""

    def told(self, status: str) -> None:
        """How a request was answered."""


NOTHING = Step()
_watch: Watch | None = None
_missed: set[str] = set()
_lock = threading.Lock()
log_requests = False
"""whether services log each request: see rucio_cs3.observe.logs"""


def begin(metrics: str = OFF, traces: str = OFF, service: str = SERVICE) -> None:
    """Watch from now on what is asked for. `traces = auto` is on where the standard variables of OpenTelemetry say so.

    `service` is who we are in traces, unless those variables say that as well.
    """
    wanted = {"metrics": metrics != OFF, "traces": traces == ON or (traces == AUTO and asked_for_traces())}
    if any(wanted.values()):
        _begin({name for name in wanted if wanted[name]}, metrics, service)


def begin_program(service: str, metrics: str = OFF) -> None:
    """The same for a program of its own, whose environment says what of its traces."""
    variable = "RUCIO_CS3_TRACES"
    if _missed >= NEEDS.keys() or (metrics == OFF and variable not in os.environ and not asked_for_traces()):
        return
    from rucio_cs3.config import from_environment  # noqa: PLC0415 - completion of words must not wait for it

    found = from_environment({variable: os.environ.get(variable, AUTO)})
    begin(metrics, found.get("traces", AUTO), service)


def keep_off() -> None:
    """Watch nothing in this process, whatever its settings say."""
    _missed.update(NEEDS)


def asked_for_traces(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the variables that all programs with OpenTelemetry know say that there shall be traces."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    return exporter != "none" if exporter else any(environ.get(name) for name in ENDPOINTS)


def _begin(wanted: set[str], metrics: str, service: str) -> None:
    global _watch  # noqa: PLW0603 - it is the process that is watched
    with _lock:
        for name in sorted(wanted - _missed):
            try:
                from rucio_cs3.observe import watch  # noqa: PLC0415 - what it imports may be missing, and is not free

                _watch = watch.WITH[name](_watch, {"metrics": metrics, "traces": service}[name])
            except Exception as error:  # noqa: BLE001 - whatever it is, files are at hand without being watched
                _missed.add(name)
                _tell_missing(name, error)


def _tell_missing(name: str, error: Exception) -> None:
    """Without the error's text: nobody knows what stands in it."""
    module, extra, settings = NEEDS[name]
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == module:
        log.warning("%s are asked for, and %s is not installed: pip install 'rucio-cs3[%s]'", name, error.name, extra)
    else:
        log.warning("no %s: %s cannot be set up (%s); check %s", name, module, type(error).__name__, settings)


def end() -> None:
    """Send what is left to be sent, for a process that ends without a farewell."""
    if _watch is not None and _watch.traces is not None:
        _watch.traces.end()


def phase(name: str) -> Step:
    """A part of a transfer. Its name is one of few, as it is a label."""
    return NOTHING if _watch is None else _watch.phase(name)


def call(name: str, who: str, path: str = "", part: str = "") -> Step:
    """A question to a server, of whose address only the host is told. `part` is the phase that it is all of.

    It is not what the thread is at: whoever asks may do something else before he has read the answer.
    """
    return NOTHING if _watch is None else _watch.call(name, who, path, part)


def transfer(direction: str, what: object) -> Step:
    """The `upload` or `download` of one file."""
    return NOTHING if _watch is None else _watch.transfer(direction, what)


def work(name: str, parent: Mapping[str, str] | None = None, **facts: Any) -> Step:
    """Anything else that is worth a span; a part of the step that had `parent` as headers, if that is given."""
    return NOTHING if _watch is None else _watch.work(name, parent, facts)


def serving(service: str, name: str, headers: Headers) -> Step:
    """Somebody's request, who may have sent the `headers` of his own step: metadata of gRPC, of HTTP, or of WSGI."""
    if _watch is None and not log_requests:
        return NOTHING
    from rucio_cs3.observe import watch  # noqa: PLC0415

    return watch.serving(_watch, service, name, headers)


def failed(error: BaseException) -> None:
    """Somebody is told of this error. It counts once, however many see it on its way."""
    if _watch is not None:
        _watch.failed(error)


def retried(error: BaseException) -> None:
    """After this error it is tried once more."""
    if _watch is not None:
        _watch.retried(error)


def renewed(method: str, result: str) -> None:
    """A source of logins was asked."""
    if _watch is not None:
        _watch.renewed(method, result)


def is_tracing() -> bool:
    return _watch is not None and _watch.traces is not None


def headers() -> Mapping[str, str]:
    """Of what this thread is at; to be sent, or kept for who goes on with it later."""
    return NOTHING.headers if _watch is None else _watch.headers()


def trace_id() -> str:
    """Of what this thread is at; empty where there are no traces."""
    return "" if _watch is None else _watch.trace_id()
