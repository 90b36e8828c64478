"""What Prometheus may know: how many, how long, of which site. Never of whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram

from rucio_cs3.observe.metrics import text

if TYPE_CHECKING:
    from rucio_cs3.broker.audit import Record


class Metrics:
    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "rucio_cs3_broker_requests",
            "Requests by outcome and site",
            ("outcome", "site"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "rucio_cs3_broker_request_seconds", "Time to answer", ("endpoint",), registry=self._registry
        )
        self._mints = Counter("rucio_cs3_broker_mints", "Reva tokens given out", ("site",), registry=self._registry)

    def count(self, record: Record) -> None:
        """`site` of the record is one that is configured, or None."""
        self._requests.labels(record.code, record.site or "").inc()
        self._seconds.labels(record.endpoint).observe(record.seconds)
        if record.endpoint == "token" and record.code == "ok":
            self._mints.labels(record.site).inc()

    def text(self) -> bytes:
        return text(self._registry)
