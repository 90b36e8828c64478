"""Questions to the services that give out tokens: JSON over HTTPS, in bounded time, and never to somebody else."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import urllib3

from rucio_cs3 import deadline, observe
from rucio_cs3.errors import ConfigError, DeadlineExceeded, LoginRefused, ServerError, Unavailable
from rucio_cs3.loopback import keeps_secrets
from rucio_cs3.web import Pools, failures, unheard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rucio_cs3.config import Config

LARGEST = 1 << 20  # bytes of an answer
SHOWN = 200  # characters of a reason
SECRET_FIELDS = ("refresh_token", "subject_token", "device_code")
LONG = 8  # characters from which on a part of a secret is one too

# What a service says when it refuses -> what to do. The first are from RFC 6749, 8628 and 8693, the rest our broker's.
REMEDIES = {
    "invalid_client": "check client_id and client_secret",
    "unauthorized_client": "let the provider's operator allow this grant for client_id",
    "unsupported_grant_type": "the provider does not offer this way to get a token: use another method",
    "invalid_grant": "what was shown has expired or was used before: log in again, or replace refresh_token",
    "invalid_scope": "check scope",
    "invalid_target": "check audience",
    "rucio_token_refused": "log in to Rucio again, and check that the broker is for the same Rucio",
    "account_not_mapped": "ask the operator of the broker",
    "unknown_site": "check gateway, and broker",
    "not_found": "check the address of the broker",
    "plaintext_refused": "set broker to its https:// address",
    "rate_limited": "wait before you try again",
    "site_refused": "ask the operator of the broker",
}
PASSING = {429: Unavailable, 502: Unavailable, 503: Unavailable, 504: DeadlineExceeded}


class Services:
    """Asks as one configuration says: which authorities to trust, and how long to wait."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._pools = Pools(config, config.call_timeout)

    def close(self) -> None:
        self._pools.close()

    def get(self, url: str, who: str) -> dict[str, Any]:
        return self._ask("GET", url, who, {}, None, ())

    def post_form(
        self,
        url: str,
        who: str,
        form: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        hidden: Sequence[str] = (),
    ) -> dict[str, Any]:
        """`hidden` is what no error may show, beside the fields known to be secret."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        secret = [*hidden, *(form[name] for name in SECRET_FIELDS if name in form)]
        return self._ask("POST", url, who, {**kind, **(headers or {})}, urlencode(form).encode(), secret)

    def post_json(
        self,
        url: str,
        who: str,
        value: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        hidden: Sequence[str] = (),
    ) -> dict[str, Any]:
        kind = {"Content-Type": "application/json"}
        with observe.call("POST", url) as step:
            told = {**kind, **(headers or {}), **step.headers}
            return self._ask("POST", url, who, told, json.dumps(value).encode(), hidden)

    def _ask(
        self,
        method: str,
        url: str,
        who: str,
        headers: Mapping[str, str],
        body: bytes | None,
        hidden: Sequence[str],
    ) -> dict[str, Any]:
        """`who` names the service in errors, of which there is one for each way in which it can fail."""
        refuse_plaintext(url, who)
        seconds = self._config.connect_timeout + self._config.call_timeout
        with failures(who, patience="call_timeout"), deadline.within(seconds), unheard():
            answer = self._pools.of(url).urlopen(
                method,
                url,
                body=body,
                headers={"Accept": "application/json", **headers},
                timeout=self._timeout(),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            content = answer.read(LARGEST + 1)
            if len(content) > LARGEST:
                answer.close()  # what is left of it must not be taken for the next answer
        return _understood(answer.status, content, who, hidden)

    def _timeout(self) -> urllib3.Timeout:
        return urllib3.Timeout(
            connect=deadline.at_most(self._config.connect_timeout), read=deadline.at_most(self._config.call_timeout)
        )


def _understood(status: int, content: bytes, who: str, hidden: Sequence[str]) -> dict[str, Any]:
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise PASSING.get(status, ServerError)(
            f"{who} does not answer as one does: it is no JSON", status=f"HTTP {status}", hint="check its address"
        )
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return said
    code = str(said.get("code") or said.get("error") or "")
    reason = _without(hidden, str(said.get("error_description") or said.get("error") or "it does not say why"))
    if status in PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = PASSING.get(status, ServerError)
        raise kind(f"{who} fails: {reason}", status=f"HTTP {status}", hint=REMEDIES.get(code))
    if status < HTTPStatus.BAD_REQUEST:
        raise ConfigError(f"{who} redirects, and secrets go only where the settings say", status=f"HTTP {status}")
    refused = LoginRefused(f"{who} refuses: {reason}", status=f"HTTP {status}", hint=REMEDIES.get(code))
    refused.reason = code
    raise refused


def _without(hidden: Sequence[str], reason: str) -> str:
    """Some services repeat what they were shown, whole or in part."""

    def shown(word: re.Match[str]) -> str:
        return "…" if any(word[0] in secret or secret in word[0] for secret in hidden if secret) else word[0]

    return re.sub(rf"[^\s\"'<>(),;]{{{LONG},}}", shown, " ".join(reason.split()))[:SHOWN]


def refuse_plaintext(url: str, who: str) -> None:
    """Raises ConfigError for an address where others could listen, or that is none."""
    try:
        parts, kept = urlsplit(url), keeps_secrets(url)
    except ValueError:
        raise ConfigError(f"{who} is not at an address") from None
    if not kept:
        shown = f"{parts.scheme}://{parts.hostname or ''}"
        raise ConfigError(f"{who} is not at an https:// address: {shown}", hint="no secret is sent in the clear")
