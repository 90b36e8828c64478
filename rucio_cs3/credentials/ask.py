"""Questions to the services that give out tokens: JSON over HTTPS, in bounded time, and never to somebody else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import urllib3

from rucio_cs3 import deadline
from rucio_cs3.errors import ConfigError, Cs3Error, DeadlineExceeded, LoginRefused, ServerError, Unavailable
from rucio_cs3.loopback import is_loopback
from rucio_cs3.web import Pools, unheard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rucio_cs3.config import Config

LARGEST = 1 << 20  # bytes of an answer
CLIENT_ERROR, SERVER_ERROR = 400, 500


class Services:
    """Asks as one configuration says: which authorities to trust, and how long to wait."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._pools = Pools(config, config.call_timeout)

    def close(self) -> None:
        self._pools.close()

    def get(self, url: str, who: str) -> dict[str, Any]:
        return self._ask("GET", url, who, {}, None)

    def post_form(
        self, url: str, who: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", url, who, {**kind, **(headers or {})}, urlencode(form).encode())

    def post_json(
        self, url: str, who: str, value: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        kind = {"Content-Type": "application/json"}
        return self._ask("POST", url, who, {**kind, **(headers or {})}, json.dumps(value).encode())

    def _ask(self, method: str, url: str, who: str, headers: Mapping[str, str], body: bytes | None) -> dict[str, Any]:
        """`who` names the service in errors, of which there is one for each way in which it can fail."""
        _refuse_plaintext(url, who)
        timeout = urllib3.Timeout(
            connect=deadline.at_most(self._config.connect_timeout), read=deadline.at_most(self._config.call_timeout)
        )
        try:
            with deadline.within(self._config.connect_timeout + self._config.call_timeout), unheard():
                answer = self._pools.of(url).urlopen(
                    method,
                    url,
                    body=body,
                    headers={"Accept": "application/json", **headers},
                    timeout=timeout,
                    retries=False,
                    redirect=False,
                    preload_content=False,
                )
                content = answer.read(LARGEST + 1)
                answer.release_conn()
        except Cs3Error:
            raise
        except urllib3.exceptions.SSLError as error:
            raise Unavailable(f"TLS with {who} failed: {error}", hint="check ca, and its certificate") from error
        except (urllib3.exceptions.TimeoutError, TimeoutError) as error:
            raise DeadlineExceeded(f"{who} went silent") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"{who} cannot be reached", hint="check its address and whether it is up") from error
        return _understood(answer.status, content, who)


def _understood(status: int, content: bytes, who: str) -> dict[str, Any]:
    try:
        said = json.loads(content)
    except ValueError:
        said = None
    if status < CLIENT_ERROR and isinstance(said, dict):
        return said
    known = said if isinstance(said, dict) else {}
    reason = " ".join(str(known.get("error_description") or known.get("error") or "").split())[:200]
    if CLIENT_ERROR <= status < SERVER_ERROR:
        refused = LoginRefused(f"{who} refuses: {reason or 'it does not say why'}", status=f"HTTP {status}")
        refused.reason = str(known.get("code") or known.get("error") or "")
        raise refused
    raise ServerError(
        f"{who} does not answer in JSON" if said is None else f"{who} fails: {reason}", status=f"HTTP {status}"
    )


def _refuse_plaintext(url: str, who: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
        raise ConfigError(f"{who} is not at an https:// address: {parts.scheme}://{parts.hostname or ''}")
