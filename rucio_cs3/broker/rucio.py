"""Whose Rucio token is it? Only the Rucio server knows."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import ssl
import threading
import time
from collections import OrderedDict
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from rucio_cs3 import tls
from rucio_cs3.broker.accounts import ACCOUNT
from rucio_cs3.broker.refusals import Refused
from rucio_cs3.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.broker.config import Rucio

HEADER = "X-Rucio-Auth-Token"
REMEMBERED_SECONDS = 30.0
REMEMBERED = 10_000  # tokens
LARGEST_TOKEN = 100_000
LARGEST_ANSWER = 64 << 10

# Rucio says 401. The others come from what stands before it, to headers that it finds too large or malformed.
REFUSALS = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
}
# What goes wrong with the connection -> how it is told.
FAILURES: tuple[tuple[type[Exception], str], ...] = (
    (ssl.SSLCertVerificationError, "its certificate is not trusted: the broker's operator has to check ca"),
    (ssl.SSLError, "it does not speak TLS as we do"),
    (socket.gaierror, "its host name is not known"),
    (ConnectionRefusedError, "nothing listens there"),
    (Exception, "the connection broke"),
)
LOG_IN_AGAIN = "log in to Rucio again (rucio whoami) and use the token of this Rucio"


class RucioServer:
    """Asks whoami, and remembers a good answer for a while: a burst of requests with one token costs few questions."""

    def __init__(self, rucio: Rucio, timeout: float) -> None:
        self._host = rucio.host.rstrip("/")
        self._url = urlsplit(self._host)
        self._timeout = timeout
        self._tls = _tls(rucio) if self._url.scheme == "https" else None
        self._remembered = Remembered(REMEMBERED, REMEMBERED_SECONDS)

    def account_of(self, token: str) -> str:
        """Raises Refused."""
        _check_form(token)
        with self._connection() as connection:
            account = self._ask(connection, token)
        self._remembered.put(_key(token), account)
        return account

    def remembered(self, token: str) -> str | None:
        """The account, if Rucio has named it a moment ago."""
        return self._remembered.get(_key(token))

    def _ask(self, connection: HTTPConnection, token: str) -> str:
        """Whoami redirects to the account itself; only the name is taken from there, the host stays ours."""
        status, location, body = self._get(connection, "whoami", token)
        if status != HTTPStatus.SEE_OTHER:
            return self._active(status, body, None)
        name = unquote(urlsplit(location).path.rpartition("/")[2])
        if not ACCOUNT.fullmatch(name):
            raise self._unusable("it names an account that cannot be one")
        status, _, body = self._get(connection, name, token)
        return self._active(status, body, name)

    def _get(self, connection: HTTPConnection, account: str, token: str) -> tuple[int, str, bytes]:
        path = f"{self._url.path}/accounts/{account}"
        connection.request("GET", path, headers={HEADER: token, "Accept": "application/json"})
        response = connection.getresponse()
        body = response.read(LARGEST_ANSWER + 1)
        if len(body) > LARGEST_ANSWER:
            raise self._unusable("its answer to whoami has no end")
        return response.status, response.headers.get("Location", ""), body

    def _active(self, status: int, body: bytes, name: str | None) -> str:
        """The account, if it is one that may work."""
        if status in REFUSALS:
            raise Refused("rucio_token_refused", f"Rucio {self._host} does not accept the token; {LOG_IN_AGAIN}")
        if status != HTTPStatus.OK:
            raise self._unusable(f"it answers HTTP {status} to whoami")
        found = _json_object(body)
        account = found.get("account")
        if not isinstance(account, str) or not ACCOUNT.fullmatch(account) or account != (name or account):
            raise self._unusable("its answer to whoami names no account")
        if found.get("status") != "ACTIVE":
            raise Refused("account_not_mapped", f"Rucio account {account} is not active; ask the operators of Rucio")
        return account

    @contextlib.contextmanager
    def _connection(self) -> Iterator[HTTPConnection]:
        """For one question, straight to the server: no proxy of the environment gets to see a token.

        It is cut when the time is over, for a server that sends a byte now and then never runs into a socket's timeout.
        What goes wrong becomes our answer here; what Rucio or the library says of it stays here.
        """
        connection = self._open()
        cut = threading.Event()
        watchdog = threading.Timer(self._timeout, _cut, (connection, cut))
        watchdog.daemon = True
        watchdog.start()
        try:
            yield connection
        except (OSError, HTTPException, Refused) as error:
            raise self._told(error, late=cut.is_set()) from None
        finally:
            watchdog.cancel()
            connection.close()

    def _told(self, error: Exception, *, late: bool) -> Refused:
        """A cut connection can also look like a short answer."""
        if late or isinstance(error, (TimeoutError, socket.timeout)):
            text = f"Rucio {self._host} did not answer within {self._timeout:g} s; try again"
            return Refused("rucio_unavailable", text, silence=True)
        if isinstance(error, Refused):
            return error
        return self._unusable(next(why for kind, why in FAILURES if isinstance(error, kind)))

    def _open(self) -> HTTPConnection:
        host = self._url.hostname or ""
        if self._tls:
            return HTTPSConnection(host, self._url.port, timeout=self._timeout, context=self._tls)
        return HTTPConnection(host, self._url.port, timeout=self._timeout)

    def _unusable(self, reason: str) -> Refused:
        return Refused("rucio_unavailable", f"Rucio {self._host} could not be asked, {reason}; try again later")


class Remembered:
    """Values for a limited time, and a limited number of them."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._found: OrderedDict[bytes, tuple[float, str]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: bytes) -> str | None:
        with self._lock:
            until, value = self._found.get(key, (0.0, ""))
            return value if until > time.monotonic() else None

    def put(self, key: bytes, value: str) -> None:
        now = time.monotonic()
        with self._lock:
            self._found.pop(key, None)
            self._found[key] = (now + self._seconds, value)
            while len(self._found) > self._most or next(iter(self._found.values()))[0] <= now:
                self._found.popitem(last=False)


def _key(token: str) -> bytes:
    """The token itself is not kept."""
    return hashlib.sha256(token.encode("latin-1")).digest()


def _check_form(token: str) -> None:
    """Raises Refused for what no Rucio could have given out, and what could not be sent as a header."""
    if not token:
        raise Refused("rucio_token_refused", f"there is no {HEADER}; {LOG_IN_AGAIN}")
    if len(token) > LARGEST_TOKEN:
        text = f"{HEADER} has more than {LARGEST_TOKEN} characters and is no token of Rucio; {LOG_IN_AGAIN}"
        raise Refused("rucio_token_refused", text)
    if any(ord(c) < ord(" ") or ord(c) == 0x7F for c in token):  # noqa: PLR2004 - DEL
        raise Refused("rucio_token_refused", f"{HEADER} has control characters in it; {LOG_IN_AGAIN}")


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _tls(rucio: Rucio) -> ssl.SSLContext:
    pem = tls.authorities(Config("rucio:443", ca=rucio.ca)).decode("utf-8", "replace")
    return ssl.create_default_context(cadata=pem)


def _cut(connection: HTTPConnection, cut: threading.Event) -> None:
    cut.set()
    if connection.sock:
        with contextlib.suppress(OSError):  # the plain socket's: TLS would take its time to say goodbye
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
