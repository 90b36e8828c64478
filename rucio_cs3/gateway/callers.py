"""Who calls over HTTP, by any of the credentials that Reva takes there."""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from rucio_cs3.gateway.exchange import Answered
from rucio_cs3.gateway.scopes import may_enter
from rucio_cs3.gateway.status import Refused

if TYPE_CHECKING:
    from rucio_cs3.gateway.exchange import Exchange
    from rucio_cs3.gateway.login import Identity
    from rucio_cs3.gateway.site import Site


def identify(exchange: Exchange, site: Site) -> Identity:
    """A token of the site's own is looked for first; who brings something else is told a token with the answer.

    Raises:
        Answered: 401. What would help is said to those only who brought nothing.
    """
    bearer, path = _bearer(exchange), unquote(urlsplit(exchange.path).path)
    for token in (exchange.headers.get("X-Access-Token", ""), bearer):
        who = site.tokens.identity(token)
        if who and may_enter(who.scopes, path):
            return who
    kind, *login = _basic(exchange) or ("bearer", "", bearer)
    if not login[-1] and kind == "bearer":
        raise Answered(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": _challenge(exchange)})
    try:
        who = site.sign_in(kind, *login)
    except Refused as refused:
        raise Answered(HTTPStatus.UNAUTHORIZED) from refused
    if not may_enter(who.scopes, path):
        raise Answered(HTTPStatus.UNAUTHORIZED)
    exchange.always["X-Access-Token"] = site.tokens.mint(who)
    return who


def _bearer(exchange: Exchange) -> str:
    """Whatever stands in the header, with or without `Bearer `; else what the URL has."""
    told = exchange.headers.get("Authorization", "")
    if told:
        return str(told).removeprefix("Bearer ")
    return parse_qs(urlsplit(exchange.path).query).get("access_token", [""])[0]


def _basic(exchange: Exchange) -> tuple[str, str, str] | None:
    kind, _, value = exchange.headers.get("Authorization", "").partition(" ")
    try:
        username, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return ("basic", username, password) if kind.lower() == "basic" and colon else None


def _challenge(exchange: Exchange) -> str:
    realm = f'realm="{exchange.headers.get("Host", "")}"'
    return f"Basic {realm}, Bearer {realm}"
