"""The names that file commands take, and what they lead to.

cs3s://host:port/path     a path at a gateway, as a URL: what it cannot hold is percent-encoded
cs3://host:port/path      the same without TLS, to this machine, or where the configuration says tls = false
davs://host/door/path     an address at a site's WebDAV door, which --rse or --door explains
RSE:path                  below the root folder of an RSE
-                         stdin or stdout
anything else             a local path; write ./a:b for one with a colon in its first name
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union
from urllib.parse import quote, unquote, urlsplit

import click

from rucio_cs3.cli import site as sites
from rucio_cs3.errors import ConfigError, Cs3Error, InvalidName, NotFound
from rucio_cs3.loopback import is_loopback
from rucio_cs3.model import SAFE, Label, Ref, relative
from rucio_cs3.transfer.ends import Local, Remote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rucio_cs3.cli.site import Site
    from rucio_cs3.client import Cs3Client
    from rucio_cs3.config import Config

AT_GATEWAYS = ("cs3s", "cs3")
SCHEMES = (*AT_GATEWAYS, "davs")
NO_SPACE = "could not find space"  # so says the line of oCIS and OpenCloud of what is in none
LOCAL, STDIO, RSE = "local", "-", "rse"
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)(.*)", re.DOTALL)
_RSE = re.compile(r"([A-Za-z0-9][\w.@-]*):(.*)", re.DOTALL | re.ASCII)
_HOST = re.compile(r"(localhost|[\w-]+(\.[\w-]+)+):\d{1,5}(/.*)?", re.DOTALL | re.ASCII)  # Rucio's names have no dots


@dataclass(frozen=True)
class Name:
    """What a name says by itself. `path` is decoded, without slashes at its ends; `folder` says that one ended it."""

    kind: str
    host: str = ""
    path: str = ""
    folder: bool = False

    @classmethod
    def parse(cls, text: str) -> Name:
        """Raises InvalidName."""
        if text == STDIO:
            return cls(STDIO)
        url, rse = _URL.fullmatch(text), _RSE.fullmatch(text)
        if url:
            return cls._of_url(*url.groups())
        if rse and rse[1] in SCHEMES:
            raise InvalidName(f"{text} is no address", hint=f"write {rse[1]}://host:port/path, with two slashes")
        if _HOST.fullmatch(text):
            raise InvalidName(f"{text} is no file of an RSE", hint=f"if it is a gateway, write cs3s://{text}")
        if rse:
            return cls(RSE, rse[1], relative(rse[2]), not rse[2] or rse[2].endswith("/"))
        if not text:
            raise InvalidName("a name is empty")
        return cls(LOCAL, "", text, text.endswith("/") or Path(text).name in {"", ".."})

    @classmethod
    def _of_url(cls, scheme: str, host: str, path: str) -> Name:
        if scheme not in SCHEMES:
            raise InvalidName(f"{scheme}:// is none of ours", hint=f"use one of: {', '.join(SCHEMES)}")
        if "@" in host:
            raise InvalidName("a name holds no login", hint="see rucio-cs3 token explain for where logins come from")
        try:
            decoded = unquote(path, errors="strict")
        except UnicodeDecodeError:
            raise InvalidName("it is not UTF-8, percent-encoded", path=f"{scheme}://{host}{path}") from None
        return cls(scheme, host, relative(decoded), not relative(decoded) or decoded.endswith("/"))


@dataclass(frozen=True)
class Place:
    """A name at a site: `path` below `base`. Folders are made up to `root`, which only an RSE has.

    The `base` is labelled with `prefix`, so that errors tell names as they would be written.
    """

    client: Cs3Client
    base: Ref
    path: str
    prefix: str
    """how names there begin"""
    folder: bool = False
    root: Ref | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", self.base.called(self.prefix))

    def __str__(self) -> str:
        return self.name()

    @property
    def ref(self) -> Ref:
        return self.base / self.path if self.path else self.base

    def name(self, below: str = "") -> str:
        """As it would be written."""
        return Label(self.prefix).name(_joined(self.path, below))

    def remote(self, below: str = "") -> Remote:
        return Remote(self.client, self.base, _joined(self.path, below), self.root, self.name(below))

    def __truediv__(self, below: str) -> Place:
        return Place(self.client, self.base, _joined(self.path, below), self.prefix, root=self.root)


AnyPlace = Union[Place, Local, None]
"""None is stdin or stdout."""


class Places(contextlib.ExitStack):
    """Opens names, with one client for each site."""

    def __init__(self, rse: str | None = None, door: str | None = None, verify: str | None = None) -> None:
        super().__init__()
        self._rse = rse
        self._door = door
        self._settings = {"verify": verify}
        self._clients: dict[Config, Cs3Client] = {}
        self._roots: dict[str, tuple[Cs3Client, Ref, Site]] = {}

    def refuse_strangers(self, names: Iterable[str]) -> None:
        """A login that does not say which gateway it is for is not shown to two. For before anything is asked.

        Raises:
            ConfigError: `names` lead to several gateways, one of which would get such a login.
        """
        found = [name for name in map(_parsed, names) if name]
        hosts = {name.host for name in found if name.kind in AT_GATEWAYS}
        login = sites.login_for_any()
        if login is None or not hosts:
            return
        rses = {name.host if name.kind == RSE else self._rse for name in found if name.kind in {RSE, "davs"}}
        hosts |= {self.rse(rse)[2].config.gateway for rse in rses if rse}
        if len(hosts) > 1:
            raise ConfigError(
                f"nothing says which of {' and '.join(sorted(hosts))} the login in {login} is for",
                hint="set RUCIO_CS3_GATEWAY to that one, and name the other as an RSE with a login of its own,"
                " or without Rucio copy to a local file first, and from there with the other login",
            )

    def hint(self, error: Exception) -> None:
        """Where storages have spaces and nothing above them, say where the user's own is."""
        if not (isinstance(error, NotFound) and NO_SPACE in error.message) or error.hint:
            return
        with contextlib.suppress(Cs3Error):
            name = Name.parse(error.path)
            if name.kind in AT_GATEWAYS:
                place = self._at_site(name)
                home = Place(place.client, Ref("/"), relative(place.client.files.home()), place.prefix)
                error.hint = f"this storage has spaces, and yours is {home}"

    def any(self, text: str) -> AnyPlace:
        """What `text` names. A name that makes no sense is a mistake in the use of the command."""
        try:
            name = Name.parse(text)
            if name.kind == STDIO:
                return None
            if name.kind == LOCAL:
                return Local(text)
            return self._at_site(name)
        except InvalidName as error:
            raise click.UsageError(str(error)) from error

    def at(self, text: str) -> Place:
        """For commands that are about sites only."""
        place = self.any(text)
        if not isinstance(place, Place):
            raise click.UsageError(f"{text} is no name at a site: write RSE:path or cs3s://host:port/path")
        return place

    def _at_site(self, name: Name) -> Place:
        if name.kind == RSE:
            client, root, _ = self.rse(name.host)
            return Place(client, root, name.path, f"{name.host}:", name.folder, root)
        if name.kind == "davs":
            return self._of_door(name)
        client = self._client(_at_gateway(name))
        return Place(client, Ref("/"), name.path, f"{name.kind}://{name.host}/", name.folder)

    def rse(self, rse: str) -> tuple[Cs3Client, Ref, Site]:
        """Its root folder, which is there."""
        if rse not in self._roots:
            site = sites.of(rse, None)
            client = self._client(site)
            self._roots[rse] = client, site.root_at(client).resolve().called(f"{rse}:"), site
        return self._roots[rse]

    def _of_door(self, name: Name) -> Place:
        if self._rse:
            client, base, site = self.rse(self._rse)
            door, root = site.door or "", base
        elif self._door:
            door, _, path = self._door.rpartition("=")
            client, base, root = self._client(sites.of(None, None)), _door_path(path), None
        else:
            raise ConfigError(
                f"nothing says which gateway is behind davs://{name.host}",
                hint="name the RSE with --rse, or set RUCIO_CS3_GATEWAY and --door davs://HOST/ROOT=/PATH",
            )
        below = _below(door, name)
        if below is None:
            raise InvalidName(
                f"it is not below the WebDAV door {door or '(none)'}", path=f"davs://{name.host}/{name.path}"
            )
        prefix = f"davs://{name.host}/{_quoted_folder(_door_root(door))}"
        return Place(client, base, below, prefix, name.folder or not below, root)

    def _client(self, site: Site) -> Cs3Client:
        if site.config not in self._clients:
            self._clients[site.config] = self.enter_context(site.client(**self._settings))
        return self._clients[site.config]


def kind_of(text: str) -> str:
    """What the name is of. One that makes no sense is a mistake in the use of the command."""
    try:
        return Name.parse(text).kind
    except InvalidName as error:
        raise click.UsageError(str(error)) from error


def _parsed(text: str) -> Name | None:
    with contextlib.suppress(InvalidName):  # which is told when it is opened
        return Name.parse(text)
    return None


def _at_gateway(name: Name) -> Site:
    site = sites.of(None, name.host, tls=name.kind == "cs3s")
    if not site.config.tls and not is_loopback(site.config.host) and not sites.is_plaintext(name.host):
        raise ConfigError(
            f"cs3:// would send a login to {name.host} in the clear",
            hint="use cs3s://, or if you mean it, set RUCIO_CS3_GATEWAY to it and RUCIO_CS3_TLS=false",
        )
    return site


def _door_path(path: str) -> Ref:
    try:
        return Ref(path)
    except InvalidName as error:
        raise ConfigError("the door is not of the form davs://HOST/ROOT=/PATH", hint="correct --door") from error


def _door_root(door: str) -> str:
    return relative(unquote(urlsplit(door).path))


def _below(door: str, name: Name) -> str | None:
    """Of the path, what lies below the door; None when it is another door."""
    parts = urlsplit(door)
    address, _, port = name.host.partition(":")
    if (parts.hostname, parts.port or 443) != (address.lower(), int(port or 443) if (port or "0").isdigit() else 0):
        return None
    root = _door_root(door)
    if name.path != root and root and not name.path.startswith(f"{root}/"):
        return None
    return name.path[len(root) :].strip("/")


def _quoted_folder(path: str) -> str:
    return f"{quote(path, safe=SAFE)}/" if path else ""


def _joined(path: str, below: str) -> str:
    return "/".join(filter(None, (path, below)))
