"""Which site a command is about: an RSE of Rucio's, a gateway, or what the environment names."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Callable, TypeVar

import click

from rucio_cs3.cli.rses import rse_names
from rucio_cs3.client import Cs3Client
from rucio_cs3.config import (
    CREDENTIALS,
    FIELDS,
    LOGINS,
    Config,
    Found,
    Layer,
    has_login,
    login_elsewhere,
    surroundings,
)
from rucio_cs3.credentials.caller import caller
from rucio_cs3.credentials.sources import Sources
from rucio_cs3.credentials.store import kept_in
from rucio_cs3.errors import ConfigError, Cs3Error, NoLogin
from rucio_cs3.operate.catalogue import INSTALL, NOT_INSTALLED
from rucio_cs3.root import Root
from rucio_cs3.rse import door_of, our_entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rucio_cs3.credentials.caller import Caller, RucioLogin
    from rucio_cs3.model import Ref

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Site:
    """A site, and whom we come from. `root` and `door`, its address for WebDAV, are what an RSE tells."""

    name: str
    config: Config
    caller: Caller
    origins: Mapping[str, str]
    """where each setting stands"""
    root: Ref | None = None
    door: str | None = None
    prefix: str = ""
    """of the PFNs that Rucio's daemons take for the RSE's first: those to read from afar"""

    def client(self, **settings: Any) -> Cs3Client:
        client = Cs3Client(self.config, caller=self.caller, **settings)
        client.tokens.remedy = self.missing
        return client

    def missing(self) -> str:
        """What is to be done where no login is found."""
        elsewhere = self.remedy()
        if elsewhere:
            return elsewhere
        if self.root:
            return f"set username and password_file in section [cs3:{self.name}] of rucio.cfg, or another login"
        return "set RUCIO_CS3_USERNAME and RUCIO_CS3_PASSWORD, or another login"

    def remedy(self) -> str:
        """What is to be done where no login is found, if one is set that is not for this site."""
        return login_elsewhere([*surroundings(), *_rucio_layers()], self.config.gateway)

    def in_force(self) -> list[dict[str, Any]]:
        """Each setting that has a value, without that of a secret, and where it stands."""
        return [
            {"name": name, "value": value if known.repr else None, "secret": not known.repr, "origin": origin}
            for name, known in FIELDS.items()
            for value, origin in [(getattr(self.config, name), self.origins.get(name, "default"))]
            if value is not None
        ]

    def root_at(self, client: Cs3Client) -> Root:
        """Of an RSE, which has one."""
        assert self.root, "a gateway has none"
        return Root(client, self.root)

    @contextlib.contextmanager
    def sources(self) -> Iterator[Sources]:
        sources = Sources(self.config, self.caller)
        try:
            yield sources
        finally:
            sources.close()


def takes_gateway(command: Command) -> Command:
    option = click.option("--gateway", metavar="HOST:PORT", help="A CS3 gateway, instead of an RSE.")
    decorated: Command = option(command)
    return decorated


def takes_site(command: Command) -> Command:
    """The arguments that `of` wants."""
    decorated: Command = click.argument("rse", required=False, metavar="[RSE]", shell_complete=rse_names)(
        takes_gateway(command)
    )
    return decorated


def in_one_line(command: Command) -> Command:
    """Let errors that have a cause out there end the command with a line that says so, and exit code 1.

    With `--json` that is an object on stdout, as file commands have it.
    """

    @functools.wraps(command)
    def wrapper(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except Cs3Error as error:
            if not options.get("as_json"):
                raise click.ClickException(str(error)) from error
            click.echo(json.dumps({"outcome": "failed", "error": error.code, "message": str(error)}))
            sys.exit(1)

    return wrapper  # type: ignore[return-value]


def of(rse: str | None, gateway: str | None, **settings: Any) -> Site:
    """Raises ConfigError when neither these nor the environment name one. `settings` are a gateway's."""
    if rse and gateway:
        raise click.UsageError("give an RSE or --gateway, not both")
    for given in (rse, gateway):
        if given and "://" in given:
            raise click.UsageError(f"{given} is an address: give {_as_gateway(given)}")
    if rse and ":" in rse:
        raise click.UsageError(f"{rse} is no RSE: if it is a gateway, give --gateway {rse}")
    if rse:
        return _of_rse(rse)
    found = Found(Layer("--gateway", {"gateway": gateway, **settings} if gateway else settings))
    found.add(*surroundings())
    if not found.settings.get("gateway"):
        raise ConfigError("no site is named", hint="name an RSE, give --gateway host:port, or set RUCIO_CS3_GATEWAY")
    if not has_login(found.settings):
        found.add(*(each for each in _rucio_layers() if each.settings.get("gateway") == found.settings["gateway"]))
    config = Config.of(found.settings, "configuration")
    return Site(config.gateway, config, caller(None, _rucio_login), found.origins)


def _as_gateway(url: str) -> str:
    """How a site is named that has this address."""
    scheme, _, rest = url.partition("://")
    tls = ", and set RUCIO_CS3_TLS=false" if scheme == "cs3" else ""
    return (
        f"--gateway {rest.partition('/')[0]}{tls}" if scheme in {"cs3", "cs3s"} else "the RSE, or --gateway host:port"
    )


def _rucio_layers() -> list[Layer]:
    """Of rucio.cfg, what is for all sites."""
    try:
        from rucio_cs3.protocol import general_layer  # noqa: PLC0415 - Rucio may be missing
    except ImportError:
        return []
    return [general_layer()]


def login_for(gateway: str) -> dict[str, Any]:
    """The login that stands in the environment, or in rucio.cfg for all sites, and names this very gateway."""
    for layer in [*surroundings(), *_rucio_layers()]:
        theirs = layer.settings
        if theirs.get("gateway") == gateway and (has_login(theirs) or "auth" in theirs):
            return {name: value for name, value in theirs.items() if name in CREDENTIALS}
    return {}


def is_plaintext(gateway: str) -> bool:
    """Whether the configuration says so of this very gateway."""
    given = Found(*surroundings()).settings
    return given.get("gateway") == gateway and given.get("tls") is False


def login_for_any() -> str | None:
    """Where a login stands that would go to each gateway that is named, if there is one."""
    found = Found(*surroundings())
    if "gateway" in found.settings or not has_login(found.settings):
        return None
    return next(found.origins[name] for name in found.settings if name in LOGINS)


def caches() -> set[Path]:
    """All folders where tokens may be kept, as far as it can be told without naming a site."""
    named = {layer.settings.get("cache") for layer in surroundings()}
    with contextlib.suppress(ImportError):
        from rucio_cs3.protocol import sections  # noqa: PLC0415 - Rucio may be missing

        named |= {section.get("cache") for section in sections()}
    return {path for path in map(kept_in, named) if path}


def _of_rse(name: str) -> Site:
    try:
        from rucio.common.exception import RucioException  # noqa: PLC0415 - Rucio may be missing
        from rucio.rse import rsemanager  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(f"{NOT_INSTALLED}, and only Rucio knows RSE {name}", hint=INSTALL) from error
    try:
        settings = rsemanager.get_rse_info(rse=name)
    except RucioException as error:
        raise ConfigError(f"Rucio does not tell about RSE {name}: {' '.join(str(error).split())}") from error
    site = of_entry(name, settings["id"], our_entry(name, settings["protocols"]))
    return replace(site, prefix=_prefix(settings))


def of_entry(name: str, rse_id: str, entry: Mapping[str, Any], **settings: Any) -> Site:
    """Of an RSE with this protocol entry, as the plugin has it here. `settings` are stronger than all others."""
    from rucio_cs3.protocol import logged_in, rse_of  # noqa: PLC0415 - Rucio may be missing

    rse = rse_of({"rse": name, "id": rse_id}, entry)
    given = {key: value for key, value in settings.items() if value is not None}
    config = rse.config.but(**given)
    door = door_of(entry, tls=config.tls)
    origins = {**rse.origins, **dict.fromkeys(given, "the command line")}
    return Site(name, config, logged_in(), origins, rse.root, door, str(entry["prefix"]))


def _prefix(settings: dict[str, Any]) -> str:
    """As rucio.common.dumper finds it."""
    firsts = (entry for entry in settings["protocols"] if entry["domains"]["wan"]["read"] == 1)
    return str(next(firsts, settings["protocols"][0])["prefix"])


def _rucio_login() -> RucioLogin:
    try:
        from rucio_cs3.protocol import rucio_login  # noqa: PLC0415 - Rucio may be missing
    except ImportError as error:
        raise NoLogin(NOT_INSTALLED, hint=INSTALL) from error
    return rucio_login()
