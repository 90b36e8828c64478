"""A site that the mover copies from and to: which addresses are its own, and who we are there.

A table of mover.toml describes it:

    [sites.CERNBOX]
    gateway = "cs3.example.org:443"                          # and what else rucio_cs3.config knows
    doors = ["davs://cernbox.example.org/remote.php/webdav"]  # each opens on cs3_root, or on space
    cs3_root = "/eos/project/r"
    tpc = "auto"                                             # or "lend" or "off", see below

With `tpc = "off"` all bytes go through the mover. Else the site's door and another one are asked to copy between them,
where the job brought the token that the one shows to the other. "lend" shows it the mover's own token, too: then the
operators of all sites can do here what the mover can.

At its gateway the site is cs3s://cs3.example.org:443/eos/project/r/…, without TLS cs3://.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rucio_cs3.config import (
    CREDENTIALS,
    ENV_PREFIX,
    ENVIRONMENT,
    FIELDS,
    LOGINS,
    Config,
    Found,
    Layer,
    from_environment,
    has_login,
)
from rucio_cs3.errors import ConfigError, InvalidName, NoLogin, NotAuthenticated, Unavailable, Untrusted
from rucio_cs3.model import Ref, ResourceId, slashed
from rucio_cs3.mover.addresses import Address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rucio_cs3.errors import Cs3Error

TPC = ("auto", "lend", "off")
PERSONAL = ("rucio", "broker", "wlcg", "login")  # ways to log in as whoever started the mover
SUBJECTS = ("bearer_token", "bearer_token_file", "token_command")  # what an exchange may begin with
LOGIN = (
    "username with password_file, app_password_file or machine_secret_file, token_command,"
    " or issuer, client_id and client_secret_file"
)


@dataclass(frozen=True)
class Site:
    """One of the tables. All its addresses open on `root`."""

    name: str
    config: Config
    root: Ref
    addresses: tuple[Address, ...]
    tpc: bool = True
    lends: bool = False
    """its own token to other sites"""

    @classmethod
    def of(cls, name: str, table: Mapping[str, Any], where: str = "mover.toml") -> Site:
        """Raises ConfigError: names the site and the setting."""
        where = f"{where}: site {name}"
        if not isinstance(table, dict):
            raise ConfigError(f"{where}: a table of settings is wanted")
        place = _Place.of(where, {key: value for key, value in table.items() if key not in FIELDS})
        if "gateway" not in table:
            raise ConfigError(f"{where}: no gateway is given", hint="set gateway = host:port")
        found = Found(Layer(where, {key: value for key, value in table.items() if key in FIELDS}))
        around = from_environment(os.environ)  # of whoever starts the mover, who is nobody at its sites
        found.add(Layer(ENVIRONMENT, {key: around[key] for key in around.keys() - CREDENTIALS - {"gateway"}}))
        try:
            config = Config.of(found.settings)
            _refuse_personal(config)
            prefix = "/" if place.space else slashed(place.cs3_root)
            root = Ref("", ResourceId.parse(place.space)) if place.space else Ref(place.cs3_root)
            gateway = Address.of(f"{'cs3s' if config.tls else 'cs3'}://{config.gateway}{prefix}")
            doors = [Address.of_door(door, place.webdav_root) for door in place.doors]
        except (ConfigError, InvalidName) as error:
            raise ConfigError(f"{where}: {error}") from error
        return cls(name, config, root, (*doors, gateway), place.tpc != "off", place.tpc == "lend")

    @property
    def table(self) -> str:
        """What its operator looks for."""
        return f"[sites.{self.name}] of mover.toml"

    @property
    def doors(self) -> str:
        """As they are written there."""
        return ", ".join(address.written for address in self.addresses)

    def own(self) -> Config:
        """For logging in as ourselves. Raises NoLogin."""
        if not self.has_login:
            raise NoLogin("the job brought no token, and the mover has no login of its own there", hint=f"set {LOGIN}")
        return self.config

    @property
    def has_login(self) -> bool:
        """One of the mover's own."""
        return has_login(_given(self.config))

    def with_token(self, token: str) -> Config:
        """As the one whose token it is, and not as ourselves: of our own logins none is tried."""
        ours = CREDENTIALS - {"client_cert", "client_key"}
        kept = {name: value for name, value in vars(self.config).items() if name not in ours}
        return Config.of({**kept, "auth": "bearer", "bearer_token": token, "cache": "off"}, f"site {self.name}")

    def remedy(self, error: Cs3Error, *, of_job: bool = False) -> str:
        """What is to be done, by the names in mover.toml. `of_job` says that it was the job who said who we are."""
        if of_job and isinstance(error, NotAuthenticated):
            return error.hint
        if isinstance(error, NotAuthenticated):
            used = sorted(({"username", "client_id"} | LOGINS) & _given(self.config).keys())
            return f"check {', '.join(used)} in {self.table}"
        if isinstance(error, Untrusted):
            return f"check ca in {self.table}, and the site's certificate"
        if isinstance(error, Unavailable) and error.status == "NOT_FOUND":  # of the root
            return f"{error.hint}: check cs3_root or space in {self.table}"
        if isinstance(error, (Unavailable, ConfigError)):
            advice = error.hint.partition(f", {ENV_PREFIX}")[0]
            return f"{advice}; see {self.table}" if advice else f"see {self.table}"
        return error.hint


@dataclass(frozen=True)
class _Place:
    """What a table says besides the settings of its client."""

    doors: tuple[str, ...] = ()
    webdav_root: str = "/"
    cs3_root: str = "/"
    space: str = ""
    tpc: str = TPC[0]

    @classmethod
    def of(cls, where: str, table: Mapping[str, Any]) -> _Place:
        for name, value in table.items():
            if name not in cls.__dataclass_fields__:
                near = difflib.get_close_matches(name, [*cls.__dataclass_fields__, *FIELDS], n=1)
                hint = f"did you mean {near[0]!r}?" if near else None
                raise ConfigError(f"{where}: unknown setting {name!r}", hint=hint)
            texts = value if name == "doors" and isinstance(value, list) else [value]
            if not all(isinstance(text, str) for text in texts) or (name == "doors" and texts is not value):
                raise ConfigError(f"{where}: {name} is not {'a list of texts' if name == 'doors' else 'text'}")
        place = cls(**{**table, "doors": tuple(table.get("doors", ()))})
        if place.tpc not in TPC:
            raise ConfigError(f"{where}: tpc = {place.tpc!r} is not known", hint=f"use one of: {', '.join(TPC)}")
        if place.space and "cs3_root" in table:
            raise ConfigError(f"{where}: space and cs3_root are both set", hint="keep one of them")
        if place.doors and not place.space and "cs3_root" not in table:
            raise ConfigError(
                f"{where}: doors are given, and neither cs3_root nor space",
                hint="set cs3_root to the folder that they open on, such as /eos/project/r/rucio",
            )
        return place


def _given(config: Config) -> dict[str, Any]:
    """The settings that have a value."""
    return {name: value for name, value in vars(config).items() if value is not None}


def _refuse_personal(config: Config) -> None:
    """Whoever starts the mover is not thereby the one who copies."""
    for method, _ in config.order:
        if method in PERSONAL or (method == "exchange" and not any(getattr(config, name) for name in SUBJECTS)):
            raise ConfigError(
                f"auth = {method} is the login of whoever starts the mover, and it needs one of its own",
                hint=f"set {LOGIN}",
            )
