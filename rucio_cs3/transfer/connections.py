"""Connections to data servers that wait no longer than there is time, and that keep to themselves what they ask for."""

from __future__ import annotations

import contextlib
import http.client
import io
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from rucio_cs3 import deadline

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator


def pool_classes(stall: float) -> dict[str, Any]:
    """urllib3's pools by scheme, with connections that give up after `stall` seconds without a byte."""
    plain = type("Plain", (_Timed, HTTPConnection), {"stall": stall})
    secure = type("Secure", (_Timed, HTTPSConnection), {"stall": stall})
    return {
        "http": type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
    }


class _Waiting(io.RawIOBase):
    """The reading end of a socket. Bytes that drip give the peer no more time than the deadline does."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._socket = sock
        self._raw: Any = sock.makefile("rb", buffering=0)
        self._patience = sock.gettimeout() or 0.0

    def makefile(self, _: str) -> io.BufferedReader:
        """What http.client does with a socket."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        self._socket.settimeout(deadline.at_most(self._patience))
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(_Waiting(sock), *args, **options)  # type: ignore[arg-type]


class _Timed:
    """Mixed into urllib3's connections, which while they send have the connect timeout in force, or an older one."""

    stall: float
    sock: socket.socket
    response_class = _Response

    def send(self, data: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(deadline.at_most(self.stall))
        super().send(data)  # type: ignore[misc]


_unheard: ContextVar[bool] = ContextVar("rucio_cs3_unheard", default=False)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """urllib3 logs every address that it asks for, and ours can be a secret."""
    token = _unheard.set(True)
    try:
        yield
    finally:
        _unheard.reset(token)


for _name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(lambda _: not _unheard.get())
