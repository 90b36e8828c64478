from __future__ import annotations

import contextlib
import fnmatch
import uuid

import pytest

from rucio_cs3.gateway import BEHAVIOURS, Fault
from rucio_cs3.transfer import retry
from tests.conformance import storages
from tests.conformance.dav import Dav
from tests.conformance.ends import end
from tests.conformance.gaps import GAPS
from tests.conformance.issuer import Issuer
from tests.conformance.sending import OLD


def pytest_generate_tests(metafunc):
    if "storage" in metafunc.fixturenames:
        module = metafunc.module.__name__.rpartition(".")[2]
        metafunc.parametrize("storage", [name for name in storages.names() if belongs(name, module)], indirect=True)


def belongs(name, module):
    """Whether a storage is for the tests of a module: on the bare wire nobody waits for uploads to be processed."""
    behaviour = BEHAVIOURS.get(name.removeprefix("real-"))  # none for an endpoint, whatever it is like
    asynchronous = bool(behaviour and behaviour.asynchronous)
    return asynchronous if module.endswith("_processing") else not (asynchronous and module.startswith("test_wire_"))


def pytest_collection_modifyitems(items):
    for item in items:
        name = getattr(item, "callspec", None) and item.callspec.params.get("storage")
        for storage, test, outcome, reason in GAPS:
            if (
                name
                and fnmatch.fnmatchcase(name, storage)
                and fnmatch.fnmatchcase(f"{item.path.name}::{item.name}", test)
            ):
                kwargs = {"strict": True} if outcome == "xfail" else {}
                item.add_marker(getattr(pytest.mark, outcome)(reason=f"{name}: {reason}", **kwargs))


@pytest.fixture(scope="session")
def issuer():
    issuer = Issuer()
    yield issuer
    issuer.stop()


@pytest.fixture(scope="session")
def fleet(issuer):
    with storages.Fleet(issuer) as fleet:
        yield fleet


def _lent(request, fleet, name, **options):
    alone = request.node.get_closest_marker("breaks_storage")
    with fleet.fresh(name, **options) if alone else contextlib.nullcontext(fleet.get(name, **options)) as storage:
        yield storage
        storage.recover()


@pytest.fixture
def storage(request, fleet):
    """A running storage, a storages.Storage: the session's, or for a test that breaks it one of its own."""
    yield from _lent(request, fleet, request.param)


@pytest.fixture
def copier(request, storage, fleet):
    """Another storage of its kind, which makes third-party copies; one of its own for a test that breaks it."""
    yield from _lent(request, fleet, storage.name, copies=True)


@pytest.fixture(scope="module")
def far_fleet(issuer):
    """Storages that are others than those of the same name."""
    with storages.Fleet(issuer) as fleet:
        yield fleet


@pytest.fixture
def near(pair):
    """Where copies come from; `pair` is of the module."""
    with end("NEAR", pair[0]) as near:
        yield near


@pytest.fixture
def far(pair):
    """Where copies go."""
    with end("FAR", pair[1]) as far:
        yield far


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Short pauses between attempts, and no uploads of others that could be gone on with."""
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.01)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def tus(storage):
    """Opens a client that uploads by tus."""
    if not storage.has_tus:
        pytest.skip("it offers simple uploads only")
    return lambda **settings: storage.client(upload_protocol="tus", **settings)


@pytest.fixture
def processing(storage, folder):
    """Says what is to become of the uploads from here on: `never_processed` or `turned_down`."""
    if not storage.gateway:
        pytest.skip("it cannot be told what to do with uploads")
    return lambda kind: storage.gateway.faults.add(Fault(on="processing:*", kind=kind, path=f"{folder}/*"))


@pytest.fixture
def wire(storage):
    """The bare wire, logged in as the storage's user."""
    return storage.wire()


@pytest.fixture
def second_line(storage):
    """For tests of what only the line of oCIS and OpenCloud has."""
    if not storage.facts.has_spaces:
        pytest.skip("it has no spaces")


@pytest.fixture
def first_line(storage):
    """For tests of what the line of oCIS and OpenCloud does otherwise."""
    if storage.facts.has_spaces:
        pytest.skip("the second line does otherwise")


@pytest.fixture
def dav(storage, wire, folder):
    """Requests through the WebDAV door, to paths below the folder."""
    if not storage.dav:
        pytest.skip("it has no WebDAV door that is known")
    return Dav(storage, wire, folder)


@pytest.fixture
def folder(storage):
    """A fresh folder, as an absolute CS3 path, that goes away with the test."""
    with fresh_folder(storage) as path:
        yield path


@contextlib.contextmanager
def fresh_folder(storage):
    wire = storage.wire()
    path = wire.mkdir(f"{storage.home.rstrip('/')}/test-{uuid.uuid4().hex[:12]}")
    yield path
    wire.call("Delete", ref=path)


@pytest.fixture
def here(copier):
    """Requests through the WebDAV door of the site that makes third-party copies, to paths below a fresh folder."""
    with fresh_folder(copier) as path:
        yield Dav(copier, copier.wire(), path)


@pytest.fixture
def old(wire, folder):
    """A good file that is there already."""
    assert wire.put(f"{folder}/f", OLD) == 200
    return f"{folder}/f"


@pytest.fixture
def checking(storage):
    """For tests of a storage that checks uploads."""
    if not storage.facts.checks_uploads:
        pytest.skip("it takes whatever comes: test_wire_transfer.py")


@pytest.fixture
def client(storage):
    """A client of ours, logged in as the storage's user."""
    with storage.client() as client:
        yield client
