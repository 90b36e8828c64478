"""Tokens from an OpenID Connect provider, by each of the grants that need no browser of ours."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from rucio_cs3 import deadline
from rucio_cs3.credentials import jwt
from rucio_cs3.errors import (
    ConfigError,
    DeadlineExceeded,
    Interrupted,
    LoginRefused,
    ServerError,
    Unavailable,
    Unsupported,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rucio_cs3.credentials.ask import Services

DISCOVERY = "/.well-known/openid-configuration"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
POLL, PATIENCE = 5.0, 600.0  # seconds, unless the provider says otherwise
SHORTEST_POLL = 1.0


class Clock(Protocol):
    """What of the time module is used to wait."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float, /) -> None: ...


class Provider:
    """One provider, as one client of it."""

    def __init__(
        self,
        services: Services,
        issuer: str,
        client_id: str,
        client_secret: Callable[[], str | None],
        wanted: Mapping[str, str | None],
    ) -> None:
        self.issuer = issuer.rstrip("/")
        self.client_id = client_id
        self._services = services
        self._secret = client_secret
        self._wanted = {name: value for name, value in wanted.items() if value}
        self._endpoints: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<Provider {self.issuer}>"

    @property
    def identity(self) -> str:
        """What tells the tokens got here from others."""
        return "\0".join([self.issuer, self.client_id, *(f"{name}={value}" for name, value in self._wanted.items())])

    def client_credentials(self) -> str:
        return self._access_token({"grant_type": "client_credentials"})

    def exchange(self, token: str) -> str:
        """RFC 8693: another token for the same user, for the audience and scope that the site wants."""
        subject = {"subject_token": token, "subject_token_type": ACCESS_TOKEN}
        return self._access_token({"grant_type": EXCHANGE, "requested_token_type": ACCESS_TOKEN, **subject})

    def refresh(self, token: str) -> tuple[str, str]:
        """An access token, and the refresh token to use next time."""
        found = self._token({"grant_type": "refresh_token", "refresh_token": token})
        return str(found["access_token"]), str(found.get("refresh_token") or token)

    def begin_device(self) -> dict[str, Any]:
        """RFC 8628: what to show to the person, and what to wait with."""
        begun = self._post("device_authorization_endpoint", self._wanted)
        if not all(isinstance(begun.get(name), str) for name in ("device_code", "user_code", "verification_uri")):
            raise ServerError(f"{self._name} does not say how to log in")
        return begun

    def await_device(self, begun: Mapping[str, Any], clock: Clock = time) -> dict[str, Any]:
        """The tokens, once the person has agreed. Raises LoginRefused if she has not, DeadlineExceeded if too late."""
        pause = max(jwt.number(begun, "interval") or POLL, SHORTEST_POLL)
        end = clock.monotonic() + (jwt.number(begun, "expires_in") or PATIENCE)
        while clock.monotonic() < end:
            clock.sleep(deadline.at_most(min(pause, max(end - clock.monotonic(), 0))))
            try:
                return self._token({"grant_type": DEVICE, "device_code": str(begun["device_code"])}, wanted={})
            except LoginRefused as refused:
                if refused.reason not in {"authorization_pending", "slow_down"}:
                    raise
                pause += POLL * (refused.reason == "slow_down")
            except (Unavailable, Interrupted, DeadlineExceeded):
                deadline.check()  # RFC 8628, 3.5: it may come back before the person has agreed
        raise DeadlineExceeded("nobody agreed in time", hint="log in again, and open the address that is shown")

    @property
    def _name(self) -> str:
        return f"OIDC provider {self.issuer}"

    def _access_token(self, form: Mapping[str, str]) -> str:
        return str(self._token(form)["access_token"])

    def _token(self, form: Mapping[str, str], wanted: Mapping[str, str] | None = None) -> dict[str, Any]:
        found = self._post("token_endpoint", {**form, **(self._wanted if wanted is None else wanted)})
        if not isinstance(found.get("access_token"), str):
            raise ServerError(f"{self._name} answers without an access token")
        return found

    def _post(self, endpoint: str, form: Mapping[str, str]) -> dict[str, Any]:
        """As this client, which shows its secret, or its name if it has none."""
        secret = self._secret()
        if not secret:
            return self._services.post_form(self._endpoint(endpoint), self._name, {**form, "client_id": self.client_id})
        pair = f"{quote(self.client_id, safe='')}:{quote(secret, safe='')}"  # RFC 6749, 2.3.1
        encoded = base64.b64encode(pair.encode()).decode()
        hidden = (secret, quote(secret, safe=""), encoded)
        basic = {"Authorization": f"Basic {encoded}"}
        return self._services.post_form(self._endpoint(endpoint), self._name, form, basic, hidden=hidden)

    def _endpoint(self, name: str) -> str:
        if self._endpoints is None:
            found = self._services.get(f"{self.issuer}{DISCOVERY}", self._name)
            if str(found.get("issuer", "")).rstrip("/") != self.issuer:
                raise ConfigError(f"{self._name} calls itself {found.get('issuer')!r}", hint="correct issuer")
            self._endpoints = found
        url = self._endpoints.get(name)
        if not isinstance(url, str):
            raise Unsupported(f"{self._name} has no {name}")
        return url
