from __future__ import annotations

import io
import os
import signal
import subprocess
import sys

import pytest

from rucio_cs3 import errors
from rucio_cs3.cs3 import wire
from rucio_cs3.gateway import Fault
from rucio_cs3.gateway.storage import Storage
from rucio_cs3.transfer import proof, upload
from rucio_cs3.transfer import retry as retrying

MIB = 1 << 20


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(upload, "LATE_COMMIT", (0.0, 0.05))
    monkeypatch.setattr(proof, "FIRST_LOOK", 0.01)


@pytest.fixture
def gateway(serve):
    return serve()


@pytest.fixture
def client(gateway, login):
    return login(gateway)


def calls(gateway, method):
    return sum(call.method == method for call in gateway.calls)


def names(client):
    return sorted(entry.name for entry in client.files.list("/"))


def content(client, path):
    with client.open_read(path) as file:
        return file.read()


@pytest.mark.parametrize("status", ["206", "201", "204"])
def test_only_200_is_success(gateway, client, status):
    gateway.faults.add(Fault("http:PUT", "status", status=status))
    with pytest.raises(errors.Cs3Error, match=f"HTTP {status}"):
        client.upload(io.BytesIO(b"x"), "/f")
    assert names(client) == []


@pytest.mark.parametrize("status", ["206", "409", "412", "419", "429", "500", "502", "503", "504"])
def test_a_second_attempt_is_a_second_session_with_another_name(gateway, client, status):
    gateway.faults.add(Fault("http:PUT", "status", status=status, times=1))
    client.upload(io.BytesIO(b"content"), "/f", temporary=True)
    assert calls(gateway, "InitiateFileUpload") == calls(gateway, "PUT") == 2
    assert len({call.path for call in gateway.calls if call.method == "PUT"}) == 2
    assert (names(client), content(client, "/f")) == (["f"], b"content")


@pytest.mark.parametrize("status", ["400", "403", "416", "423", "501", "507"])
def test_what_will_not_pass_is_tried_once(gateway, client, status):
    gateway.faults.add(Fault("http:PUT", "status", status=status))
    with pytest.raises(errors.Cs3Error, match=f"HTTP {status}"):
        client.upload(io.BytesIO(b"content"), "/f")
    assert calls(gateway, "PUT") == 1
    assert names(client) == []


def test_a_refused_token_is_renewed_once(gateway, client):
    gateway.faults.add(Fault("http:PUT", "token_expired", times=1))
    client.upload(io.BytesIO(b"content"), "/f")
    gateway.faults.add(Fault("http:PUT", "token_expired"))
    with pytest.raises(errors.TokenRejected):
        client.upload(io.BytesIO(b"content"), "/g")
    assert calls(gateway, "PUT") == 4


@pytest.mark.parametrize("kind", ["cut", "reset", "stall"])
@pytest.mark.parametrize("after", [0, 1, MIB, 2 * MIB - 1])
def test_a_transfer_that_breaks_is_begun_anew(gateway, login, kind, after):
    gateway.faults.add(Fault("http:PUT", kind, after=after, times=1))
    data = os.urandom(2 * MIB)
    client = login(gateway, stall_timeout=2.0)
    client.upload(io.BytesIO(data), "/f")
    assert content(client, "/f") == data
    assert names(client) == ["f"]


@pytest.mark.parametrize("kind", ["INTERNAL", "UNAVAILABLE", "no answer"])
@pytest.mark.parametrize(("method", "skip"), [*(("Stat", skip) for skip in range(4)), ("Move", 0)])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_was_sent_is_not_thrown_away_for_one_failed_call(gateway, client, method, skip, kind, overwrite):
    how = ("no_answer", "") if kind == "no answer" else ("status", kind)
    if overwrite:
        client.upload(io.BytesIO(b"older"), "/f")
        gateway.calls.clear()
    gateway.faults.add(Fault(f"grpc:{method}", how[0], status=how[1], skip=skip, times=1))
    client.upload(io.BytesIO(b"content"), "/f", overwrite=overwrite)
    gateway.faults.clear()
    assert calls(gateway, "PUT") == 1
    assert (names(client), content(client, "/f")) == (["f"], b"content")


@pytest.mark.parametrize("told", ["md5", "sha1"])
def test_a_wrong_byte_is_not_taken_for_a_wrong_source(serve, login, monkeypatch, told):
    """Where the storage computes another checksum than we do on the way."""
    gateway = serve("opencloud")
    client = login(gateway)
    place = f"/users/{client.whoami().opaque_id}/d/f"
    client.files.mkdir(place[:-2])
    real = wire._checksums  # no storage seen leaves adler32 out
    monkeypatch.setattr(wire, "_checksums", lambda *args: {told: real(*args)[told]} if real(*args) else {})
    gateway.faults.add(Fault("http:PUT", "wrong_byte", after=1, times=1))
    data = os.urandom(2 * MIB)
    client.upload(io.BytesIO(data), place)
    assert calls(gateway, "PUT") == 2
    assert content(client, place) == data
    assert calls(gateway, "GET") == 1


@pytest.mark.parametrize("kind", [BrokenPipeError, ConnectionError, OSError])
@pytest.mark.parametrize("protocol", ["simple", "tus"])
def test_a_failure_of_the_callers_own_stays_his(gateway, login, source, kind, protocol):
    def fail(done, total):
        raise kind("mine")

    client = login(gateway, upload_protocol=protocol)
    with pytest.raises(kind, match=r"^mine$"):
        client.upload(source, "/f", progress=fail)
    assert calls(gateway, "InitiateFileUpload") == 1
    assert names(client) == []


def test_a_gateway_that_has_too_much_to_do_is_asked_again(gateway, client):
    gateway.faults.add(Fault("grpc:InitiateFileUpload", "exception", status="RESOURCE_EXHAUSTED", times=1))
    client.upload(io.BytesIO(b"content"), "/f")
    assert names(client) == ["f"]


def test_an_open_file_that_changes_meanwhile_is_not_stored(gateway, client, source):
    def meddle(done, total):
        with source.open("r+b") as file:
            file.write(b"B" * total)

    with source.open("rb") as file, pytest.raises(errors.LocalSourceError, match="while it was read"):
        client.upload(file, "/f", progress=meddle)
    assert names(client) == []


@pytest.mark.parametrize(("verify", "looks"), [("none", 0), ("server", 1), ("readback", 2)])
def test_how_often_it_looks(gateway, login, verify, looks):
    login(gateway, verify=verify).upload(io.BytesIO(b"content"), "/f")
    assert sum(call.method == "Stat" and call.path.endswith(".part") for call in gateway.calls) == looks


class Processing:
    """Makes a gateway show what was uploaded as being processed, for so many looks, and then maybe take it back."""

    def __init__(self, monkeypatch, looks, *, vanishes=False):
        self.left, self.vanishes = looks, vanishes
        real = Storage.stat
        processing = self

        def stat(storage, place, *args, **options):
            found = real(storage, place, *args, **options)
            if place.local.name.endswith(".part") and processing.left:
                processing.left -= 1
                found.opaque.map["status"].decoder = "plain"
                found.opaque.map["status"].value = b"processing"
                if not processing.left and processing.vanishes:
                    place.local.unlink()
            return found

        monkeypatch.setattr(Storage, "stat", stat)


def test_processing_is_waited_for(monkeypatch, gateway, client):
    Processing(monkeypatch, 5)
    client.upload(io.BytesIO(b"content"), "/f")
    assert names(client) == ["f"]


def test_what_is_turned_down_is_not_sent_again(monkeypatch, gateway, client):
    Processing(monkeypatch, 3, vanishes=True)
    with pytest.raises(errors.TurnedDown, match="its checks turned them down"):
        client.upload(io.BytesIO(b"content"), "/f")
    assert calls(gateway, "PUT") == 1
    assert names(client) == []


def test_processing_that_never_ends(monkeypatch, gateway, login):
    Processing(monkeypatch, 10_000)
    client = login(gateway, processing_timeout=0.1)
    with pytest.raises(errors.Processing, match="raise processing_timeout"):
        client.upload(io.BytesIO(b"content"), "/f")
    assert calls(gateway, "PUT") == 1


CLIENT = """
import sys
from rucio_cs3 import Cs3Client
def tell(done, total):
    print(done, flush=True)
    if done > 1 << 20:
        sys.stdin.readline()
with Cs3Client(gateway=sys.argv[1], tls=False, username="einstein", password="relativity",
               upload_protocol=sys.argv[3], chunk_size=1 << 20) as site:
    site.upload(sys.argv[2], "/f", progress=tell)
"""


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["simple", "tus"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_killed(gateway, login, source, state, protocol, how):
    """The next one goes on by tus, and begins anew otherwise."""
    command = [sys.executable, "-c", CLIENT, gateway.address, str(source), protocol]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as killed:
        while int(killed.stdout.readline()) <= MIB:
            pass
        killed.send_signal(how)
        killed.wait()
    remembered = protocol == "tus"
    assert len(list(state.glob("*.json")) if state.exists() else []) == remembered
    gateway.calls.clear()
    client = login(gateway, upload_protocol=protocol)
    client.upload(source, "/f")
    assert content(client, "/f") == source.read_bytes()
    assert calls(gateway, "InitiateFileUpload") == (not remembered)
    left_over = [name for name in names(client) if name != "f"]
    assert left_over == [] or (protocol == "simple" and how != signal.SIGINT)
