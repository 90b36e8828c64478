"""All the sites: whose a file is by its URL, and one client for each site and login."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from rucio_cs3.client import Cs3Client
from rucio_cs3.errors import ConfigError, Cs3Error, InvalidName
from rucio_cs3.model import SAFE
from rucio_cs3.mover.addresses import Address
from rucio_cs3.mover.reasons import failed
from rucio_cs3.mover.site import Site
from rucio_cs3.root import Root
from rucio_cs3.service.certificates import DOOR, GATEWAY, Endpoint
from rucio_cs3.transfer.ends import Remote
from rucio_cs3.web import Pools

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from typing_extensions import Self

    from rucio_cs3.config import Config
    from rucio_cs3.model import Ref
    from rucio_cs3.mover.model import Failed, Place, Side

CLIENTS = 64  # that are kept open although nobody uses them now


@dataclass(frozen=True)
class End:
    """One end of a copy, with a login there."""

    side: Side
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
        return self.address.is_door

    @property
    def door(self) -> str:
        """Its URL as HTTP knows it."""
        return self.address.origin + quote(f"{self.address.prefix}{self.below}", safe=SAFE)

    def beside(self, name: str) -> End:
        """The same, of another name in its folder."""
        return replace(self, below="/".join([*self.below.split("/")[:-1], name]))

    def of_same_path(self, other: End) -> End | None:
        """What the other one's URL is at this door, if only its path is looked at."""
        below = self.address.below(Address.of(self.address.origin + urlsplit(other.door).path))
        return replace(self, below=below) if below else None

    def failed(self, error: Cs3Error, *, again: bool = False) -> Failed:
        """For what has gone wrong here."""
        return failed(self.side, error, self.url, again=again, remedy=self.site.remedy(error, of_job=bool(self.token)))

    @contextlib.contextmanager
    def blamed(self) -> Iterator[None]:
        """Whatever goes wrong in this block goes wrong here. Raises Failed."""
        try:
            yield
        except Cs3Error as error:
            raise self.failed(error) from error


class Login:
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
        self.all = sites
        self._logins: dict[tuple[str, Config], Login] = {}  # the one used last at the end
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

    def certified(self) -> Iterator[Endpoint]:
        """Where they speak TLS."""
        for site in self.all:
            for address in site.addresses:
                if address.scheme in {"https", "cs3s"}:
                    speaks = DOOR if address.is_door else GATEWAY
                    yield Endpoint(site.name, address.hostname, int(address.port), site.config, speaks)

    def find(self, url: str) -> tuple[Site, Address, str]:
        """The site, the address of it that the URL is below, and the path below that. Raises InvalidName."""
        wanted = Address.of(url)
        found = [
            (site, address, below)
            for site in self.all
            for address in site.addresses
            if (below := address.below(wanted)) is not None
        ]
        if not found:
            raise self._unknown(wanted)
        site, address, below = max(found, key=lambda each: len(each[1].prefix))
        if not below:
            raise InvalidName("it is the top of a site, not a file", path=url)
        return site, address, below

    def _unknown(self, wanted: Address) -> InvalidName:
        known = "; ".join(f"{site.name} has {site.doors}" for site in self.all)
        near = [
            (address.port == wanted.port, site.table, address)
            for site in self.all
            for address in site.addresses
            if address.is_door and address.hostname == wanted.hostname
        ]
        hint = "add what it begins with to doors of its site in mover.toml"
        if near:
            _, table, address = max(near, key=lambda each: each[0])
            hint = f"compare it with doors of {table}"
            if (address.scheme, wanted.scheme) == ("http", "https"):
                was, now = (each.written.partition("://")[0] for each in (address, wanted))
                hint = f"write {now}:// instead of {was}:// in doors of {table}"
        return InvalidName(f"it is at no site that this mover knows: {known}", path=wanted.written, hint=hint)

    @contextlib.contextmanager
    def open(self, side: Side, place: Place) -> Iterator[End]:
        """Log in as whoever the token is that came with the job, else as ourselves.

        Whatever goes wrong in this block goes wrong there. Raises Failed.
        """
        site: Site | None = None
        with contextlib.ExitStack() as stack:
            try:
                site, address, below = self.find(place.url)
                login = stack.enter_context(self.login(site, place.token))
            except Cs3Error as error:
                raise failed(side, error, place.url, remedy=site.remedy(error) if site else None) from error
            end = End(side, site, place.url, address, login.root, below, login.pools, place.token)
            with end.blamed():
                yield end

    @contextlib.contextmanager
    def login(self, site: Site, token: str | None = None) -> Iterator[Login]:
        """Raises NoLogin where it would be as ourselves, and nothing says who we are."""
        config = site.with_token(token) if token else site.own()
        key = site.name, config
        with self._lock:
            login = self._logins.pop(key, None) or Login(config, site.root)
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

    def _beyond(self) -> list[Login]:
        """Forget those that were not used for longest, where there are too many."""
        idle = [key for key, login in self._logins.items() if not login.users]
        return [self._logins.pop(key) for key in idle[: max(len(self._logins) - CLIENTS, 0)]]
