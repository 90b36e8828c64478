"""The storages that the suite runs on: the embedded gateway in each of its behaviours, and real Revas when told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from rucio_cs3.gateway import BEHAVIOURS, DEMO_USERS, Gateway
from tests.conformance.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.client import Cs3Client
    from rucio_cs3.gateway.behaviours import Behaviour

HERE = Path(__file__).parent
REVA, PASSWORD = "RUCIO_CS3_TEST_REVA", "RUCIO_CS3_TEST_REVA_PASSWORD"
MACHINE_SECRET = "conformance-machine-secret"
JWT_SECRET = "conformance-jwt-secret-of-32-bytes-and-more"
TRANSFER_SECRET = "conformance-transfer-secret-of-32-bytes"
START_SECONDS = 30
LOOPBACK = "127.0.0.1"
DAV = "/remote.php/webdav"
PORTS = ("GRPC", "HTTP", "DATA", "MACHINE", "BEARER", "APPAUTH")


@dataclass
class Storage:
    """A storage under test.

    `behaviour` says what to expect of it: one of the names in rucio_cs3.gateway.BEHAVIOURS. `home` is an absolute CS3
    path where the user may write. `gateway` is the embedded one, None for a real Reva; `issuer` is None where no OIDC
    issuer of ours is known, and the secrets are None where we cannot know them. `dav` is where the WebDAV door opens on
    the mount, None where there is none.
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

    has_checksums = False
    has_quota = True

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


def names() -> list[str]:
    return [*BEHAVIOURS, *real_names()]


def real_names() -> list[str]:
    told = os.environ.get(REVA)
    if not told:
        return []
    return [f"real-{name}" for name in BEHAVIOURS] if _is_program(told) else ["real-endpoint"]


def _is_program(told: str) -> bool:
    return os.access(told, os.X_OK) and Path(told).is_file()


class Fleet(contextlib.ExitStack):
    """Starts a storage when it is first asked for, and stops them all at the end."""

    def __init__(self, issuer) -> None:
        super().__init__()
        self.issuer = issuer
        self._running: dict[str, Storage] = {}

    def get(self, name: str) -> Storage:
        if name not in self._running:
            self._running[name] = self._start(name)
            self.callback(self._running[name].close_wires)
        return self._running[name]

    @contextlib.contextmanager
    def fresh(self, name: str) -> Iterator[Storage]:
        """One for a single test, which may leave it broken. A running endpoint is not ours to break."""
        if name == "real-endpoint":
            pytest.skip(f"{name}: the test would leave it broken")
        with Fleet(self.issuer) as alone:
            yield alone.get(name)

    def _start(self, name: str) -> Storage:
        told = os.environ.get(REVA, "")
        if not name.startswith("real-"):
            return self._embedded(name)
        return self._revad(Path(told).resolve(), name) if _is_program(told) else described(told)

    def _embedded(self, behaviour: str) -> Storage:
        root = self.enter_context(tempfile.TemporaryDirectory())
        gateway = self.enter_context(
            Gateway(root, behaviour, machine_secret=MACHINE_SECRET, oidc_issuer=self.issuer.url, offer_faults=True)
        )
        einstein, marie, _ = DEMO_USERS
        secret = (Path(root) / ".cs3-gateway" / "secret").read_text()
        return Storage(
            name=behaviour,
            behaviour=behaviour,
            address=gateway.address,
            user=einstein.username,
            password=einstein.password,
            home=gateway.behaviour.mount,
            dav=gateway.webdav_url,
            gateway=gateway,
            issuer=self.issuer,
            machine_secret=MACHINE_SECRET,
            jwt_secret=secret,
            transfer_secret=secret,
            other_user=(marie.username, marie.password),
        )

    def _revad(self, program: Path, name: str) -> Storage:
        behaviour = name[len("real-") :]
        folder = Path(self.enter_context(tempfile.TemporaryDirectory()))
        address, dav = self.enter_context(revad(program, behaviour, folder, self.issuer.url))
        return Storage(
            name=name,
            behaviour=behaviour,
            address=address,
            user="einstein",
            password="relativity",
            home=BEHAVIOURS[behaviour].mount,
            dav=dav,
            issuer=self.issuer,
            machine_secret=MACHINE_SECRET,
            jwt_secret=JWT_SECRET,
            transfer_secret=TRANSFER_SECRET,
            other_user=("marie", "radioactivity"),
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


@contextlib.contextmanager
def revad(program: Path, behaviour: str, folder: Path, issuer: str, host: str = LOOPBACK):
    """A real daemon with our configuration on free ports, until the end of the block.

    Yields the addresses of the gateway and of the WebDAV door.
    """
    (folder / "data").mkdir()
    for path in (folder, folder / "data"):
        path.chmod(0o777)  # its cephmount driver works with the users' own uids
    ports = {name: str(port) for name, port in zip(PORTS, free_ports(len(PORTS)))}
    values = {
        **ports,
        "ROOT": str(folder),
        "USERS": str(HERE / "reva" / ("users-ceph.json" if behaviour == "reva-ceph" else "users.json")),
        "GROUPS": str(HERE / "reva" / "groups.json"),
        "ISSUER": issuer,
        "MOUNT": BEHAVIOURS[behaviour].mount,
        "MACHINE_SECRET": MACHINE_SECRET,
        "JWT_SECRET": JWT_SECRET,
        "TRANSFER_SECRET": TRANSFER_SECRET,
    }
    text = (HERE / "reva" / "common.toml").read_text() + (HERE / "reva" / f"{behaviour}.toml").read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    text = text.replace(LOOPBACK, host)
    config = folder / "revad.toml"
    config.write_text(text)
    log = folder / "revad.log"
    with log.open("wb") as sink:
        daemon = subprocess.Popen(
            [program, "-c", config, "-p", folder / "revad.pid"],
            cwd=folder,
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        wait_for_ports(daemon, host, [int(ports[name]) for name in ("GRPC", "HTTP", "DATA")], log)
        yield f"{host}:{ports['GRPC']}", f"http://{host}:{ports['HTTP']}{DAV}"
    finally:
        daemon.send_signal(signal.SIGKILL)  # it has nothing to save, and takes its time otherwise
        daemon.wait()


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for_ports(daemon: subprocess.Popen, host: str, ports: list[int], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    for port in ports:
        while True:
            with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
                break
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"revad did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)  # a port has no event to wait for
