"""The storages that the suite runs on: the embedded gateway in each of its behaviours, and real Revas when told."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from rucio_cs3.gateway import BEHAVIOURS, DEMO_USERS, Gateway
from tests.conformance import daemons
from tests.conformance.daemons import JWT_SECRET, MACHINE_SECRET, TRANSFER_SECRET
from tests.conformance.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.client import Cs3Client
    from rucio_cs3.gateway import User
    from rucio_cs3.gateway.behaviours import Behaviour

PROCESSING = 0.1  # seconds
REVA, PASSWORD = "RUCIO_CS3_TEST_REVA", "RUCIO_CS3_TEST_REVA_PASSWORD"


@dataclass
class Storage:
    """A storage under test.

    `behaviour` says what to expect of it: one of the names in rucio_cs3.gateway.BEHAVIOURS. `home` is an absolute CS3
    path where the user may write. `gateway` is the embedded one, None for a real Reva; `issuer` is None where no OIDC
    issuer of ours is known, and the secrets are None where we cannot know them. `dav` is where the WebDAV door opens on
    the user's home, None where there is none.
    """

    name: str
    behaviour: str
    address: str
    user: str
    password: str
    home: str
    dav: str | None = None
    gateway: Gateway | None = None
    issuer: object | None = None
    machine_secret: str | None = None
    jwt_secret: str | None = None
    transfer_secret: str | None = None
    other_user: tuple[str, str] | None = None
    _wires: list[Wire] = field(default_factory=list, repr=False)

    # What it can do, as far as a client has to know.

    @property
    def facts(self) -> Behaviour:
        """Its column in the table of behaviours."""
        return BEHAVIOURS[self.behaviour]

    @property
    def finds_ids(self) -> bool:
        return self.facts.finds_ids

    @property
    def data_exposed(self) -> bool:
        return self.facts.exposes_data_server

    @property
    def has_tus(self) -> bool:
        return "tus" in self.facts.upload_protocols

    @property
    def has_checksums(self) -> bool:
        """Computed by it, of what is there."""
        return self.facts.has_spaces

    @property
    def has_quota(self) -> bool:
        """At home; a space of the second line has one only if it was made with one."""
        return not self.facts.has_spaces

    def client(self, **settings) -> Cs3Client:
        """A client of ours, logged in as the user."""
        from rucio_cs3.client import Cs3Client  # noqa: PLC0415 - the wire tests do without

        login = {"gateway": self.address, "tls": False, "username": self.user, "password": self.password}
        return Cs3Client(**{**login, **settings})

    def wire(self, user: str | None = None, password: str | None = None) -> Wire:
        """The bare wire, with a token of the user; kept open until the storage is closed."""
        return self.bare_wire().login(user or self.user, password or self.password)

    def bare_wire(self) -> Wire:
        """The wire without a token."""
        self._wires.append(Wire(self.address))
        return self._wires[-1]

    def forge(self, token: str, secret: str | None = None, **claims) -> str:
        """Another token like this one, with other claims, signed with the site's own secret or with another."""
        old = jwt.decode(token, options={"verify_signature": False})
        return jwt.encode({**old, **claims}, secret or self.jwt_secret, algorithm="HS256")

    def close_wires(self) -> None:
        while self._wires:
            self._wires.pop().close()

    def recover(self) -> None:
        """For the next test."""
        if self.gateway:
            self.gateway.faults.clear()
        self.close_wires()


def names() -> list[str]:
    return [*BEHAVIOURS, *real_names()]


def real_names() -> list[str]:
    told = os.environ.get(REVA, "")
    found = programs(told)
    return [f"real-{name}" for name in BEHAVIOURS if line_of(name) in found] or (["real-endpoint"] if told else [])


@functools.cache
def programs(told: str) -> dict[str, Path]:
    """The daemons that are told, one of each line."""
    paths = [Path(one).resolve() for one in told.split(os.pathsep)]
    are_programs = all(path.is_file() and os.access(path, os.X_OK) for path in paths)
    return {daemons.line_of(path): path for path in paths} if are_programs else {}


def line_of(behaviour: str) -> str:
    return "second" if BEHAVIOURS[behaviour].has_spaces else "first"


def home_of(behaviour: Behaviour, user: User) -> str:
    """Where this user may write, as an absolute CS3 path."""
    return f"/users/{user.id}" if behaviour.has_spaces else behaviour.mount


class Fleet(contextlib.ExitStack):
    """Starts a storage when it is first asked for, and stops them all at the end."""

    def __init__(self, issuer) -> None:
        super().__init__()
        self.issuer = issuer
        self._running: dict[tuple[str, bool], Storage] = {}

    def get(self, name: str, *, copies: bool = False) -> Storage:
        """The storage of a name, or another one of its kind, which makes third-party copies."""
        key = (name, copies)
        if key not in self._running:
            self._running[key] = self._start(name, copies=copies)
            self.callback(self._running[key].close_wires)
        return self._running[key]

    @contextlib.contextmanager
    def fresh(self, name: str, *, copies: bool = False) -> Iterator[Storage]:
        """One for a single test, which may leave it broken. A running endpoint is not ours to break."""
        if name == "real-endpoint":
            pytest.skip(f"{name}: the test would leave it broken")
        with Fleet(self.issuer) as alone:
            yield alone.get(name, copies=copies)

    def _start(self, name: str, *, copies: bool) -> Storage:
        told = os.environ.get(REVA, "")
        if not name.startswith("real-"):
            return self._embedded(name, copies=copies)
        if name != "real-endpoint":
            return self._revad(name, copies=copies)
        if copies:
            pytest.skip(f"{name}: there is no second one of its kind")
        return described(told)

    def _embedded(self, behaviour: str, *, copies: bool) -> Storage:
        root = self.enter_context(tempfile.TemporaryDirectory())
        gateway = self.enter_context(
            Gateway(
                root,
                behaviour,
                machine_secret=MACHINE_SECRET,
                oidc_issuer=self.issuer.url,
                offer_faults=True,
                processing=PROCESSING,
                tpc="as-seen" if copies else "off",
            )
        )
        einstein, marie, _ = DEMO_USERS
        secret = (Path(root) / ".cs3-gateway" / "secret").read_text()
        return Storage(
            name=behaviour,
            behaviour=behaviour,
            address=gateway.address,
            user=einstein.username,
            password=einstein.password,
            home=home_of(gateway.behaviour, einstein),
            dav=gateway.webdav_url,
            gateway=gateway,
            issuer=self.issuer,
            machine_secret=MACHINE_SECRET,
            jwt_secret=secret,
            transfer_secret=secret,
            other_user=(marie.username, marie.password),
        )

    def _revad(self, name: str, *, copies: bool) -> Storage:
        behaviour = BEHAVIOURS[name[len("real-") :]]
        folder = Path(self.enter_context(tempfile.TemporaryDirectory()))
        program = programs(os.environ[REVA])[line_of(behaviour.name)]
        address, dav = self.enter_context(daemons.running(program, behaviour, folder, self.issuer.url, copies=copies))
        einstein, marie, _ = DEMO_USERS
        return Storage(
            name=name,
            behaviour=behaviour.name,
            address=address,
            user=einstein.username,
            password=einstein.password,
            home=home_of(behaviour, einstein),
            dav=dav,
            issuer=self.issuer,
            machine_secret=MACHINE_SECRET,
            jwt_secret=JWT_SECRET,
            transfer_secret=TRANSFER_SECRET,
            other_user=(marie.username, marie.password),
        )


def described(told: str) -> Storage:
    """A running endpoint: a JSON file with the fields of Storage, or cs3://user@host:port/home?behaviour=reva-local."""
    if told.endswith(".json"):
        return Storage(**{"name": "real-endpoint", **json.loads(Path(told).read_text())})
    parts = urlsplit(told)
    [behaviour] = parse_qs(parts.query).get("behaviour", ["reva-local"])
    return Storage(
        name="real-endpoint",
        behaviour=behaviour,
        address=f"{parts.hostname}:{parts.port}",
        user=parts.username,
        password=os.environ[PASSWORD],
        home=parts.path or "/",
    )
