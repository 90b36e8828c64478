"""Which site a command is about: an RSE of Rucio's, a gateway, or what the environment names."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, TypeVar

import click

from rucio_cs3.client import Cs3Client
from rucio_cs3.config import LOGINS, Config, Found, Layer, has_login, login_elsewhere, surroundings
from rucio_cs3.credentials.caller import caller
from rucio_cs3.credentials.sources import Sources
from rucio_cs3.credentials.store import kept_in
from rucio_cs3.errors import ConfigError, Cs3Error, NoLogin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rucio_cs3.credentials.caller import Caller, RucioLogin
    from rucio_cs3.model import Ref

IMPL = "rucio_cs3.protocol.Default"
NOT_INSTALLED = "Rucio's client is not installed"
INSTALL = "pip install rucio-clients"
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
        client.tokens.remedy = self.remedy
        return client

    def remedy(self) -> str:
        """What is to be done where no login is found, if one is set that is not for this site."""
        return login_elsewhere([*surroundings(), *_rucio_layers()], self.config.gateway)

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
    decorated: Command = click.argument("rse", required=False, metavar="[RSE]")(takes_gateway(command))
    return decorated


def in_one_line(command: Command) -> Command:
    """Let errors that have a cause out there end the command with a line that says so, and exit code 1."""

    @functools.wraps(command)
    def wrapper(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except Cs3Error as error:
            raise click.ClickException(str(error)) from error

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
    from rucio_cs3.protocol import rse_of  # noqa: PLC0415

    try:
        settings = rsemanager.get_rse_info(rse=name)
        entry = _our_entry(name, settings["protocols"])
        rse = rse_of(settings, entry)
        return Site(name, rse.config, _logged_in(), rse.origins, rse.root, _door(entry, rse.config), _prefix(settings))
    except RucioException as error:
        raise ConfigError(f"Rucio does not tell about RSE {name}: {' '.join(str(error).split())}") from error


def _our_entry(name: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The one with a WebDAV address, if several are ours."""
    ours = [entry for entry in entries if entry["impl"] == IMPL]
    if not ours:
        others = ", ".join(sorted({str(entry["impl"]) for entry in entries})) or "none at all"
        raise ConfigError(f"RSE {name} has no protocol with impl {IMPL}, but {others}", hint="is it another RSE?")
    return next(filter(_has_door, ours), ours[0])


def _prefix(settings: dict[str, Any]) -> str:
    """As rucio.common.dumper finds it."""
    firsts = (entry for entry in settings["protocols"] if entry["domains"]["wan"]["read"] == 1)
    return str(next(firsts, settings["protocols"][0])["prefix"])


def _has_door(entry: Mapping[str, Any]) -> bool:
    return "webdav_root" in ((entry.get("extended_attributes") or {}).get("cs3") or {})


def _door(entry: Mapping[str, Any], config: Config) -> str | None:
    """The root folder's address for programs that speak WebDAV."""
    from rucio_cs3.rse import path_to_pfn  # noqa: PLC0415

    if not _has_door(entry):
        return None
    path = f"/{entry['prefix'].strip('/')}/"
    return path_to_pfn({**entry, "scheme": "https" if config.tls else "http"}, path)


def _logged_in() -> Caller:
    """As the plugin in Rucio's client has it, which is given a token."""
    try:
        token = _rucio_login().token
    except NoLogin:  # a daemon's host, where a login is missed only by sources that want it
        token = None
    return caller(token, _rucio_login)


def _rucio_login() -> RucioLogin:
    try:
        from rucio_cs3.protocol import rucio_login  # noqa: PLC0415 - Rucio may be missing
    except ImportError as error:
        raise NoLogin(NOT_INSTALLED, hint=INSTALL) from error
    return rucio_login()
