"""The broker's one TOML file: which Rucio, which sites, and who is whom there.

[rucio]
host = "https://rucio.example.org"

[sites."cs3.example.org:443"]
machine_secret_file = "/run/secrets/machine"
accounts = { root = "rucio-svc", jdoe = "einstein" }
template = "{account}"
only = "[a-z]+"
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rucio_cs3 import tls
from rucio_cs3.broker.accounts import ACCOUNT, BASE_VO, PLACEHOLDER, USER, VO, Mapping
from rucio_cs3.config import Config
from rucio_cs3.errors import ConfigError
from rucio_cs3.loopback import is_loopback
from rucio_cs3.observe.logs import known
from rucio_cs3.private import read_secret, refuse_public
from rucio_cs3.service.settings import fill, read_toml

if TYPE_CHECKING:
    from rucio_cs3.service.peer import Network

ENV_FILE = "RUCIO_CS3_BROKER_CONFIG"  # one of config.ENV_OTHERS


@dataclass(frozen=True)
class Rucio:
    """The server that says whose token it is."""

    host: str
    """https://host[:port][/path]"""
    auth_host: str | None = None
    """where /auth is, if not there as well"""
    ca: str | None = None
    """PEM file or folder of certificate authorities, instead of the system's"""


@dataclass(frozen=True)
class Limits:
    requests_per_minute: int = 60
    """of one account, at each worker process"""
    refusals_per_minute: int = 30
    """tokens from one address that Rucio does not accept, at each worker process"""
    timeout: float = 10.0
    """seconds that Rucio may take, and then the site"""


@dataclass(frozen=True)
class Metrics:
    """Who may read /metrics: some addresses, and who shows the token."""

    allow: list[str] = field(default_factory=lambda: ["127.0.0.0/8", "::1"])
    """addresses and networks"""
    token: str | None = field(default=None, repr=False)
    token_file: str | None = None
    """read afresh each time"""

    @property
    def networks(self) -> list[Network]:
        return [ipaddress.ip_network(text) for text in self.allow]

    def secret(self) -> str | None:
        """Raises ConfigError when the file has gone, is empty, or others can read it."""
        return read_secret(self.token_file, "token_file") if self.token_file else self.token


@dataclass(frozen=True)
class Site:
    """A gateway, and who is whom there."""

    machine_secret: str | None = field(default=None, repr=False)
    machine_secret_file: str | None = None
    """read afresh for each token, so a new secret counts at once"""
    tls: bool = True
    ca: str | None = None
    accounts: dict[str, str] = field(default_factory=dict)
    template: str | None = None
    only: str | None = None
    vo: str = BASE_VO
    """whose accounts the template is for; in `accounts` those of other VOs are written account@vo"""

    @property
    def mapping(self) -> Mapping:
        return Mapping(self.accounts, self.template or "", re.compile(self.only or "(?!)"), self.vo)

    def secret(self) -> str:
        """Raises ConfigError when the file has gone, is empty, or others can read it."""
        return self.machine_secret or read_secret(self.machine_secret_file or "", "machine_secret_file")


@dataclass(frozen=True)
class BrokerConfig:
    rucio: Rucio
    sites: dict[str, Site]
    """by host:port in lower case"""
    limits: Limits = Limits()
    metrics: Metrics = Metrics()
    behind_proxy: bool = False
    """believe X-Forwarded-Proto and X-Forwarded-For: only when nobody but the proxy can connect"""
    log: str | None = None
    """json, text or off; RUCIO_CS3_LOG and --log-json win"""


def load(file: str | os.PathLike[str] | None = None) -> BrokerConfig:
    """Read the file, or the one that RUCIO_CS3_BROKER_CONFIG names. Raises ConfigError."""
    place = os.fspath(file) if file else os.environ.get(ENV_FILE)
    if not place:
        raise ConfigError("the broker has no configuration", hint=f"set {ENV_FILE} to its TOML file")
    config = _broker(read_toml(place, hint=f"check --config or {ENV_FILE}"), place)
    if any(site.machine_secret for site in config.sites.values()):
        refuse_public(place, "machine_secret stands in it, so configuration")
    if config.log:
        known(config.log, place)
    if config.metrics.token:
        refuse_public(place, "the token for metrics stands in it, so configuration")
    return config


def _broker(document: dict[str, Any], place: str) -> BrokerConfig:
    for name in ("rucio", "sites"):
        if not isinstance(document.get(name), dict) or not document[name]:
            example = 'host = "https://rucio.example.org"' if name == "rucio" else "machine_secret_file = FILE"
            header = "[rucio]" if name == "rucio" else '[sites."cs3.example.org:443"]'
            raise ConfigError(f"{place}: there is no {header}", hint=f"add it, with {example}")
    sites = {name.lower(): _site(name, table, f"{place}: site {name}") for name, table in document["sites"].items()}
    if len(sites) < len(document["sites"]):
        raise ConfigError(f"{place}: a site is there twice", hint="upper and lower case are the same in host names")
    parts: dict[str, Any] = {"rucio": _rucio(document["rucio"], f"{place}: rucio"), "sites": sites}
    if "limits" in document:
        parts["limits"] = _limits(document["limits"], f"{place}: limits")
    if "metrics" in document:
        parts["metrics"] = _metrics(document["metrics"], f"{place}: metrics")
    return fill(BrokerConfig, {**document, **parts}, place)


def _rucio(table: Any, where: str) -> Rucio:
    rucio = fill(Rucio, table, where)
    schemes = {_check_host(name, host, where) for name in ("host", "auth_host") if (host := getattr(rucio, name))}
    if rucio.ca and schemes == {"http"}:
        raise ConfigError(f"{where}: ca means nothing without https", hint="remove it, or use https")
    if "https" in schemes:
        _check_authorities(Config("rucio:443", ca=rucio.ca), where)
    return rucio


def _check_host(name: str, host: str, where: str) -> str:
    url = urlsplit(host)
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment or url.username:
        raise ConfigError(f"{where}: {name} = {host!r} is no address", hint="for example https://rucio.example.org")
    if url.scheme == "http" and not is_loopback(url.hostname):
        raise ConfigError(f"{where}: {name} = {host!r} would send tokens in the clear", hint="use https")
    return url.scheme


def _limits(table: Any, where: str) -> Limits:
    limits = fill(Limits, table, where)
    for name, value in dataclasses.asdict(limits).items():
        if not value > 0:
            raise ConfigError(f"{where}: {name} must be more than 0")
    return limits


def _metrics(table: Any, where: str) -> Metrics:
    metrics = fill(Metrics, table, where)
    if metrics.token and metrics.token_file:
        raise ConfigError(f"{where}: token and token_file are both set", hint="keep one of them")
    if metrics.token == "":
        raise ConfigError(f"{where}: token is empty", hint="remove it, or use token_file")
    metrics.secret()
    try:
        _ = metrics.networks
    except ValueError as error:
        raise ConfigError(f"{where}: allow: {error}", hint="for example 192.0.2.7 or 192.0.2.0/24") from error
    return metrics


def _site(gateway: str, table: Any, where: str) -> Site:
    site = fill(Site, table, where)
    if bool(site.machine_secret) == bool(site.machine_secret_file):
        raise ConfigError(f"{where}: one of machine_secret_file and machine_secret is wanted")
    site.secret()
    _check_mapping(site, where)
    try:
        config = Config(gateway, tls=site.tls, ca=site.ca)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from None
    if site.tls:
        _check_authorities(config, where)
    return site


def _check_authorities(config: Config, where: str) -> None:
    try:
        tls.authorities(config)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from None


def _check_mapping(site: Site, where: str) -> None:
    for account, user in site.accounts.items():
        name, at, vo = account.partition("@")
        if not ACCOUNT.fullmatch(name) or (at and not VO.fullmatch(vo)):
            raise ConfigError(f"{where}: accounts: {account!r} cannot be the name of a Rucio account")
        if vo == BASE_VO:
            raise ConfigError(f"{where}: accounts: {account!r} is of Rucio's own VO", hint=f"write {name!r}")
        if not user.isprintable() or not user.strip():
            raise ConfigError(f"{where}: accounts: {account} = {user!r} cannot be a user name")
    if not VO.fullmatch(site.vo):
        raise ConfigError(f"{where}: vo = {site.vo!r} cannot be a VO of Rucio's, which have three characters")
    if bool(site.template) != bool(site.only):
        raise ConfigError(
            f"{where}: template and only go together", hint='say which accounts it is for: only = "[a-z]+"'
        )
    if not site.accounts and not site.template:
        raise ConfigError(
            f"{where}: nobody is mapped, so nobody would get in", hint="give accounts, or template and only"
        )
    if site.template:
        _check_template(site.template, site.only or "", where)


def _check_template(template: str, only: str, where: str) -> None:
    if template.count(PLACEHOLDER) != 1:
        raise ConfigError(
            f"{where}: template = {template!r} must have {PLACEHOLDER} in it, once",
            hint="to make several accounts one user, list them in accounts",
        )
    if not USER.fullmatch(template.replace(PLACEHOLDER, "x")):
        raise ConfigError(
            f"{where}: template = {template!r} can only add letters, digits and . _ @ -",
            hint="other user names have to be listed in accounts",
        )
    try:
        re.compile(only)
    except re.error as error:
        raise ConfigError(f"{where}: only = {only!r} is no regular expression: {error}") from error
