from __future__ import annotations

import io
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rucio_cs3 import errors
from rucio_cs3.gateway import Fault
from tests.unit.transfer.resuming import MIB, SIZE, asked, content, left, names

pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize(
    ("wanted", "size", "method"),
    [
        ({}, SIZE, "PUT"),
        ({"tus_from": SIZE}, SIZE, "PATCH"),
        ({"tus_from": SIZE + 1}, SIZE, "PUT"),
        ({"upload_protocol": "simple", "tus_from": 0}, SIZE, "PUT"),
        ({"upload_protocol": "tus"}, 5, "PATCH"),
    ],
    ids=str,
)
def test_which_protocol(gateway, login, place, wanted, size, method):
    login(gateway, **wanted).upload(io.BytesIO(bytes(size)), place("f"))
    assert (asked(gateway, "PUT"), asked(gateway, "PATCH")) == ((1, 0) if method == "PUT" else (0, 1))


def test_what_is_not_offered_is_not_taken(serve, login):
    gateway = serve("reva-ceph")
    with pytest.raises(errors.Unsupported, match="offers simple for uploads, and we speak tus; set upload_protocol"):
        login(gateway, upload_protocol="tus").upload(io.BytesIO(b"x"), "/f")
    login(gateway, tus_from=0).upload(io.BytesIO(b"x"), "/f")
    assert asked(gateway, "PUT") == 1


@pytest.mark.parametrize("chunk", [0, 1, MIB, MIB + 1, SIZE - 1, SIZE, SIZE + 1])
def test_in_pieces(gateway, login, place, source, chunk):
    if chunk == 1:
        source.write_bytes(b"tiny")
    client = login(gateway, upload_protocol="tus", chunk_size=chunk)
    assert client.upload(source, place("f")).size == source.stat().st_size
    assert content(client, place("f")) == source.read_bytes()
    assert asked(gateway, "PATCH") == -(-source.stat().st_size // chunk) if chunk else 1


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_size_chunk_and_cut_gives_the_right_bytes(gateway, login, place, data):
    """Also where they meet: a cut at a block's or a chunk's end."""
    size = data.draw(st.integers(1, 3 * MIB), "size")
    chunk = data.draw(st.sampled_from([0, size, max(size - 1, 1)]) | st.integers(max(size // 20, 1), size + 1), "chunk")
    after = data.draw(st.sampled_from([0, 1, size - 1]) | st.integers(0, size), "after")
    gateway.faults.clear()
    kind = data.draw(st.sampled_from(["cut", "reset"]), "kind")
    gateway.faults.add(Fault("http:PATCH", kind, after=after, times=2, skip=data.draw(st.integers(0, 3), "skip")))
    content_ = os.urandom(size)
    client = login(gateway, upload_protocol="tus", chunk_size=chunk, retries=3)
    client.upload(io.BytesIO(content_), place("f"), overwrite=True)
    assert content(client, place("f")) == content_
    assert names(client, gateway) == ["f"]


@pytest.mark.parametrize("kind", ["cut", "reset"])
@pytest.mark.parametrize("after", [0, 1, MIB, 2 * MIB + 5, SIZE - 1])
def test_what_was_cut_goes_on_where_it_was(gateway, client, place, source, kind, after, state):
    gateway.faults.add(Fault("http:PATCH", kind, after=after, times=1))
    sent = client.upload(source, place("f"))
    assert content(client, place("f")) == source.read_bytes()
    assert (sent.size, asked(gateway, "PATCH")) == (SIZE, 2)
    assert sum(call.method == "InitiateFileUpload" for call in gateway.calls) == 1
    assert (names(client, gateway), left(state)) == (["f"], [])


@pytest.mark.parametrize("after", [0, MIB, SIZE - 1])
def test_after_a_silence_it_begins_anew(gateway, login, place, source, after, state):
    """Who was silent may find his tongue, and write what he holds into a file that has its name by then."""
    gateway.faults.add(Fault("http:PATCH", "stall", after=after, times=1))
    client = login(gateway, upload_protocol="tus", stall_timeout=2.0)
    client.upload(source, place("f"))
    assert sum(call.method == "InitiateFileUpload" for call in gateway.calls) == 2
    assert left(state) == []
    gateway.stop()
    [stored] = gateway.root.rglob("f")
    assert stored.read_bytes() == source.read_bytes()


def test_as_long_as_it_gets_further_it_goes_on(gateway, client, place, source):
    gateway.faults.add(Fault("http:PATCH", "cut", after=MIB // 2, times=6))
    client.upload(source, place("f"))
    assert content(client, place("f")) == source.read_bytes()


def test_an_answer_that_is_lost_is_no_loss(gateway, client, place, source):
    """The session is over because it was finished, and the storage shows it."""
    gateway.faults.add(Fault("http:PATCH", "no_answer", times=1))
    client.upload(source, place("f"))
    assert asked(gateway, "PATCH") == 1
    assert content(client, place("f")) == source.read_bytes()
    assert names(client, gateway) == ["f"]


def test_under_a_temporary_name_a_lost_answer_is_not_guessed_at(gateway, client, place, source):
    gateway.faults.add(Fault("http:PATCH", "no_answer", times=1))
    client.upload(source, place("f"), temporary=True)
    assert asked(gateway, "PATCH") == 2
    assert content(client, place("f")) == source.read_bytes()


@pytest.mark.parametrize("status", ["409", "423", "502", "503"])
def test_a_passing_refusal(gateway, client, place, source, status):
    gateway.faults.add(Fault("http:PATCH", "status", status=status, times=1))
    client.upload(source, place("f"))
    assert content(client, place("f")) == source.read_bytes()
    assert sum(call.method == "InitiateFileUpload" for call in gateway.calls) == 1


@pytest.mark.parametrize("status", ["403", "404", "410", "412", "500", "504"])
def test_a_session_that_is_no_good_is_replaced(gateway, client, place, source, status):
    gateway.faults.add(Fault("http:PATCH", "status", status=status, times=1))
    client.upload(source, place("f"))
    assert content(client, place("f")) == source.read_bytes()
    assert sum(call.method == "InitiateFileUpload" for call in gateway.calls) == 2


@pytest.mark.parametrize("status", ["507", "400", "413"])
def test_what_will_not_pass(gateway, client, place, source, status, state):
    gateway.faults.add(Fault("http:PATCH", "status", status=status))
    with pytest.raises((errors.StorageFull, errors.InvalidRequest)):
        client.upload(source, place("f"))
    assert asked(gateway, "PATCH") == 1
    assert (names(client, gateway), left(state)) == ([], [])


def test_a_byte_that_went_wrong_is_found_where_the_storage_is_read_again(gateway, login, place, source):
    client = login(gateway, upload_protocol="tus", verify="readback")
    gateway.faults.add(Fault("http:PATCH", "wrong_byte", after=MIB, times=1))
    client.upload(source, place("f"))
    assert content(client, place("f")) == source.read_bytes()
