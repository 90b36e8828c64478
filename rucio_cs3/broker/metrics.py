"""What Prometheus may know: how many, how long, of which site. Never of whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram

from rucio_cs3.observe.metrics import text
from rucio_cs3.service.certificates import Certificates

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rucio_cs3.broker.audit import Record
    from rucio_cs3.service.certificates import Endpoint


class Metrics:
    def __init__(self, endpoints: Iterable[Endpoint] = ()) -> None:
        """At `endpoints` the sites speak TLS."""
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
        self._certificates = Certificates("rucio_cs3_broker_certificate_expiry_timestamp_seconds", endpoints)

    def count(self, record: Record) -> None:
        """`site` of the record is one that is configured, or None."""
        self._requests.labels(record.code, record.site or "").inc()
        self._seconds.labels(record.endpoint).observe(record.seconds)
        if record.endpoint == "token" and record.code == "ok":
            self._mints.labels(record.site).inc()

    def text(self) -> bytes:
        return text(self._registry, self._certificates)
