from __future__ import annotations

import contextlib
import os
import random

import pytest

from rucio_cs3.client import Cs3Client
from rucio_cs3.gateway import Gateway
from rucio_cs3.transfer import delivery, retry, upload
from tests.unit.transfer.liar import MIB, Liar, Site
from tests.unit.transfer.resuming import SIZE

CONTENT = random.Random(1).randbytes(3 * MIB + 17)


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """Where uploads that were cut are remembered."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "rucio-cs3" / "uploads"


@pytest.fixture
def serve(tmp_path):
    """Starts a gateway; at a given one's place, with its folder and ports, when that one has been stopped."""
    with contextlib.ExitStack() as stack:

        def start(behave="reva-local", *, again=None, **settings):
            if again:
                ports = [int(address.rpartition(":")[2]) for address in (again.address, again.data_url)]
                settings = {"grpc_port": ports[0], "http_port": ports[1], **settings}
                behave, root = again.behaviour.name, again.root
            else:
                root = tmp_path / "root"
                root.mkdir()
            return stack.enter_context(Gateway(root, behave, **settings))

        yield start


@pytest.fixture
def login():
    """A client of a gateway."""
    with contextlib.ExitStack() as stack:

        def log_in(gateway, **settings):
            user = {"username": "einstein", "password": "relativity", "tls": False, "cache": "off"}
            return stack.enter_context(Cs3Client(gateway=gateway.address, **{**user, **settings}))

        yield log_in


@pytest.fixture
def source(tmp_path):
    """A file of 3 MiB and a bit."""
    path = tmp_path / "source"
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.0)


@pytest.fixture
def secured():
    """What a data server needs for TLS, and the settings of who trusts it; for tests over TLS."""
    return None, {}


@pytest.fixture
def liar(secured):
    liar = Liar(CONTENT, tls=secured[0])
    yield liar
    liar.stop()


@pytest.fixture
def site(liar, secured, no_pause):
    """With the settings of `site.again(…)` where it matters."""
    sites = []

    def make(**settings):
        sites.append(Site(liar, **{**secured[1], **settings}))
        return sites[-1]

    made = make()
    made.again = make
    yield made
    for one in sites:
        one.servers.close()


@pytest.fixture
def quick(monkeypatch):
    """No long pauses between attempts."""
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(delivery, "SETTLING", 0.01)
    monkeypatch.setattr(delivery, "FINISHING", 0.1)
    monkeypatch.setattr(upload, "LATE_COMMIT", (0.0, 0.05))


@pytest.fixture(params=["reva-local", "reva-localhome"])
def gateway(serve, request):
    """One with tus: behind a data gateway, and exposed."""
    return serve(request.param)


@pytest.fixture
def place(gateway):
    """A path in the gateway, by name."""
    return lambda name: f"{gateway.behaviour.mount.rstrip('/')}/{name}"


@pytest.fixture
def client(gateway, login):
    """It uploads by tus."""
    return login(gateway, upload_protocol="tus", retries=1)
