"""Every disturbance, at every place of a transfer, in every protocol: a right file, or a clear error, on both sides."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import random
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pytest

from rucio_cs3 import errors
from rucio_cs3.client import Cs3Client
from rucio_cs3.gateway import DEMO_USERS, Fault, Gateway, Tls
from rucio_cs3.transfer import retry
from tests.conformance.storages import home_of

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.endurance

SIZES = {"small": 1000, "large": (3 << 20) + 17}
PLACES: dict[str, Callable[[int], int]] = {  # how many bytes have passed, of so many
    "first": lambda _: 1,
    "middle": lambda size: size // 2,
    "last": lambda size: size - 1,
    "after": lambda size: size,
}
EINSTEIN = DEMO_USERS[0]


class Disturbance(NamedTuple):
    """`passes`: struck once, the transfer still has to succeed."""

    kind: str
    passes: bool
    status: str = ""


DISTURBANCES = {
    "cut": Disturbance("cut", passes=True),
    "reset": Disturbance("reset", passes=True),
    "stall": Disturbance("stall", passes=False),  # who waited that long is told so
    "wrong-byte": Disturbance("wrong_byte", passes=True),
    "short": Disturbance("short", passes=True),
    "long": Disturbance("long", passes=False),
    "500": Disturbance("status", passes=True, status="500"),
    "503": Disturbance("status", passes=True, status="503"),
    "401": Disturbance("status", passes=True, status="401"),
    "409": Disturbance("status", passes=False, status="409"),
    "423": Disturbance("status", passes=False, status="423"),
    "507": Disturbance("status", passes=False, status="507"),
    "restart": Disturbance("restart", passes=True),
}


class Way(NamedTuple):
    """How the bytes go. `ranged`: what is disturbed is the request that goes on after a first cut."""

    method: str
    settings: dict[str, str]
    behaviours: tuple[str, ...]
    ranged: bool = False


# A storage without checksums of its own is read back: nothing else could show a wrong byte.
READBACK = {"verify": "readback"}
WAYS = {
    "simple": Way("PUT", {"upload_protocol": "simple", **READBACK}, ("reva-local", "opencloud")),
    "tus": Way("PATCH", {"upload_protocol": "tus", **READBACK}, ("reva-local", "opencloud")),
    "download": Way("GET", {}, ("reva-local", "opencloud")),
    "ranged": Way("GET", {}, ("opencloud",), ranged=True),
}


@dataclass(frozen=True)
class Cell:
    way: str
    behaviour: str
    size: str
    disturbance: str
    place: str
    often: str
    door: str = "plain"

    def __str__(self) -> str:
        return "-".join(vars(self).values())

    @property
    def begin(self) -> int:
        """Where the request begins that is disturbed."""
        return SIZES[self.size] // 2 if WAYS[self.way].ranged else 0

    @property
    def after(self) -> int:
        """How many bytes of that request have passed."""
        return PLACES[self.place](SIZES[self.size] - self.begin)

    def faults(self, path: str) -> list[Fault]:
        way, what = WAYS[self.way], DISTURBANCES[self.disturbance]
        on = f"http:{way.method}"
        before = [Fault(on, "cut", path=path, after=self.begin, times=1)] if way.ranged else []
        if what.kind == "status" and way.method == "GET":  # what has begun well cannot turn into a refusal any more
            before.append(Fault(on, "cut", path=path, after=self.after, times=1, skip=len(before)))
        if what.kind == "restart":
            lost = way.method != "GET" and self.place == "after"
            return [*before, *([Fault(on, "no_answer", path=path, times=1)] if lost else [])]
        times = 1 if self.often == "once" else None
        fault = Fault(on, what.kind, path, len(before), times, what.status, self.after, seconds=20)
        return [*before, fault]

    @property
    def must_succeed(self) -> bool:
        return self.often == "once" and DISTURBANCES[self.disturbance].passes


CELLS = [
    Cell(name, behaviour, size, disturbance, place, often)
    for name, way in WAYS.items()
    for behaviour, size, disturbance, place, often in itertools.product(
        way.behaviours, SIZES, DISTURBANCES, PLACES, ("once", "always")
    )
    # Giving up is the same at every size and place.
    if often == "once" or ((size, place) == ("small", "middle") and disturbance != "restart")
]
CELLS += [  # a refusal before the end is another matter over TLS
    Cell(name, "reva-local", "large", disturbance, place, often, "tls")
    for name, disturbance, place, often in itertools.product(
        ("simple", "tus"), DISTURBANCES, ("first", "middle"), ("once", "always")
    )
    if DISTURBANCES[disturbance].kind == "status"
]


class Site:
    """A gateway that can be restarted where it is."""

    def __init__(self, folder, behaviour, pki=None) -> None:
        self._folder, self._behaviour = folder, behaviour
        self._tls = Tls(pki / "localhost.pem", pki / "localhost.key") if pki else None
        self._trust = {"ca": str(pki / "ca.pem")} if pki else {"tls": False}
        self._ports = (0, 0)
        self._clients = contextlib.ExitStack()
        self.start()

    def start(self) -> None:
        grpc_port, http_port = self._ports
        self.gateway = Gateway(self._folder, self._behaviour, grpc_port=grpc_port, http_port=http_port, tls=self._tls)
        self._ports = tuple(
            int(address.rpartition(":")[2]) for address in (self.gateway.address, self.gateway.data_url)
        )

    def stop(self) -> None:
        self._clients.close()
        self.gateway.stop()

    def restart(self) -> None:
        self.gateway.stop()
        self.start()

    @functools.cache  # noqa: B019 - it lives as long as the module
    def client(self, **settings) -> Cs3Client:
        """One for many cells, as a daemon has."""
        login = {"username": EINSTEIN.username, "password": EINSTEIN.password, **self._trust}
        return self._clients.enter_context(Cs3Client(gateway=self.gateway.address, **login, **settings))


class Restart:
    """A progress callback that restarts the gateway once: at a place, or when the transfer begins anew."""

    def __init__(self, site, cell) -> None:
        self._site = site
        self._wanted = cell.disturbance == "restart"
        self._at = cell.begin + cell.after
        self._anew = WAYS[cell.way].method != "GET" and cell.place == "after"
        self._seen = 0

    def __call__(self, done, _) -> None:
        here = done < self._seen if self._anew else done >= self._at
        self._seen = done
        if self._wanted and here:
            self._wanted = False
            self._site.restart()


@pytest.fixture(scope="module")
def sites(tmp_path_factory, pki):
    with contextlib.ExitStack() as stack:
        running = {}

        def site(cell):
            kind = cell.behaviour, cell.door
            if kind not in running:
                folder = tmp_path_factory.mktemp("-".join(kind))
                running[kind] = Site(folder, cell.behaviour, pki if cell.door == "tls" else None)
                stack.callback(running[kind].stop)
            return running[kind]

        yield site


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.001)


def content(size):
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_it_ends_well(cell, sites, tmp_path):
    site, way = sites(cell), WAYS[cell.way]
    data = content(SIZES[cell.size])
    folder = f"{home_of(site.gateway.behaviour, EINSTEIN).rstrip('/')}/{cell}"
    patience = {"stall_timeout": 0.5} if cell.disturbance == "stall" else {}
    client = site.client(retries=3 if cell.often == "once" else 1, **patience, **way.settings)
    site.client().files.mkdir(folder)
    disturb = fetch if way.method == "GET" else store
    try:
        disturb(cell, site, client, folder, data, tmp_path)
    finally:
        site.gateway.faults.clear()


def store(cell, site, client, folder, data, tmp_path):
    """Over an older version, which has to stay when the new one does not come."""
    path, older = f"{folder}/data", b"older"
    site.client().upload(io.BytesIO(older), path)
    (tmp_path / "source").write_bytes(data)
    site.gateway.faults.add(*cell.faults(f"{folder}/*"))
    failed = outcome(
        cell, lambda: client.upload(tmp_path / "source", path, overwrite=True, progress=Restart(site, cell))
    )
    site.gateway.faults.clear()
    sink = io.BytesIO()
    site.client().download(path, sink)
    left = [entry.name for entry in site.client().files.list(folder) if not late(cell, entry.name)]
    assert sink.getvalue() == (older if failed else data)
    assert left == ["data"]


def late(cell, name):
    """Who is stalled commits what it has when nobody is there any more to tidy up."""
    return cell.disturbance == "stall" and name.startswith(".rucio-cs3-")


def fetch(cell, site, client, folder, data, tmp_path):
    path, target = f"{folder}/data", tmp_path / "target"
    site.client().upload(io.BytesIO(data), path)
    target.write_bytes(b"older")
    site.gateway.faults.add(*cell.faults(path))
    known = {"adler32": f"{zlib.adler32(data):08x}"}
    failed = outcome(cell, lambda: client.download(path, target, checksums=known, progress=Restart(site, cell)))
    assert target.read_bytes() == (b"older" if failed else data)
    assert [entry.name for entry in tmp_path.iterdir()] == ["target"]


def outcome(cell, transfer):
    """Whether it failed, as it may: in one line."""
    if cell.must_succeed:
        transfer()
        return False
    try:
        transfer()
    except errors.Cs3Error as error:
        text = str(error)
    else:
        return False
    assert DISTURBANCES[cell.disturbance].status in text
    assert "\n" not in text
    assert len(text) > 20
    return True
