"""Reva tokens, made at the site with its machine secret.

Each request gets a token of its own. Sharing one among the requests for a site's user would save a call of a
millisecond, but the broker would then hold live tokens in its memory, and one that leaks would be everybody's.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from rucio_cs3.config import Config
from rucio_cs3.credentials import jwt
from rucio_cs3.credentials.sources import Login, RevaToken
from rucio_cs3.cs3.auth import Auth
from rucio_cs3.cs3.channel import Channel
from rucio_cs3.errors import ConfigError, Cs3Error, DeadlineExceeded, NotAuthenticated
from rucio_cs3.service.certificates import Endpoint
from rucio_cs3.service.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.broker.config import Site

log = logging.getLogger("rucio_cs3.broker")

# CS3 status of a refused machine login -> why; what else the gateway says is not passed on.
REASONS = {
    "NOT_FOUND": "it does not know the user",
    "PERMISSION_DENIED": "it does not accept the broker's machine secret",
}


class Mint:
    """One site's. Connects at the first token, in the process that wants it: gRPC does not survive a fork."""

    def __init__(self, gateway: str, site: Site, timeout: float) -> None:
        self.gateway = gateway
        self._site = site
        self._config = Config(gateway, tls=site.tls, ca=site.ca, connect_timeout=timeout, call_timeout=timeout)
        self._lock = threading.Lock()
        self._auth: tuple[int, Auth] | None = None

    def certified(self) -> Iterator[Endpoint]:
        """Where it speaks TLS."""
        if self._config.tls:
            host, _, port = self.gateway.rpartition(":")
            yield Endpoint(self.gateway, host, int(port), self._config)

    def token(self, user: str) -> RevaToken:
        """Raises Refused."""
        try:
            value = self._login(user)
        except NotAuthenticated as refused:
            reason = REASONS.get(refused.status, "it gives no reason")
            text = f"gateway {self.gateway} refused the login as {user}, {reason}; ask the operator of the broker"
            raise Refused("site_refused", text) from None
        except DeadlineExceeded:
            raise self._unavailable("did not answer in time; try again", silence=True) from None
        except ConfigError as error:
            log.error("site %s: %s", self.gateway, error)  # noqa: TRY400 - one line that says it all
            raise self._unavailable("cannot be used with the broker's configuration; ask its operator") from None
        except Cs3Error as error:
            log.warning("site %s: %s [%s]", self.gateway, type(error).__name__, error.status)
            raise self._unavailable("is not there, or cannot log in anybody; try again later") from None
        return RevaToken(value, jwt.expiry(value))

    def _login(self, user: str) -> str:
        value = self._connected().authenticate(Login("machine", user, self._site.secret()))
        if not value:
            raise Cs3Error("the gateway gave no token")
        return value

    def _connected(self) -> Auth:
        with self._lock:
            if self._auth is None or self._auth[0] != os.getpid():
                self._auth = os.getpid(), Auth(Channel(self._config))
            return self._auth[1]

    def _unavailable(self, what: str, *, silence: bool = False) -> Refused:
        return Refused("site_unavailable", f"gateway {self.gateway} {what}", silence=silence)
