"""What Prometheus may know: how many, how much, how long, and which side failed. Never of which file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily

from rucio_cs3.observe.metrics import text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rucio_cs3.mover.claims import Claim
    from rucio_cs3.mover.model import Done, Side

LINK = ("source", "destination")


class Metrics:
    def __init__(self, depth: Callable[[], Mapping[str, int]]) -> None:
        """`depth` counts the queue's files by state."""
        self._registry = registry = CollectorRegistry()
        self._files = Counter("rucio_cs3_mover_copies", "Copies made", ("how", *LINK), registry=registry)
        self._bytes = Counter("rucio_cs3_mover_bytes", "Bytes copied", LINK, registry=registry)
        self._seconds = Histogram("rucio_cs3_mover_copy_seconds", "Time for a copy", registry=registry)
        self._failures = Counter("rucio_cs3_mover_failures", "Copies that failed", ("side", *LINK), registry=registry)
        self._retries = Counter("rucio_cs3_mover_retries", "Copies to be tried again", LINK, registry=registry)
        self._depth = _Depth(depth)

    def finished(self, claim: Claim, done: Done, seconds: float) -> None:
        self._files.labels(done.how, *claim.link).inc()
        self._bytes.labels(*claim.link).inc(done.size)
        self._seconds.observe(seconds)

    def failed(self, claim: Claim, side: Side, *, again: bool) -> None:
        self._failures.labels(side.value, *claim.link).inc()
        if again:
            self._retries.labels(*claim.link).inc()

    def text(self) -> bytes:
        return text(self._registry, self._depth)


class _Depth:
    def __init__(self, depth: Callable[[], Mapping[str, int]]) -> None:
        self._depth = depth

    def describe(self) -> list[GaugeMetricFamily]:
        """Without it the registry would ask for the numbers at once."""
        return [self._family()]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = self._family()
        for state, count in self._depth().items():
            family.add_metric([state], count)
        yield family

    @staticmethod
    def _family() -> GaugeMetricFamily:
        return GaugeMetricFamily("rucio_cs3_mover_files", "Files in the queue by state", labels=["state"])
