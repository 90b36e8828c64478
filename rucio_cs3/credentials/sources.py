"""Where a Reva token comes from: given outright, or by one of the logins a gateway's Authenticate takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rucio_cs3.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rucio_cs3.config import Config


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


@dataclass(frozen=True)
class Source:
    """`obtain` is called anew for each token, so a changed secret file counts from the next login on."""

    description: str
    obtain: Callable[[], Login | RevaToken]


def source_of(config: Config) -> Source:
    """The one source that `auth` names, or that the secrets given imply."""
    method = config.auth or _implied(config)
    return _METHODS[method](config)


def _implied(config: Config) -> str:
    for method, secret in _SECRET_OF.items():
        if getattr(config, secret) or getattr(config, f"{secret}_file"):
            return method
    wanted = ", ".join(f"{secret} or {secret}_file" for secret in _SECRET_OF.values())
    raise ConfigError(f"no credentials are configured for {config.gateway}", hint=f"give one of {wanted}")


def _secret(config: Config, name: str, method: str) -> str:
    value = config.secret_value(name)
    if not value:
        raise ConfigError(f"auth = {method} needs {name} or {name}_file, and neither is set for {config.gateway}")
    return value


def _username(config: Config, method: str) -> str:
    if not config.username:
        raise ConfigError(f"auth = {method} needs username, and none is set for {config.gateway}")
    return config.username


def _token(config: Config) -> Source:
    return Source("Reva token", lambda: RevaToken(_secret(config, "token", "token")))


def _bearer(config: Config) -> Source:
    return Source("OIDC token", lambda: Login("bearer", "", _secret(config, "bearer_token", "bearer")))


def _appauth(config: Config) -> Source:
    user = _username(config, "appauth")
    return Source(
        f"application password of {user}", lambda: Login("appauth", user, _secret(config, "app_password", "appauth"))
    )


def _basic(config: Config) -> Source:
    user = _username(config, "basic")
    return Source(f"password of {user}", lambda: Login("basic", user, _secret(config, "password", "basic")))


def _machine(config: Config) -> Source:
    user = _username(config, "machine")
    return Source(
        f"machine secret as {user}", lambda: Login("machine", user, _secret(config, "machine_secret", "machine"))
    )


_METHODS: dict[str, Callable[[Config], Source]] = {
    "token": _token,
    "bearer": _bearer,
    "appauth": _appauth,
    "basic": _basic,
    "machine": _machine,
}
# In the order in which they are believed when `auth` does not choose.
_SECRET_OF = {
    "token": "token",
    "bearer": "bearer_token",
    "appauth": "app_password",
    "basic": "password",
    "machine": "machine_secret",
}
