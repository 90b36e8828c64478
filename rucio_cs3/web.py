"""HTTP connections that are pooled, wait no longer than there is time, and keep to themselves what they ask for."""

from __future__ import annotations

import contextlib
import http.client
import io
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3
from requests.utils import get_auth_from_url, get_environ_proxies, select_proxy, urldefragauth
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from rucio_cs3 import deadline, tls
from rucio_cs3.errors import ConfigError
from rucio_cs3.loopback import is_loopback

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from rucio_cs3.config import Config

PIECE = 128 << 10  # bytes that have to go out within the stall timeout
POOLED = 32  # connections kept per server


class Pools:
    """The connections of one client, by the proxies that the environment asks for."""

    def __init__(self, config: Config, stall: float) -> None:
        self._config = config
        self._classes = pool_classes(stall)
        self._managers: dict[tuple[bool, str | None], urllib3.PoolManager] = {}

    def of(self, url: str) -> urllib3.PoolManager:
        here = is_loopback(urlsplit(url).hostname or "")  # what stays on this machine meets no proxy on another
        way = url.startswith("https://"), None if here else select_proxy(url, get_environ_proxies(url))
        if way not in self._managers:
            self._managers[way] = self._open(*way)
        return self._managers[way]

    def close(self) -> None:
        for manager in self._managers.values():
            manager.clear()

    def _open(self, secure: bool, proxy: str | None) -> urllib3.PoolManager:
        options: dict[str, Any] = {"maxsize": POOLED}
        if secure:
            options["ssl_context"] = tls.context(self._config)
        manager = _by_proxy(proxy, options) if proxy else urllib3.PoolManager(**options)
        manager.pool_classes_by_scheme = self._classes
        return manager


def _by_proxy(proxy: str, options: dict[str, Any]) -> urllib3.ProxyManager:
    """A proxy as the environment names it: often without a scheme, sometimes with a login."""
    url = proxy if "://" in proxy else f"http://{proxy}"
    address = urldefragauth(url)
    if not address.startswith(("http://", "https://")):
        raise ConfigError(
            f"the environment asks for proxy {address}, and we speak to http and https proxies only",
            hint="correct https_proxy or all_proxy, or name the site in no_proxy",
        )
    user, password = get_auth_from_url(url)
    if user:
        options["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=f"{user}:{password}")
    return urllib3.ProxyManager(address, **options)


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
        with deadline.breaks_off(self._socket):
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
        """In pieces: the time is for each call, and a slow link is not a silent one."""
        if self.sock is None or not isinstance(data, (bytes, bytearray, memoryview)):
            super().send(data)  # type: ignore[misc]
            return
        for start in range(0, len(data), PIECE):
            self.sock.settimeout(deadline.at_most(self.stall))
            with deadline.breaks_off(self.sock):
                super().send(memoryview(data)[start : start + PIECE])  # type: ignore[misc]


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
