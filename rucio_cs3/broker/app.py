"""The WSGI application. Three addresses do not want a framework: a table of them, and the standard library."""

from __future__ import annotations

import json
import logging
import re
import traceback
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from rucio_cs3.broker.audit import Record
from rucio_cs3.broker.limits import RateLimit
from rucio_cs3.broker.metrics import CONTENT_TYPE, Metrics
from rucio_cs3.broker.mint import Mint
from rucio_cs3.broker.refusals import Refused
from rucio_cs3.broker.rucio import RucioServer
from rucio_cs3.loopback import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rucio_cs3.broker.config import BrokerConfig

    Environ = dict[str, Any]

log = logging.getLogger("rucio_cs3.broker")

LARGEST_BODY = 4096
JSON = "application/json"
FORWARDING = tuple(  # a proxy was here
    f"HTTP_{name}"
    for name in ("FORWARDED", "VIA", "X_REAL_IP", "X_FORWARDED_FOR", "X_FORWARDED_HOST", "X_FORWARDED_PROTO")
)
ADDRESS = re.compile(r"[A-Za-z0-9.\-\[\]:]{1,255}:[0-9]{1,5}")


class Broker:
    """`Broker(config)` is a WSGI application, safe to call from many threads."""

    def __init__(self, config: BrokerConfig) -> None:
        timeout = config.limits.timeout
        self._behind_proxy = config.behind_proxy
        self._rucio = RucioServer(config.rucio, timeout)
        self._mappings = {gateway: site.mapping for gateway, site in config.sites.items()}
        self._mints = {gateway: Mint(gateway, site, timeout) for gateway, site in config.sites.items()}
        self._rate = RateLimit(config.limits.requests_per_minute)
        self._metrics = Metrics()
        self._endpoints: dict[str, tuple[str, Callable[[Environ, Record], tuple[str, bytes]]]] = {
            "token": ("POST", self._token),
            "health": ("GET", self._health),
            "metrics": ("GET", self._say_metrics),
        }

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        record = Record(self._client(environ))
        headers: dict[str, str] = {}
        try:
            kind, body = self._answer(environ, record)
        except Refused as refused:
            record.code, record.status, headers = refused.code, refused.status, refused.headers
            kind, body = JSON, _json({"code": refused.code, "error": refused.text})
        self._metrics.count(record)
        if record.endpoint == "token" or record.code != "ok":  # probes would drown the rest
            record.write()
        fixed = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Request-Id": record.request_id,
        }
        start_response(f"{record.status} {HTTPStatus(record.status).phrase}", list({**fixed, **headers}.items()))
        return [body]

    def _answer(self, environ: Environ, record: Record) -> tuple[str, bytes]:
        path = environ.get("PATH_INFO", "").strip("/")
        if path not in self._endpoints:
            raise Refused("not_found", "there is nothing here; POST /token is what gives tokens")
        record.endpoint = path
        method, answer = self._endpoints[path]
        if path != "health":  # which takes and tells no secret, and is asked by probes that know no TLS
            self._refuse_plaintext(environ)
        if environ["REQUEST_METHOD"] != method:
            raise Refused("method_not_allowed", f"/{path} takes {method} only", headers={"Allow": method})
        try:
            return answer(environ, record)
        except Refused:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            # Without the error's text: nobody knows what stands in it.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("request %s: %s\n%s", record.request_id, type(error).__name__, where)  # noqa: TRY400
            text = f"the broker failed; show its operator the request id {record.request_id}"
            raise Refused("internal_error", text) from None

    def _token(self, environ: Environ, record: Record) -> tuple[str, bytes]:
        """Who it is comes first: strangers do not learn which sites there are."""
        gateway = _wanted_site(environ)
        record.account = account = self._rucio.account_of(environ.get("HTTP_X_RUCIO_AUTH_TOKEN", "").strip())
        self._limit(account)
        if gateway not in self._mints:
            raise Refused("unknown_site", f"this broker has no site {gateway}; ask its operator to add it")
        record.site = gateway
        user = self._mappings[gateway].user(account)
        if user is None:
            text = f"Rucio account {account} is nobody at site {gateway}; ask the broker's operator to map it"
            raise Refused("account_not_mapped", text)
        record.user = user
        token = self._mints[gateway].token(user)
        return JSON, _json({"token": token.value, "expires": token.expires})

    def _limit(self, account: str) -> None:
        wait = self._rate.wait(account)
        if wait:
            seconds = int(wait) + 1
            text = f"Rucio account {account} asks too often; try again in {seconds} s"
            raise Refused("rate_limited", text, headers={"Retry-After": str(seconds)})

    def _health(self, *_: Any) -> tuple[str, bytes]:
        return JSON, _json({"status": "ok"})

    def _say_metrics(self, *_: Any) -> tuple[str, bytes]:
        return CONTENT_TYPE, self._metrics.text()

    def _refuse_plaintext(self, environ: Environ) -> None:
        if self._behind_proxy:
            said = environ.get("HTTP_X_FORWARDED_PROTO", "")
            if said and {word.strip().lower() for word in said.split(",")} == {"https"}:
                return
            hint = "the proxy has to be asked by https, and to say so by X-Forwarded-Proto"
        else:
            forwarded = any(name in environ for name in FORWARDING)
            if environ["wsgi.url_scheme"] == "https" or (is_loopback(_peer(environ)) and not forwarded):
                return
            hint = "use https, or set behind_proxy = true if a proxy in front of the broker does"
        raise Refused("plaintext_refused", f"the request came in the clear; {hint}")

    def _client(self, environ: Environ) -> str:
        """The address that our peer has, or the one that our own proxy saw: those before it are anybody's word."""
        seen = environ.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip() if self._behind_proxy else ""
        return _as_address(seen) or _as_address(_peer(environ)) or "unknown"


def _wanted_site(environ: Environ) -> str:
    remedy = 'send {"site": "host:port"}'
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or not 0 < int(length) <= LARGEST_BODY:
        raise Refused("bad_request", f"a body of 1 to {LARGEST_BODY} bytes is wanted; {remedy}")
    try:
        wanted = json.loads(environ["wsgi.input"].read(int(length)))
    except (ValueError, RecursionError):
        raise Refused("bad_request", f"the body is not JSON; {remedy}") from None
    site = wanted.get("site") if isinstance(wanted, dict) else None
    if not isinstance(site, str) or not ADDRESS.fullmatch(site):
        raise Refused("bad_request", f"the body names no site; {remedy}")
    return site.lower()


def _peer(environ: Environ) -> str:
    return str(environ.get("REMOTE_ADDR") or "")


def _as_address(text: str) -> str | None:
    """Only what is an address gets into the log: a header can hold anything, a token too."""
    return text if re.fullmatch(r"[0-9a-fA-F.:]{2,45}", text) else None


def _json(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer).encode()
