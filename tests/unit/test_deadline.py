"""No operation outlasts the time it is given, whatever the site dawdles at: each limit of its own is a minute here."""

from __future__ import annotations

import contextlib
import io
import threading
import time

import pytest

from rucio_cs3 import deadline, errors
from rucio_cs3.client import Cs3Client
from rucio_cs3.gateway import Fault, Gateway

MIB = 1 << 20
GIVEN = 0.6  # seconds
MOST = 30  # that it takes a busy machine to end, once the time is over
PATIENCE = {"call_timeout": 60, "connect_timeout": 60, "stall_timeout": 60}


@pytest.fixture
def gateway(tmp_path):
    with Gateway(tmp_path) as gateway:
        yield gateway


@pytest.fixture
def client(gateway):
    login = {"username": "einstein", "password": "relativity"}
    with Cs3Client(gateway=gateway.address, tls=False, **login, **PATIENCE) as client:
        yield client


@contextlib.contextmanager
def over_in_time():
    began = time.monotonic()
    with pytest.raises(errors.DeadlineExceeded):
        yield
    assert GIVEN * 0.9 < time.monotonic() - began < GIVEN + MOST


@pytest.mark.parametrize(
    "fault",
    [
        Fault("grpc:Authenticate", "stall"),
        Fault("grpc:Stat", "stall"),
        Fault("grpc:InitiateFileDownload", "stall"),
        Fault("http:GET", "stall"),
        Fault("http:GET", "stall", after=MIB),
        Fault("http:GET", "slow", rate=1000),
        Fault("http:GET", "slow", rate=MIB),
    ],
    ids=lambda fault: f"{fault.on}-{fault.kind}-{fault.after}-{fault.rate}",
)
def test_downloads(gateway, client, tmp_path, fault):
    (gateway.root / "f").write_bytes(bytes(3 * MIB))
    gateway.faults.add(fault)
    with over_in_time():
        client.download("/f", tmp_path / "got", timeout=GIVEN)
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("grpc:Authenticate", "stall"),
        Fault("grpc:Stat", "stall", times=1),
        Fault("grpc:CreateContainer", "stall"),
        Fault("grpc:InitiateFileUpload", "stall"),
        Fault("grpc:Move", "stall", times=1),
        Fault("http:PUT", "stall"),
        Fault("http:PUT", "stall", after=MIB),
        Fault("http:PUT", "stall", after=32 * MIB - 1),
        Fault("http:PUT", "slow", rate=MIB),
    ],
    ids=lambda fault: f"{fault.on}-{fault.kind}-{fault.after}-{fault.rate}",
)
def test_uploads(gateway, client, fault):
    gateway.faults.add(fault)
    with over_in_time():
        client.upload(io.BytesIO(bytes(32 * MIB)), "/d/f", timeout=GIVEN)
    gateway.faults.clear()
    assert not client.files.exists("/d/f")


def test_an_empty_file(gateway, client):
    gateway.faults.add(Fault("grpc:TouchFile", "stall"))
    with over_in_time():
        client.upload(io.BytesIO(), "/f", timeout=GIVEN)


def test_a_file_that_has_stepped_aside_is_not_left_there_when_the_time_is_over(gateway, client):
    """The storage refuses to move over a file, and then takes long to move it aside."""
    (gateway.root / "f").write_bytes(b"old")
    gateway.faults.add(Fault("grpc:Move", "status", path="*.part", status="ALREADY_EXISTS", times=1))
    gateway.faults.add(Fault("grpc:Move", "stall", path="/f", seconds=3.5))
    client.upload(io.BytesIO(b"new"), "/f", overwrite=True, timeout=3)  # enough for what comes before
    assert [(entry.name, entry.size) for entry in client.files.list("/")] == [("f", 3)]
    assert (gateway.root / "f").read_bytes() == b"new"


def test_reading_a_file_object(gateway, client):
    (gateway.root / "f").write_bytes(bytes(3 * MIB))
    gateway.faults.add(Fault("http:GET", "slow", rate=1000))
    with over_in_time(), deadline.within(GIVEN), client.open_read("/f") as file:
        file.read()


def test_a_block_in_a_block_has_the_shorter_time():
    with deadline.within(90), deadline.within(60), deadline.within(70), deadline.within(None):
        assert 0 < deadline.at_most(100) <= 60
    assert deadline.at_most(100) == 100


def test_tidying_up_has_time_of_its_own():
    with deadline.within(0):
        with deadline.apart(60):
            assert 0 < deadline.at_most(100) <= 60
        with pytest.raises(errors.DeadlineExceeded):
            deadline.check()


def test_other_threads_have_their_own_time():
    seen = []
    with deadline.within(0):
        thread = threading.Thread(target=lambda: seen.append(deadline.at_most(7)))
        thread.start()
        thread.join()
    assert seen == [7]
