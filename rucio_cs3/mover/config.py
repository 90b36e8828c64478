"""The mover's one TOML file: where it listens, who may ask, what it keeps the queue in, and the sites.

listen = "0.0.0.0:8446"
tls_cert = "cert.pem"
tls_key = "key.pem"
client_ca = "ca.pem"
database = "/var/lib/rucio-cs3/mover.db"

[callers.rucio]
bearer_file = "/run/secrets/rucio"
subjects = ["/DC=org/CN=rucio"]

[sites.CERNBOX]
gateway = "cs3.example.org:443"
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rucio_cs3.config import SECRETS
from rucio_cs3.errors import ConfigError
from rucio_cs3.loopback import is_loopback, keeps_secrets
from rucio_cs3.mover import claims, jobs, queue
from rucio_cs3.mover.database import ENCODE, SERVERS
from rucio_cs3.observe.logs import known
from rucio_cs3.private import read_secret, refuse_public
from rucio_cs3.service.listen import Names, address, tls_files
from rucio_cs3.service.settings import fill, read_toml

NAMES = Names("listen", "tls_cert", "tls_key", "listen on 127.0.0.1")
DAY = 86400.0


@dataclass(frozen=True)
class Limits:
    """Copies at the same time, and what else has an end."""

    copies: int = 16
    """of this mover"""
    site: int = claims.Places.site
    """of all movers, to and from one site"""
    link: int = claims.Places.link
    """of all movers, from one site to another"""
    retries: int = queue.USUAL_RETRIES
    """of a file, where its job does not say"""
    files: int = jobs.MOST_FILES
    """of a job"""
    lease: float = claims.LEASE
    """seconds after which the copies of a mover that is silent are begun anew"""
    days: float = 7.0
    """that jobs are remembered after their end"""


@dataclass(frozen=True)
class Caller:
    """Somebody who may ask: a Rucio."""

    bearer: str | None = field(default=None, repr=False)
    bearer_file: str | None = None
    """read afresh each time"""
    subjects: list[str] = field(default_factory=list)
    """of client certificates, as /DC=org/CN=rucio; proxies made from them count too"""
    issuer: str | None = None
    """an OpenID Connect provider, whose tokens for `audience`, with `scope`, it shows"""
    audience: str | None = None
    """Rucio asks for tokens for the host that is named in the RSE attribute fts"""
    scope: str = "fts"
    client_id: str | None = None
    """to whom the provider gave the token; without it, to whomever it gives such tokens"""
    vo: str = "rucio"
    """callers of one VO see each other's jobs"""
    watch: bool = False
    """may look, and submit nothing"""

    def secret(self) -> str | None:
        """Raises ConfigError when the file has gone, is empty, or others can read it."""
        return read_secret(self.bearer_file, "bearer_file") if self.bearer_file else self.bearer


@dataclass(frozen=True)
class MoverConfig:
    database: str = "rucio-cs3-mover.db"
    """a file for SQLite, beside this one if the path is relative; or postgresql://…"""
    listen: str = "127.0.0.1:8446"
    tls_cert: str | None = None
    tls_key: str | None = None
    client_ca: str | None = None
    """PEM file of the authorities whose client certificates are believed"""
    threads: int = 16
    """that answer requests"""
    log: str | None = None
    """json, text or off; RUCIO_CS3_LOG and --log-json win"""
    limits: Limits = Limits()
    callers: dict[str, Caller] = field(default_factory=dict)
    sites: dict[str, dict[str, Any]] = field(default_factory=dict)
    """as rucio_cs3.mover.sites describes them"""
    site_limits: dict[str, int] = field(default_factory=dict)
    """copies to and from single sites, by host:port as in their URLs"""

    @property
    def is_open(self) -> bool:
        """Nobody has to say who he is: allowed only where nobody else is."""
        return not self.callers

    def gunicorn(self) -> dict[str, Any]:
        """Its settings. Raises ConfigError."""
        host, _ = address(self.listen, NAMES)
        cert, key = (Path(name).expanduser() if name else None for name in (self.tls_cert, self.tls_key))
        settings = tls_files(cert, key, host, NAMES)
        if self.client_ca:
            settings["ca_certs"] = str(Path(self.client_ca).expanduser())
        return {**settings, "threads": self.threads, "workers": 1}


def load(file: str | os.PathLike[str]) -> MoverConfig:
    """Raises ConfigError."""
    place = os.fspath(file)
    document = read_toml(place, hint="check --config")
    callers = {
        name: _caller(table, f"{place}: caller {name}") for name, table in _tables(document, "callers", place).items()
    }
    limits = _limits(document.get("limits", {}), f"{place}: limits")
    config: MoverConfig = fill(MoverConfig, {**document, "limits": limits, "callers": callers}, place)
    if any(caller.bearer for caller in callers.values()):
        refuse_public(place, "a caller's bearer stands in it, so configuration")
    if not config.database.startswith(SERVERS):
        beside = Path(place).expanduser().parent / Path(config.database).expanduser()
        config = dataclasses.replace(config, database=str(beside))
    elif _has_password(config.database, place):
        refuse_public(place, "the password of database stands in it, so configuration")
    if any(not SECRETS.isdisjoint(table) for table in config.sites.values()):
        refuse_public(place, "a site's login stands in it, so configuration")
    _check(config, place)
    return config


def _has_password(url: str, place: str) -> bool:
    try:
        return bool(urlsplit(url).password)
    except ValueError:
        raise ConfigError(f"{place}: database is no address of PostgreSQL", hint=ENCODE) from None


def _check(config: MoverConfig, place: str) -> None:
    if config.log:
        known(config.log, place)
    try:
        host, _ = address(config.listen, NAMES)
        config.gunicorn()
    except ConfigError as error:
        raise ConfigError(f"{place}: {error.message}", hint=error.hint) from error
    if config.is_open and not is_loopback(host):
        raise ConfigError(
            f"{place}: {host} would take jobs from anybody",
            hint="add [callers.rucio] with bearer_file, subjects or issuer, or listen on 127.0.0.1",
        )
    if config.client_ca and not Path(config.client_ca).expanduser().is_file():
        raise ConfigError(f"{place}: client_ca {config.client_ca} is no file", hint="it is a PEM file of authorities")
    if bool(config.client_ca) != any(caller.subjects for caller in config.callers.values()):
        raise ConfigError(
            f"{place}: client_ca and the subjects of a caller go together",
            hint="client_ca says whose certificates are believed, subjects which of them may ask",
        )
    if config.client_ca and not config.tls_cert:
        raise ConfigError(f"{place}: client certificates need TLS", hint="set tls_cert and tls_key")


def _caller(table: Any, where: str) -> Caller:
    caller: Caller = fill(Caller, table, where)
    if caller.bearer is not None and caller.bearer_file:
        raise ConfigError(f"{where}: bearer and bearer_file are both set", hint="keep one of them")
    if not (caller.bearer or caller.bearer_file or caller.subjects or caller.issuer):
        raise ConfigError(f"{where}: nothing says who it is", hint="set bearer_file, subjects or issuer")
    if bool(caller.issuer) != bool(caller.audience):
        raise ConfigError(f"{where}: issuer and audience go together", hint="audience is the mover's host name")
    if caller.issuer and not keeps_secrets(caller.issuer):
        raise ConfigError(f"{where}: issuer {caller.issuer} could be anybody", hint="give an https:// address")
    caller.secret()
    return caller


def _limits(table: Any, where: str) -> Limits:
    limits: Limits = fill(Limits, table, where)
    for name, value in dataclasses.asdict(limits).items():
        if value < 0 or (value == 0 and name != "retries"):
            raise ConfigError(f"{where}: {name} must be more than 0")
    return limits


def _tables(document: dict[str, Any], name: str, place: str) -> dict[str, Any]:
    tables = document.get(name, {})
    if not isinstance(tables, dict):
        raise ConfigError(f"{place}: {name} is not a table of tables", hint=f"write [{name}.NAME]")
    return tables
