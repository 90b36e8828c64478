"""Whose Rucio token is it? Only the Rucio server knows."""

from __future__ import annotations

import ast
import hashlib
import json
import threading
import time
from collections import OrderedDict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from rucio_cs3.broker.accounts import ACCOUNT, BASE_VO, VO
from rucio_cs3.broker.server import Server
from rucio_cs3.service.refusals import Refused

if TYPE_CHECKING:
    from rucio_cs3.broker.config import Rucio
    from rucio_cs3.broker.server import Get

HEADER = "X-Rucio-Auth-Token"
REMEMBERED_SECONDS = 30.0
REMEMBERED = 10_000  # tokens
LARGEST_TOKEN = 100_000

# Rucio says 401. The others come from what stands before it, to headers that it finds too large or malformed.
REFUSALS = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
}
LOG_IN_AGAIN = "log in to Rucio again (rucio whoami) and use the token of this Rucio"


class RucioServer:
    """Asks whoami, and remembers a good answer for a while: a burst of requests with one token costs few questions."""

    def __init__(self, rucio: Rucio, timeout: float) -> None:
        self._timeout = timeout
        self._server = Server(rucio.host, rucio.ca, timeout)
        self._auth = Server(rucio.auth_host or rucio.host, rucio.ca, timeout)
        self._remembered = Remembered(REMEMBERED, REMEMBERED_SECONDS)

    def account_of(self, token: str) -> str:
        """`account`, or `account@vo` where it is of another VO than the one that every Rucio has. Raises Refused."""
        _check_form(token)
        account = self._ask(token, time.monotonic() + self._timeout)
        self._remembered.put(_key(token), account)
        return account

    def remembered(self, token: str) -> str | None:
        """The account, if Rucio has named it a moment ago."""
        return self._remembered.get(_key(token))

    def _ask(self, token: str, until: float) -> str:
        with self._server.questions(until) as get:
            account = self._account(get, token)
        with self._auth.questions(until) as get:
            vo = self._vo(get, token, account)
        return account if vo == BASE_VO else f"{account}@{vo}"

    def _account(self, get: Get, token: str) -> str:
        """Whoami redirects to the account itself; only the name is taken from there, the host stays ours."""
        headers = {HEADER: token, "Accept": "application/json"}
        status, location, body = get("/accounts/whoami", headers)
        if status != HTTPStatus.SEE_OTHER:
            return self._active(status, body, None)
        name = unquote(urlsplit(location).path.rpartition("/")[2])
        if not ACCOUNT.fullmatch(name):
            raise self._server.unusable("it names an account that cannot be one")
        status, _, body = get(f"/accounts/{name}", headers)
        return self._active(status, body, name)

    def _active(self, status: int, body: bytes, name: str | None) -> str:
        """The account, if it is one that may work."""
        if status in REFUSALS:
            text = f"Rucio {self._server.host} does not accept the token; {LOG_IN_AGAIN}"
            raise Refused("rucio_token_refused", text)
        if status != HTTPStatus.OK:
            raise self._server.unusable(f"it answers HTTP {status} to whoami")
        found = _json_object(body)
        account = found.get("account")
        if not isinstance(account, str) or not ACCOUNT.fullmatch(account) or account != (name or account):
            raise self._server.unusable("its answer to whoami names no account")
        if found.get("status") != "ACTIVE":
            raise Refused("account_not_mapped", f"Rucio account {account} is not active; ask the operators of Rucio")
        return account

    def _vo(self, get: Get, token: str, account: str) -> str:
        """In a Rucio with several VOs each has a root of its own; only this answer tells them apart.

        It comes second: to a token that Rucio does not know it answers 500.
        """
        status, _, body = get("/auth/validate", {HEADER: token, "Accept": "application/octet-stream"})
        said = _texts(body) if status == HTTPStatus.OK else {}
        if said.get("account") != account or not VO.fullmatch(said.get("vo", "")):
            text = f"Rucio {self._auth.host} does not say at /auth/validate of which VO account {account} is"
            raise Refused("rucio_unavailable", f"{text}; the broker's operator has to check auth_host")
        return said["vo"]


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


def _texts(body: bytes) -> dict[str, str]:
    """What is text in a dictionary as Python writes it: Rucio's has dates in it."""
    try:
        written = ast.parse(body.decode(), mode="eval").body
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return {}
    if not isinstance(written, ast.Dict):
        return {}
    pairs = zip(written.keys, written.values)
    constants = {k.value: v.value for k, v in pairs if isinstance(k, ast.Constant) and isinstance(v, ast.Constant)}
    return {name: value for name, value in constants.items() if isinstance(name, str) and isinstance(value, str)}
