from __future__ import annotations

import contextlib
import io

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
    assert client.tokens.logins == 2


def test_a_root_that_is_not_there(root, gateway):
    (gateway.root / "rucio").rmdir()
    with pytest.raises(errors.Unavailable, match="cannot be seen as einstein"):
        root.resolve()


@pytest.mark.parametrize("behaviour", ["reva-local", "reva-ceph"])
@pytest.mark.parametrize("kind", ["no_permission", "storage_down"])
def test_one_passing_not_found_is_not_believed(tmp_path, behaviour, kind):
    with Gateway(tmp_path, behaviour) as gateway, Cs3Client(gateway=gateway.address, tls=False, **LOGIN) as client:
        root = Root(client, Ref(f"{gateway.behaviour.mount.rstrip('/')}/rse"))
        client.files.mkdir(root.place)
        client.files.touch(root.place / "f")
        root.resolve()
        gateway.faults.add(Fault("grpc:Stat", kind, path="*/f", times=1))
        with contextlib.suppress(errors.Unavailable, errors.ServerError):
            assert root.stat("f").name == "f"
        gateway.faults.add(Fault("grpc:Stat", kind, path="*/f", times=1))
        with contextlib.suppress(errors.Unavailable, errors.ServerError):
            root.delete("f")
            assert not client.files.exists(root.place / "f")


def test_a_root_that_has_gone_is_not_made_anew(tmp_path):
    """By path, as where a disk is not mounted: what lies in it would look deleted."""
    with Gateway(tmp_path, "reva-ceph") as gateway, Cs3Client(gateway=gateway.address, tls=False, **LOGIN) as client:
        root = Root(client, Ref(f"{gateway.behaviour.mount.rstrip('/')}/rse"))
        client.files.mkdir(root.place)
        for _ in range(3):
            root.resolve()
        for name in ("known/a", "known/b"):
            client.upload(io.BytesIO(b"1"), root.ref(name), root=root.resolve())
        client.files.delete(root.place, recursive=True)
        for name in ("known/c", "new/c"):
            with pytest.raises(errors.Unavailable, match="the root folder is not there"):
                client.upload(io.BytesIO(b"1"), root.ref(name), root=root.resolve())
        assert not client.files.exists(root.place)
        with pytest.raises(errors.Unavailable):
            root.stat("known/a")


def test_the_root_that_is_forgotten_meanwhile(root):
    """Another thread has just seen that something is wrong with it."""
    found = []
    root.client.files.stat, stat = None, root.client.files.stat

    def forgetting(ref):
        info = stat(ref)
        found.append(ref)
        root._ref = None
        return info

    root.client.files.stat = forgetting
    assert root.ref("below").path == "below"
    assert len(found) == 2


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_login_that_reaches_no_further_than_the_root(gateway, client, below):
    """By an application password for one folder."""
    client.files.mkdir(f"/rucio{below}", parents=True, exist_ok=True)
    password = client.apps.create("rucio", paths=[f"/rucio{below}"]).password
    login = {"auth": "appauth", "username": "einstein", "app_password": password}
    with Cs3Client(gateway=gateway.address, tls=False, **login) as limited:
        root = Root(limited, Ref(f"/rucio{below}"))
        limited.upload(io.BytesIO(b"content"), root.ref("s/f"), root=root.resolve())
        assert root.stat("s/f").size == 7
        with pytest.raises(errors.NotFound):
            root.stat("s/missing")
        outside = Root(limited, Ref("/"))
        with pytest.raises(errors.Cs3Error):
            outside.resolve()
