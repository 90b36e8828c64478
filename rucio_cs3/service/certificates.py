"""When the certificates of the sites end, for Prometheus: nothing that is served waits for it."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.core import GaugeMetricFamily

from rucio_cs3 import tls
from rucio_cs3.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rucio_cs3.config import Config

PAUSE = 6 * 3600.0  # seconds between looks: who exchanges a certificate does so days before it ends
GATEWAY, DOOR = "h2", "http/1.1"  # as ALPN calls what is spoken there
WHAT = "When the certificate that was last seen there ends"


class Endpoint(NamedTuple):
    """Where a site speaks TLS."""

    site: str
    host: str
    port: int
    config: Config
    speaks: str = GATEWAY

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


class Certificates:
    """Looked at from a thread of its own, from the first time that somebody asks for them: that gets no answer yet."""

    def __init__(self, name: str, endpoints: Iterable[Endpoint]) -> None:
        self._name = name
        self._endpoints = tuple(endpoints)
        self._ends: dict[tuple[str, str], float] = {}
        self._process: int | None = None  # that looks: a thread is not there after a fork
        self._lock = threading.Lock()

    def describe(self) -> list[GaugeMetricFamily]:
        """Without it the registry would ask for the numbers at once."""
        return [GaugeMetricFamily(self._name, WHAT, labels=("site", "address"))]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._lock:
            if self._process != os.getpid():
                self._process = os.getpid()
                threading.Thread(target=self._look, name="certificates", daemon=True).start()
        [family] = self.describe()
        for labels, end in sorted(self._ends.copy().items()):
            family.add_metric(labels, end)
        yield family

    def _look(self) -> None:
        while True:
            for endpoint in self._endpoints:
                with contextlib.suppress(OSError, ValueError, ConfigError):  # what uses the site tells what is wrong
                    self._ends[endpoint.site, endpoint.address] = _end_of(endpoint)
            time.sleep(PAUSE)


def _end_of(endpoint: Endpoint) -> float:
    """Of a certificate that we trust."""
    context = tls.context(endpoint.config)
    context.check_hostname = True
    context.set_alpn_protocols([endpoint.speaks])
    name = endpoint.host.strip("[]")
    with (
        socket.create_connection((name, endpoint.port), endpoint.config.connect_timeout) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        return float(ssl.cert_time_to_seconds(str((secure.getpeercert() or {})["notAfter"])))
