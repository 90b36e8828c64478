"""What Prometheus may know: how many, how much, how long, and which side failed. Never of which file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily

from rucio_cs3.observe.metrics import BUCKETS, text
from rucio_cs3.service.certificates import Certificates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rucio_cs3.mover.claims import Claim
    from rucio_cs3.mover.model import Done, Link, Side
    from rucio_cs3.service.certificates import Endpoint

LINK = ("source", "destination")
MOST_LINKS = 1000  # with numbers of their own: whoever submits jobs may name any host in them
OTHERS = ("other", "other")


class Metrics:
    def __init__(
        self, depth: Callable[[], Mapping[str, int]], oldest: Callable[[], float], endpoints: Iterable[Endpoint] = ()
    ) -> None:
        """`depth` counts the queue's files by state, `oldest` is the age of its oldest job.

        At `endpoints` the sites speak TLS.
        """
        self._registry = registry = CollectorRegistry()
        self._files = Counter("rucio_cs3_mover_copies", "Copies made", ("how", *LINK), registry=registry)
        self._bytes = Counter("rucio_cs3_mover_bytes", "Bytes copied", LINK, registry=registry)
        self._seconds = Histogram("rucio_cs3_mover_copy_seconds", "Time for a copy", buckets=BUCKETS, registry=registry)
        self._failures = Counter("rucio_cs3_mover_failures", "Copies that failed", ("side", *LINK), registry=registry)
        self._retries = Counter("rucio_cs3_mover_retries", "Copies to be tried again", LINK, registry=registry)
        self._queue = _Queue(depth, oldest)
        self._certificates = Certificates("rucio_cs3_mover_certificate_expiry_timestamp_seconds", endpoints)
        self._links: set[Link] = set()

    def finished(self, claim: Claim, done: Done, seconds: float) -> None:
        link = self._link(claim)
        self._files.labels(done.how, *link).inc()
        self._bytes.labels(*link).inc(done.size)
        self._seconds.observe(seconds)

    def failed(self, claim: Claim, side: Side, *, again: bool) -> None:
        link = self._link(claim)
        self._failures.labels(side.value, *link).inc()
        if again:
            self._retries.labels(*link).inc()

    def _link(self, claim: Claim) -> Link:
        if len(self._links) < MOST_LINKS:
            self._links.add(claim.link)
        return claim.link if claim.link in self._links else OTHERS

    def text(self) -> bytes:
        return text(self._registry, self._queue, self._certificates)


class _Queue:
    """What all movers that share it tell of it alike. The database is asked when somebody looks."""

    def __init__(self, depth: Callable[[], Mapping[str, int]], oldest: Callable[[], float]) -> None:
        self._depth = depth
        self._oldest = oldest

    def describe(self) -> list[GaugeMetricFamily]:
        """Without it the registry would ask for the numbers at once."""
        return [
            GaugeMetricFamily("rucio_cs3_mover_files", "Files in the queue by state", labels=["state"]),
            GaugeMetricFamily(
                "rucio_cs3_mover_oldest_job_seconds", "Age of the oldest job that has not ended", labels=()
            ),
        ]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        files, age = self.describe()
        for state, count in self._depth().items():
            files.add_metric([state], count)
        age.add_metric([], self._oldest())
        yield from (files, age)
