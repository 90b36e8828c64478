"""The sites that the mover copies between: which addresses are theirs, and logins there.

A table of mover.toml describes one:

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

import contextlib
import os
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from rucio_cs3.client import Cs3Client
from rucio_cs3.config import CREDENTIALS, ENVIRONMENT, FIELDS, Config, Found, Layer, from_environment
from rucio_cs3.errors import ConfigError, InvalidName
from rucio_cs3.loopback import is_loopback
from rucio_cs3.model import SAFE, Ref, ResourceId, relative
from rucio_cs3.root import Root
from rucio_cs3.rse import pfn_to_path
from rucio_cs3.transfer.ends import Remote
from rucio_cs3.web import Pools

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from typing_extensions import Self

    from rucio_cs3.mover.model import Place

CLIENTS = 64  # that are kept open although nobody uses them now
TPC = ("auto", "lend", "off")
DOORS = {"davs": "https", "https": "https", "dav": "http", "http": "http"}
PORTS = {"https": "443", "cs3s": "443", "http": "80"}


@dataclass(frozen=True)
class Address:
    """A scheme and a host, and what all paths there begin with. None of them is another way to write a second one."""

    scheme: str
    hostname: str
    port: str
    prefix: str = "/"

    @classmethod
    def of(cls, url: str) -> Address:
        """Raises InvalidName."""
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        name, colon, port = host.rpartition(":")
        if not colon or port.endswith("]"):  # of an IPv6 address
            name, port = host, ""
        scheme = DOORS.get(scheme.lower(), scheme.lower())
        port = port or PORTS.get(scheme, "")
        if not (name and port.isdigit()) or "@" in host:
            raise InvalidName("it is not of the form davs://host:port/path", path=url.rpartition("@")[2])
        return cls(scheme, name.lower(), str(int(port)), slash + path)

    def __str__(self) -> str:
        return f"{self.origin}{self.prefix}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.hostname}:{self.port}"

    def below(self, other: Address) -> str | None:
        """The path of what is below it, decoded; None for what is not. Raises InvalidName."""
        if (self.scheme, self.hostname, self.port) != (other.scheme, other.hostname, other.port):
            return None
        if not f"/{relative(unquote(other.prefix))}/".startswith(self.prefix):
            return None
        return pfn_to_path(str(other), vars(self))


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
        around = from_environment(os.environ)  # which brings a login only if it names the same gateway
        found.add(Layer(ENVIRONMENT, {**around, "gateway": around.get("gateway", "")}))
        try:
            config = Config.of(found.settings)
            prefix = "/" if place.space else _slashed(place.cs3_root)
            root = Ref("", ResourceId.parse(place.space)) if place.space else Ref(place.cs3_root)
            gateway = Address.of(f"{'cs3s' if config.tls else 'cs3'}://{config.gateway}{prefix}")
            doors = [_door(door, place.webdav_root) for door in place.doors]
        except (ConfigError, InvalidName) as error:
            raise ConfigError(f"{where}: {error}") from error
        return cls(name, config, root, (*doors, gateway), place.tpc != "off", place.tpc == "lend")

    @property
    def doors(self) -> str:
        return ", ".join(map(str, self.addresses))

    def with_token(self, token: str) -> Config:
        """As the one whose token it is, and not as ourselves: of our own logins none is tried."""
        ours = CREDENTIALS - {"client_cert", "client_key"}
        kept = {name: value for name, value in vars(self.config).items() if name not in ours}
        return Config.of({**kept, "auth": "bearer", "bearer_token": token, "cache": "off"}, f"site {self.name}")


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
                raise ConfigError(f"{where}: unknown setting {name!r}")
            texts = value if name == "doors" and isinstance(value, list) else [value]
            if not all(isinstance(text, str) for text in texts) or (name == "doors" and texts is not value):
                raise ConfigError(f"{where}: {name} is not {'a list of texts' if name == 'doors' else 'text'}")
        place = cls(**{**table, "doors": tuple(table.get("doors", ()))})
        if place.tpc not in TPC:
            raise ConfigError(f"{where}: tpc = {place.tpc!r} is not known", hint=f"use one of: {', '.join(TPC)}")
        if place.space and "cs3_root" in table:
            raise ConfigError(f"{where}: space and cs3_root are both set", hint="keep one of them")
        return place


def _door(url: str, webdav_root: str) -> Address:
    door = Address.of(url)
    if door.scheme not in DOORS.values():
        raise ConfigError(f"{url} is not the address of a WebDAV door", hint="for example davs://host/webdav")
    if door.scheme == "http" and not is_loopback(door.hostname):
        raise ConfigError(f"{url} would send tokens in the clear", hint="use davs://")
    path = webdav_root if door.prefix in {"", "/"} else unquote(door.prefix)
    return Address(door.scheme, door.hostname, door.port, _slashed(path))


def _slashed(path: str) -> str:
    clean = relative(path)
    return f"/{clean}/" if clean else "/"


@dataclass(frozen=True)
class End:
    """One end of a copy, with a login there."""

    site: Site
    url: str
    address: Address
    root: Root
    below: str
    pools: Pools
    token: str | None = field(default=None, repr=False)
    """that came with the job"""

    @property
    def client(self) -> Cs3Client:
        return self.root.client

    @property
    def remote(self) -> Remote:
        place = self.root.resolve()
        return Remote(self.client, place, self.below, place, self.url)

    @property
    def is_door(self) -> bool:
        return self.address.scheme in DOORS.values()

    @property
    def door(self) -> str:
        """Its URL as HTTP knows it."""
        return self.address.origin + quote(f"{self.address.prefix}{self.below}", safe=SAFE)

    def beside(self, name: str) -> End:
        """The same, of another name in its folder."""
        return replace(self, below="/".join([*self.below.split("/")[:-1], name]))


class _Login:
    """A client that is used by some copies now."""

    def __init__(self, config: Config, place: Ref) -> None:
        self.root = Root(Cs3Client(config), place)
        self.pools = Pools(config, config.stall_timeout)
        self.users = 0

    def close(self) -> None:
        self.pools.close()
        self.root.client.close()


class Sites:
    """Finds a file's site by its URL, and keeps one client for each site and login."""

    def __init__(self, *sites: Site) -> None:
        self._sites = sites
        self._logins: dict[tuple[str, Config], _Login] = {}  # the one used last at the end
        self._lock = threading.Lock()

    @classmethod
    def of(cls, tables: Mapping[str, Mapping[str, Any]], where: str = "mover.toml") -> Sites:
        """The `[sites.NAME]` tables. Raises ConfigError."""
        if not tables:
            raise ConfigError(f"{where}: there are no sites", hint='add [sites.NAME], with gateway = "host:port"')
        return cls(*(Site.of(name, table, where) for name, table in tables.items()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            logins, self._logins = list(self._logins.values()), {}
        for login in logins:
            login.close()

    def find(self, url: str) -> tuple[Site, Address, str]:
        """The site, the address of it that the URL is below, and the path below that. Raises InvalidName."""
        wanted = Address.of(url)
        found = [
            (site, address, below)
            for site in self._sites
            for address in site.addresses
            if (below := address.below(wanted)) is not None
        ]
        if not found:
            known = "; ".join(f"{site.name} is {site.doors}" for site in self._sites)
            raise InvalidName("it is at no site that this mover knows", path=url, hint=known)
        site, address, below = max(found, key=lambda each: len(each[1].prefix))
        if not below:
            raise InvalidName("it is the top of a site, not a file", path=url)
        return site, address, below

    @contextlib.contextmanager
    def open(self, place: Place) -> Iterator[End]:
        """Log in as whoever the token is that came with the job, else as ourselves. Raises InvalidName."""
        site, address, below = self.find(place.url)
        config = site.with_token(place.token) if place.token else site.config
        with self._login(site, config) as login:
            yield End(site, place.url, address, login.root, below, login.pools, place.token)

    @contextlib.contextmanager
    def _login(self, site: Site, config: Config) -> Iterator[_Login]:
        key = site.name, config
        with self._lock:
            login = self._logins.pop(key, None) or _Login(config, site.root)
            self._logins[key] = login
            login.users += 1
        try:
            yield login
        finally:
            with self._lock:
                login.users -= 1
                idle = self._beyond()
            for one in idle:
                one.close()

    def _beyond(self) -> list[_Login]:
        """Forget those that were not used for longest, where there are too many."""
        idle = [key for key, login in self._logins.items() if not login.users]
        return [self._logins.pop(key) for key in idle[: max(len(self._logins) - CLIENTS, 0)]]
