"""HTTP connections: pooled, bounded in time, silent about what they ask for, and failing with our errors."""

from __future__ import annotations

import contextlib
import errno
import http.client
import io
import logging
import socket
import ssl
import struct
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import urlsplit

import urllib3
from requests.utils import get_auth_from_url, get_environ_proxies, select_proxy, urldefragauth
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from rucio_cs3 import deadline, tls
from rucio_cs3.errors import ConfigError, Cs3Error, DeadlineExceeded, Interrupted, Unavailable, Untrusted
from rucio_cs3.loopback import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from rucio_cs3.config import Config

# What urllib3 and sockets raise -> our error, what is said and what to do. The first that fits decides.
# Before version 2, NewConnectionError is a kind of ConnectTimeoutError.
FAILURES: tuple[tuple[tuple[type[Exception], ...], type[Cs3Error], str, str], ...] = (
    (
        (ssl.SSLCertVerificationError,),
        Untrusted,
        "TLS with {who} failed: {error}",
        "check ca, and its certificate",
    ),
    (
        (urllib3.exceptions.SSLError,),
        Unavailable,
        "TLS with {who} failed: {error}",
        "check ca, and its certificate",
    ),
    (
        (urllib3.exceptions.ProxyError,),
        Unavailable,
        "the proxy on the way to {who} refuses: {why}",
        "check https_proxy and the login in it, or name the site in no_proxy",
    ),
    (
        (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError),
        Unavailable,
        "{who} cannot be reached",
        "check its address and whether it is up",
    ),
    (
        (urllib3.exceptions.TimeoutError, TimeoutError, socket.timeout),
        DeadlineExceeded,
        "{who} went silent",
        "try again, or raise {patience}",
    ),
    ((Exception,), Interrupted, "the connection to {who} broke", ""),
)
BUFFERED = 8 << 10  # bytes that http.client reads ahead, of headers mostly
LOOK_AGAIN = 0.1  # seconds after which what is left of a deadline is looked at again
PIECE = 128 << 10  # bytes that have to go out within the stall timeout
POOLED = 32  # connections kept per server
AT_ONCE = struct.pack("ii", 1, 0)  # for SO_LINGER: throw away what was not sent yet


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
        self._patience = self._in_force = sock.gettimeout() or 0.0
        self._holds = False
        self._got = 0
        self._failure: OSError | None = None

    def makefile(self, _: str) -> io.BufferedReader:
        """What http.client does with a socket."""
        return io.BufferedReader(self, BUFFERED)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        if self._failure:
            return 0
        self._got = 0
        try:
            with deadline.breaks_off(self._socket), memoryview(buffer) as view:
                self._receive(view)
        except OSError as error:
            if not self._holds:
                raise
            self._failure = error
        return self._got

    def _receive(self, view: memoryview) -> None:
        """What there is. In `fill`, a buffer larger than the reader's own is the caller's, and all of that is due."""
        sock = self._socket
        size = len(view)
        wanted = size if self._holds and size > BUFFERED else 1
        look_again = 0.0
        while self._got < wanted:  # TLS gives 16 KiB at a time, so every call in here is felt
            now = time.monotonic()
            if now >= look_again:
                self._wait_at_most(deadline.at_most(self._patience))
                look_again = now + LOOK_AGAIN
            rest = view[self._got :] if self._got else view
            if isinstance(sock, ssl.SSLSocket):
                count = cast("int", sock.read(size - self._got, rest))
            else:
                count = sock.recv_into(rest)
            if not count:
                return
            self._got += count

    def _wait_at_most(self, seconds: float) -> None:
        if seconds != self._in_force:  # each change is a system call
            self._socket.settimeout(seconds)
            self._in_force = seconds

    def hold_failure(self) -> None:
        """From now on a failure is an end: what came before it counts."""
        self._holds = True

    def raise_failure(self) -> None:
        if self._failure:
            raise self._failure

    def close(self) -> None:
        self._raw.close()
        super().close()


class Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        self._waiting = _Waiting(sock)
        super().__init__(self._waiting, *args, **options)  # type: ignore[arg-type]

    def fill(self, view: memoryview) -> int:
        """Read until `view` is full or the body ends. What came before a failure is given out first."""
        self._waiting.hold_failure()
        count = self.readinto(view)
        if not count and view:
            self._waiting.raise_failure()
            if self.length:
                raise ConnectionResetError(errno.ECONNRESET, "closed before its end")
        return count

    @property
    def is_read(self) -> bool:
        """To its end, so that another one can follow."""
        return self.isclosed() and not self.length


class _Timed:
    """Mixed into urllib3's connections, which while they send have the connect timeout in force, or an older one."""

    stall: float
    sock: socket.socket
    response_class: Callable[..., Response] = Response
    _answered = True

    def _tunnel(self) -> None:
        """What a proxy says is closed: http.client before Python 3.11.4 leaves a refusal to the garbage collector."""
        heard: list[Response] = []

        def hear(*args: Any, **options: Any) -> Response:
            heard.append(Response(*args, **options))
            return heard[0]

        self.response_class = hear
        try:
            super()._tunnel()  # type: ignore[misc]
        finally:
            del self.response_class
            for response in heard:
                response.close()

    def putrequest(self, *args: Any, **options: Any) -> None:
        self._answered = False
        super().putrequest(*args, **options)  # type: ignore[misc]

    def getresponse(self) -> Any:
        response = super().getresponse()  # type: ignore[misc]
        self._answered = True
        return response

    def close(self) -> None:
        """Reset what is given up: else the rest arrives later, and some servers write it into a finished file."""
        if self.sock is not None and not self._answered:
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        super().close()  # type: ignore[misc]

    def send(self, data: Any) -> None:
        """In pieces: the time is for each call, and a slow link is not a silent one."""
        if self.sock is None or not isinstance(data, (bytes, bytearray, memoryview)):
            super().send(data)  # type: ignore[misc]
            return
        view = memoryview(data)
        try:
            with deadline.breaks_off(self.sock):
                for start in range(0, len(view), PIECE):
                    self.sock.settimeout(deadline.at_most(self.stall))
                    self.sock.sendall(view[start : start + PIECE])
        except (ssl.SSLEOFError, ConnectionResetError) as error:
            # After a broken pipe, and nothing else, urllib3 reads what the server said before it hung up.
            raise BrokenPipeError(errno.EPIPE, "closed while we were sending") from error


def failures(who: str, *, patience: str, path: str = "") -> AbstractContextManager[None]:
    """The one place where urllib3's and the socket's errors become ours. `patience` is the setting that bounds them."""
    return _Failures(who, patience, path)


class _Failures:
    """A class, as each block of a transfer passes one, and a generator costs four times as much."""

    def __init__(self, who: str, patience: str, path: str) -> None:
        self._who = who
        self._patience = patience
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        foreign = isinstance(error, (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError))
        if foreign and not isinstance(error, Cs3Error):
            self._translate(cast("Exception", error))

    def _translate(self, error: Exception) -> NoReturn:
        for ours in error.args:
            if isinstance(ours, Cs3Error):  # raised by the body while it was sent, and wrapped by urllib3
                raise ours from ours.__cause__
        deadline.check()
        kind, words, hint = _meaning(error)
        why = error.args[-1] if error.args else error
        known = {"who": self._who, "error": error, "why": why, "patience": self._patience}
        raise kind(words.format(**known), path=self._path, hint=hint.format(**known)) from error


def _meaning(error: Exception) -> tuple[type[Cs3Error], str, str]:
    """Some wrap what tells more."""
    return next(
        (kind, words, hint)
        for kinds, kind, words, hint in FAILURES
        if isinstance(error, kinds) or any(isinstance(inner, kinds) for inner in error.args)
    )


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
