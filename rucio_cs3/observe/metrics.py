"""The numbers of a client, and of the plugin, for Prometheus. Never of which file, which user, or which host.

They stand in prometheus_client's own registry, which Rucio's daemons serve at their metrics_port, and in OURS.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
from typing import TYPE_CHECKING, Any, Callable

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest, write_to_textfile
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MANY_PROCESSES = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client's: where worker processes add up their numbers
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
OURS = CollectorRegistry()


def _made(kind: Any, name: str, what: str, labels: Sequence[str], **options: Any) -> Any:
    made = kind(f"rucio_cs3_{name}", what, labels, registry=REGISTRY, **options)
    OURS.register(made)
    return made


TRANSFERS = _made(Counter, "transfers", "Files uploaded or downloaded, by how it ended", ("direction", "result"))
BYTES = _made(Counter, "transfer_bytes", "Bytes of the files that were transferred", ("direction",))
PHASES = _made(Histogram, "phase_seconds", "Time that each part of transfers took", ("phase",), buckets=BUCKETS)
RETRIES = _made(Counter, "retries", "What was tried again, by the code of the error before", ("reason",))
ERRORS = _made(Counter, "errors", "Errors that callers were told of", ("code",))
RENEWALS = _made(Counter, "token_renewals", "Sources of logins that were asked for a token", ("method", "result"))


Counting = Callable[..., None]


def _harmless(count: Counting) -> Counting:
    """No number is worth a transfer: those of many processes are files, which can be lost or full."""

    @functools.wraps(count)
    def counted(self: Metrics, *what: Any) -> None:
        try:
            count(self, *what)
        except (OSError, ValueError) as error:
            self.missed(error)

    return counted


class Metrics:
    """What is counted, each in its family above."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._told = False

    def missed(self, error: Exception) -> None:
        """A number that could not be counted. It is said once."""
        if not self._told:
            self._told = True
            place = os.environ.get(MANY_PROCESSES)
            log.warning("metrics are not counted (%s); check %s=%s", type(error).__name__, MANY_PROCESSES, place)

    @_harmless
    def transferred(self, direction: str, result: str, size: int) -> None:
        TRANSFERS.labels(direction, result).inc()
        if result == "done":
            BYTES.labels(direction).inc(size)

    @_harmless
    def took(self, phase: str, seconds: float) -> None:
        PHASES.labels(phase).observe(seconds)

    @_harmless
    def retried(self, reason: str) -> None:
        RETRIES.labels(reason).inc()

    @_harmless
    def failed(self, code: str) -> None:
        ERRORS.labels(code).inc()

    @_harmless
    def renewed(self, method: str, result: str) -> None:
        RENEWALS.labels(method, result).inc()

    def write_at_exit(self, file: str) -> None:
        """For node_exporter's textfile collector: what a command that has ended can be asked for."""
        if file not in self._files:
            self._files.add(file)
            atexit.register(_write, file, os.getpid())


def _write(file: str, process: int) -> None:
    """Whole or not at all. Without the numbers of the process itself, which node_exporter has of its own."""
    if os.getpid() != process:  # a child's numbers are not those of all
        return
    try:
        write_to_textfile(os.path.expanduser(file), OURS)  # noqa: PTH111 - what it takes is a str
    except OSError as error:
        log.warning("metrics are not written to %s: %s", file, error.strerror)


def text(numbers: CollectorRegistry, *live: Any) -> bytes:
    """A service's own numbers and its clients', of all its processes; `live` is what is asked for them only now."""
    shown = CollectorRegistry()
    for each in live:
        shown.register(each)
    if MANY_PROCESSES in os.environ:
        MultiProcessCollector(shown)  # type: ignore[no-untyped-call]
    else:
        for registry in (numbers, OURS):
            shown.register(registry)  # it collects, as all that is registered does
    return generate_latest(shown)
