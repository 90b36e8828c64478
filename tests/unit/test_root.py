from __future__ import annotations

import pytest

from rucio_cs3 import errors
from rucio_cs3.client import Cs3Client
from rucio_cs3.gateway import Fault, Gateway
from rucio_cs3.model import Ref
from rucio_cs3.root import Root

LOGIN = {"username": "einstein", "password": "relativity"}


@pytest.fixture
def gateway(tmp_path):
    (tmp_path / "rucio").mkdir()
    with Gateway(tmp_path) as gateway:
        yield gateway


@pytest.fixture
def client(gateway):
    with Cs3Client(gateway=gateway.address, tls=False, **LOGIN) as client:
        yield client


@pytest.fixture
def root(client):
    return Root(client, Ref("/rucio"))


def test_a_passing_failure_does_not_cost_the_id(gateway, client, root):
    gateway.faults.add(Fault("grpc:Stat", "status", status="INTERNAL", skip=1, times=1))  # the first is by path
    assert root.resolve() == Ref("/rucio")
    assert root.resolve() == Ref(id=client.files.stat("/rucio").id)


def test_a_failure_that_stays_costs_the_id(gateway, root, caplog):
    for _ in range(3):
        gateway.faults.add(Fault("grpc:Stat", "status", status="INTERNAL", skip=1, times=1))
        assert root.resolve() == Ref("/rucio")
        gateway.faults.clear()
    assert root.resolve() == Ref("/rucio")
    assert caplog.text.count("cannot be addressed by resource id") == 1


def test_a_root_that_a_new_token_shows_is_seen(gateway, client, root):
    """As on the second line, which answers Stat with NOT_FOUND to an old token, here after its keys have changed."""
    client.whoami()
    gateway.faults.add(Fault("grpc:Stat", "no_permission", times=1))
    gateway.faults.add(Fault("grpc:WhoAmI", "token_expired", times=1))
    assert root.resolve().id is not None
    assert client.logins == 2


def test_a_root_that_is_not_there(root, gateway):
    (gateway.root / "rucio").rmdir()
    with pytest.raises(errors.Unavailable, match="cannot be seen as einstein"):
        root.resolve()
