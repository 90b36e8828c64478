"""Where a Reva token comes from: one table of methods, of which each site tries some, in an order that it says.

`auth = rucio, broker?, basic` tries the next method when one has nothing to give, such as when there is no OIDC login.
One that has something, and fails with it, ends the search with its error, unless a question mark follows its name.
Without `auth` all methods are in the list for which something is set; if nothing is, those that find a login by
themselves.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rucio_cs3.credentials import command, jwt, wlcg
from rucio_cs3.credentials.ask import Services
from rucio_cs3.credentials.logins import Logins
from rucio_cs3.credentials.oidc import Provider
from rucio_cs3.errors import ConfigError, NoLogin, NotAuthenticated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rucio_cs3.config import Config
    from rucio_cs3.credentials.caller import Caller

LEEWAY = 60.0  # seconds by which clocks may differ
LARGEST = 65_536  # bytes; gateways and proxies take less
TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class Login:
    """What Authenticate wants to see."""

    type: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class RevaToken:
    """A token that needs no login."""

    value: str = field(repr=False)
    expires: float | None = None


@dataclass(frozen=True)
class Source:
    """One method, as one site uses it. Nothing is read before it is asked: a changed file counts from then on."""

    method: str
    description: str
    identity: Callable[[], str] = field(repr=False)
    """tells its logins from others, without asking anybody; may be secret. Raises NoLogin when it has none"""
    obtain: Callable[[], Login | RevaToken] = field(repr=False)
    kept: bool = True
    """whether what it gives is worth keeping between runs"""
    goes_on: bool = False
    """whether the next one is tried when it fails"""
    place: str = ""
    """what stays of its identity, for a login that changes when it is used"""


class Sources:
    """The methods of one site, in their order."""

    def __init__(self, config: Config, caller: Caller) -> None:
        self.config = config
        self.caller = caller
        self.services = Services(config)
        self.logins = Logins()

    def close(self) -> None:
        self.services.close()

    def in_order(self) -> Sequence[Source]:
        """Raises ConfigError when there is none."""
        order = self.config.order or tuple((method, False) for method in _implied(self.config))
        return [replace(_METHODS[method](self), goes_on=goes_on) for method, goes_on in order]

    # What the methods are made of

    def secret(self, name: str) -> str:
        value = self.config.secret_value(name)
        if not value:
            raise NoLogin(f"neither {name} nor {name}_file is set for {self.config.gateway}")
        return value

    def username(self) -> str:
        """Who we want to be there: as it is set, or as the Rucio account is called there."""
        if self.config.username:
            return self.config.username
        if not self.config.accounts:
            raise NoLogin(f"no username is set for {self.config.gateway}", hint="set username, or accounts")
        pairs = [pair.partition(":") for pair in self.config.accounts.split(",")]
        known = {account.strip(): user.strip() for account, _, user in pairs}
        account = self.caller.account
        if not known.get(account):
            raise NoLogin(f"accounts does not say who Rucio account {account} is at {self.config.gateway}")
        return known[account]

    def provider(self) -> Provider:
        config = self.config
        if not (config.issuer and config.client_id):
            raise NoLogin(f"issuer and client_id are not both set for {config.gateway}")
        wanted = {"scope": self._filled(config.scope), "audience": self._filled(config.audience)}
        return Provider(
            self.services, config.issuer, config.client_id, lambda: config.secret_value("client_secret"), wanted
        )

    def _filled(self, template: str | None) -> str | None:
        if template is None:
            return None
        known = {"{gateway}": self.config.gateway, "{host}": self.config.host}
        if "{account}" in template:
            known["{account}"] = self.caller.account
        filled = template
        for name, value in known.items():
            filled = filled.replace(name, value)
        if "{" in filled or "}" in filled:
            raise ConfigError(f"{template!r} cannot be filled in", hint="known are {gateway}, {host} and {account}")
        return filled

    def subject(self) -> Source:
        """Where the OIDC token of the user is, of all places."""
        reasons = []
        for make in (_bearer, _rucio, _command, _wlcg):
            source = make(self)
            try:
                source.identity()
            except NoLogin as nothing:
                reasons.append(nothing.message)
            else:
                return source
        raise NoLogin(f"there is no OIDC token to exchange: {'; '.join(reasons)}")

    def by_command(self) -> str:
        return command.run(self.given("token_command"), self.config.call_timeout)

    def given(self, name: str) -> str:
        value: str | None = getattr(self.config, name)
        if not value:
            raise NoLogin(f"{name} is not set for {self.config.gateway}")
        return value


def _implied(config: Config) -> list[str]:
    """The methods that something is set for, else those that find a login by themselves."""
    found = [method for method, names in _IMPLIED_BY if all(_is_set(config, name) for name in names)]
    return found or [method for method in _FOUND if method != "broker" or config.broker]


def _is_set(config: Config, name: str) -> bool:
    return bool(getattr(config, name) or getattr(config, f"{name}_file", None))


def why_no_token(text: str) -> str | None:
    """What keeps it from being sent as one, of whatever kind."""
    if not TOKEN.fullmatch(text):
        return "it is empty or not all printable ASCII"
    return f"it has {len(text)} bytes" if len(text) > LARGEST else None


def bearer(token: str, origin: str) -> Login:
    """Log in by an OIDC token, unless it is plain to see that nobody will take it."""
    wrong = why_no_token(token)
    if wrong:
        raise ConfigError(f"{origin} is no token: {wrong}")
    known = jwt.claims(token)
    ends, begins = jwt.number(known, "exp"), jwt.number(known, "nbf")
    if ends is not None and ends + LEEWAY < time.time():
        raise NotAuthenticated(f"{origin} expired at {_clock(ends)}", hint="get a new one")
    if begins is not None and begins - LEEWAY > time.time():
        raise NotAuthenticated(f"{origin} is not valid before {_clock(begins)}", hint="check the clock")
    return Login("bearer", "", token)


def _whole(*parts: str) -> str:
    """Parts that cannot be mistaken for others when they stand together."""
    return "\0".join(parts)


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _token(on: Sources) -> Source:
    def value() -> str:
        return on.secret("token")

    return Source("token", "a Reva token that is given", value, lambda: RevaToken(value()), kept=False)


def _bearer(on: Sources) -> Source:
    def value() -> str:
        return on.secret("bearer_token")

    return Source("bearer", "an OIDC token that is given", value, lambda: bearer(value(), "bearer_token"))


def _rucio(on: Sources) -> Source:
    find = on.caller.oidc_token
    return Source("rucio", "the OIDC login to Rucio", find, lambda: bearer(find(), "the token of the Rucio login"))


def _wlcg(_: Sources) -> Source:
    return Source(
        "wlcg",
        "the OIDC token of this user's session",
        wlcg.discover,
        lambda: bearer(wlcg.discover(), "the bearer token found"),
    )


def _command(on: Sources) -> Source:
    return Source(
        "command",
        "token_command",
        lambda: on.given("token_command"),
        lambda: bearer(on.by_command(), "what token_command prints"),
    )


def _client_credentials(on: Sources) -> Source:
    def obtain() -> Login:
        return bearer(on.provider().client_credentials(), "the token of the OIDC client")

    def identity() -> str:
        return _whole(on.provider().identity, on.secret("client_secret"))

    return Source("client_credentials", f"OIDC client {on.config.client_id}", identity, obtain)


def _refresh(on: Sources) -> Source:
    def obtain() -> Login:
        return bearer(on.logins.refresh(on.provider(), on.config), "the refreshed token")

    def identity() -> str:
        return _whole(on.provider().identity, on.secret("refresh_token"))

    who = f"a refresh token of OIDC client {on.config.client_id}"
    return Source("refresh", who, identity, obtain, place=on.config.refresh_token_file or "")


def _login(on: Sources) -> Source:
    def obtain() -> Login:
        return bearer(on.logins.access_token(on.provider()), "the token of your login")

    def identity() -> str:
        provider = on.provider()
        return _whole(provider.identity, on.logins.find(provider))

    return Source("login", "your login by rucio-cs3 token login", identity, obtain, place="login")


def _exchange(on: Sources) -> Source:
    def obtain() -> Login:
        subject = on.subject().obtain()
        assert isinstance(subject, Login)
        return bearer(on.provider().exchange(subject.client_secret), "the token got in exchange")

    def identity() -> str:
        provider, subject = on.provider(), on.subject()
        return _whole(provider.identity, subject.method, subject.identity())

    return Source("exchange", f"an OIDC token exchanged at {on.config.issuer}", identity, obtain)


def _broker(on: Sources) -> Source:
    def obtain() -> RevaToken:
        url = on.given("broker").rstrip("/")
        shown = on.caller.rucio_token()
        site, headers = {"site": on.config.gateway}, {"X-Rucio-Auth-Token": shown}
        found = on.services.post_json(f"{url}/token", f"broker {url}", site, headers, hidden=(shown,))
        token = found.get("token")
        return RevaToken(token if isinstance(token, str) else "", jwt.number(found, "expires"))

    who = f"broker {on.config.broker}"
    return Source("broker", who, lambda: _whole(on.given("broker"), on.caller.identity), obtain)


def _by_name(method: str, name: str, what: str) -> Callable[[Sources], Source]:
    """The three logins that are a user name and a secret."""

    def make(on: Sources) -> Source:
        def login() -> Login:
            secret = on.secret(name)
            return Login(method, on.username(), secret)

        def identity() -> str:
            known = login()
            return _whole(known.client_id, known.client_secret)

        return Source(method, f"{what} {on.config.username or 'the Rucio account'}", identity, login)

    return make


_METHODS: dict[str, Callable[[Sources], Source]] = {
    "token": _token,
    "bearer": _bearer,
    "rucio": _rucio,
    "exchange": _exchange,
    "wlcg": _wlcg,
    "command": _command,
    "client_credentials": _client_credentials,
    "refresh": _refresh,
    "login": _login,
    "appauth": _by_name("appauth", "app_password", "application password of"),
    "broker": _broker,
    "machine": _by_name("machine", "machine_secret", "machine secret as"),
    "basic": _by_name("basic", "password", "password of"),
}
# What has to be set, for a method to be in the list that nobody has written. In the order of that list.
_IMPLIED_BY = (
    ("token", ("token",)),
    ("bearer", ("bearer_token",)),
    ("command", ("token_command",)),
    ("refresh", ("issuer", "client_id", "refresh_token")),
    ("appauth", ("app_password",)),
    ("machine", ("machine_secret",)),
    ("basic", ("password",)),
    ("client_credentials", ("issuer", "client_id", "client_secret")),
)
_FOUND = ("rucio", "broker", "wlcg", "login")
