"""The WSGI application. Three addresses do not want a framework: a table of them, and the standard library."""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import re
import traceback
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from rucio_cs3 import observe
from rucio_cs3.broker.audit import Record
from rucio_cs3.broker.metrics import Metrics
from rucio_cs3.broker.mint import Mint
from rucio_cs3.broker.rucio import RucioServer
from rucio_cs3.observe.metrics import CONTENT_TYPE
from rucio_cs3.service.limits import RateLimit
from rucio_cs3.service.peer import Peer
from rucio_cs3.service.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rucio_cs3.broker.config import BrokerConfig

    Environ = dict[str, Any]

log = logging.getLogger("rucio_cs3.broker")

LARGEST_BODY = 4096
JSON = "application/json"
USE_HTTPS = "use https, or set behind_proxy = true if a proxy in front of the broker does"
WRONG = {"rucio_token_refused", "stranger"}  # a guess may have been behind these
ADDRESS = re.compile(r"[A-Za-z0-9.\-\[\]:]{1,255}:[0-9]{1,5}")


class Broker:
    """`Broker(config)` is a WSGI application, safe to call from many threads."""

    def __init__(self, config: BrokerConfig) -> None:
        timeout = config.limits.timeout
        self._config = config
        self._rucio = RucioServer(config.rucio, timeout)
        self._mappings = {gateway: site.mapping for gateway, site in config.sites.items()}
        self._mints = {gateway: Mint(gateway, site, timeout) for gateway, site in config.sites.items()}
        self._requests = RateLimit(config.limits.requests_per_minute)
        self._refusals = RateLimit(config.limits.refusals_per_minute)
        self._metrics = Metrics(place for mint in self._mints.values() for place in mint.certified())
        self._endpoints: dict[str, tuple[str, Callable[[Environ, Peer, Record], tuple[str, bytes]]]] = {
            "token": ("POST", self._token),
            "health": ("GET", self._health),
            "metrics": ("GET", self._say_metrics),
        }

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        peer = Peer(environ, behind_proxy=self._config.behind_proxy)
        record = Record(peer.address)
        headers: dict[str, str] = {}
        try:
            kind, body = self._answer(environ, peer, record)
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

    def _answer(self, environ: Environ, peer: Peer, record: Record) -> tuple[str, bytes]:
        path = environ.get("PATH_INFO", "").strip("/")
        if path not in self._endpoints:
            raise Refused("not_found", "there is nothing here; POST /token is what gives tokens")
        record.endpoint = path
        method, answer = self._endpoints[path]
        if path != "health":  # which takes and tells no secret, and is asked by probes that know no TLS
            peer.refuse_plaintext(USE_HTTPS)
        if environ["REQUEST_METHOD"] != method:
            raise Refused("method_not_allowed", f"/{path} takes {method} only", headers={"Allow": method})
        try:
            return answer(environ, peer, record)
        except Refused:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            # Without the error's text: nobody knows what stands in it.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("request %s: %s\n%s", record.request_id, type(error).__name__, where)  # noqa: TRY400
            text = f"the broker failed; show its operator the request id {record.request_id}"
            raise Refused("internal_error", text) from None

    def _token(self, environ: Environ, peer: Peer, record: Record) -> tuple[str, bytes]:
        with observe.serving("broker", "POST /token", environ.items):
            record.trace_id = observe.trace_id() or None
            return self._given(environ, peer, record)

    def _given(self, environ: Environ, peer: Peer, record: Record) -> tuple[str, bytes]:
        """Who it is comes first: strangers do not learn which sites there are."""
        gateway = _wanted_site(environ)
        record.account = account = self._account(environ.get("HTTP_X_RUCIO_AUTH_TOKEN", "").strip(), peer)
        _limit(self._requests, account, f"Rucio account {account} asks too often")
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

    def _account(self, token: str, peer: Peer) -> str:
        """Who has been known for a while is not stopped by somebody who guesses at the same address."""
        known = self._rucio.remembered(token)
        if known:
            return known
        with self._few_wrong_ones(peer):
            return self._rucio.account_of(token)

    @contextlib.contextmanager
    def _few_wrong_ones(self, peer: Peer) -> Iterator[None]:
        """Taken first and given back, so that guesses at the same time are not more."""
        place, wrong = peer.place, False
        _limit(self._refusals, place, f"too many tokens from {peer.address} were refused")
        try:
            yield
        except Refused as refused:
            wrong = refused.code in WRONG
            raise
        finally:
            if not wrong:
                self._refusals.give_back(place)

    def _health(self, *_: Any) -> tuple[str, bytes]:
        return JSON, _json({"status": "ok"})

    def _say_metrics(self, environ: Environ, peer: Peer, _: Record) -> tuple[str, bytes]:
        """How many use which site is nobody else's business."""
        allowed = self._config.metrics
        if not peer.is_in(allowed.networks):
            with self._few_wrong_ones(peer):
                _refuse_stranger(environ.get("HTTP_AUTHORIZATION", ""), allowed.secret(), peer)
        return CONTENT_TYPE, self._metrics.text()


def _limit(rate: RateLimit, key: str, what: str) -> None:
    wait = rate.wait(key)
    if wait:
        seconds = int(wait) + 1
        text = f"{what}; try again in {seconds} s"
        raise Refused("rate_limited", text, headers={"Retry-After": str(seconds)})


def _refuse_stranger(shown: str, secret: str | None, peer: Peer) -> None:
    if not secret or not hmac.compare_digest(shown.encode("latin-1"), f"Bearer {secret}".encode()):
        raise Refused("stranger", f"/metrics is not for {peer.address}; ask the broker's operator to allow it")


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


def _json(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer).encode()
