"""One server over HTTP, asked within a time."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Callable, NamedTuple
from urllib.parse import urlsplit

from rucio_cs3 import tls
from rucio_cs3.config import Config
from rucio_cs3.service.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LARGEST_ANSWER = 64 << 10
# What goes wrong with the connection -> how it is told.
FAILURES: tuple[tuple[type[Exception], str], ...] = (
    (ssl.SSLCertVerificationError, "its certificate is not trusted: the broker's operator has to check ca"),
    (ssl.SSLError, "it does not speak TLS as we do"),
    (socket.gaierror, "its host name is not known"),
    (ConnectionRefusedError, "nothing listens there"),
    (Exception, "the connection broke"),
)


class Answer(NamedTuple):
    status: int
    location: str
    body: bytes


Get = Callable[[str, "Mapping[str, str]"], Answer]


class Server:
    """A Rucio server, or the part of one that is at this address."""

    def __init__(self, host: str, ca: str | None, timeout: float) -> None:
        self.host = host.rstrip("/")
        self._url = urlsplit(self.host)
        self._timeout = timeout
        self._tls = _tls(ca) if self._url.scheme == "https" else None

    @contextlib.contextmanager
    def questions(self, until: float) -> Iterator[Get]:
        """To be asked until then, straight: no proxy of the environment gets to see a token.

        The connection is cut when the time is over, for a server that sends a byte now and then never runs into a
        socket's timeout. What goes wrong becomes our answer here; what Rucio or the library says of it stays here.
        """
        left = max(until - time.monotonic(), 0.001)  # 0 would mean: do not wait for anything
        connection = self._open(left)
        cut = threading.Event()
        watchdog = threading.Timer(left, _cut, (connection, cut))
        watchdog.daemon = True
        watchdog.start()
        try:
            yield lambda path, headers: self._get(connection, path, headers)
        except (OSError, HTTPException, Refused) as error:
            raise self._told(error, late=cut.is_set()) from None
        finally:
            watchdog.cancel()
            connection.close()

    def unusable(self, reason: str) -> Refused:
        return Refused("rucio_unavailable", f"Rucio {self.host} could not be asked, {reason}; try again later")

    def _get(self, connection: HTTPConnection, path: str, headers: Mapping[str, str]) -> Answer:
        connection.request("GET", f"{self._url.path}{path}", headers=dict(headers))
        with connection.getresponse() as response:  # which can outlive the connection
            body = response.read(LARGEST_ANSWER + 1)
        if len(body) > LARGEST_ANSWER:
            raise self.unusable("its answer has no end")
        return Answer(response.status, response.headers.get("Location", ""), body)

    def _told(self, error: Exception, *, late: bool) -> Refused:
        """A cut connection can also look like a short answer."""
        if late or isinstance(error, (TimeoutError, socket.timeout)):
            text = f"Rucio {self.host} did not answer within {self._timeout:g} s; try again"
            return Refused("rucio_unavailable", text, silence=True)
        if isinstance(error, Refused):
            return error
        return self.unusable(next(why for kind, why in FAILURES if isinstance(error, kind)))

    def _open(self, timeout: float) -> HTTPConnection:
        host = self._url.hostname or ""
        if self._tls:
            return HTTPSConnection(host, self._url.port, timeout=timeout, context=self._tls)
        return HTTPConnection(host, self._url.port, timeout=timeout)


def _tls(ca: str | None) -> ssl.SSLContext:
    pem = tls.authorities(Config("rucio:443", ca=ca)).decode("utf-8", "replace")
    return ssl.create_default_context(cadata=pem)


def _cut(connection: HTTPConnection, cut: threading.Event) -> None:
    cut.set()
    if connection.sock:
        with contextlib.suppress(OSError):  # the plain socket's: TLS would take its time to say goodbye
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
