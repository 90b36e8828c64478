from __future__ import annotations

import io
import json
import os
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rucio_cs3 import errors
from rucio_cs3.gateway import Fault
from rucio_cs3.transfer import delivery, upload
from rucio_cs3.transfer import retry as retrying

MIB = 1 << 20
SIZE = 3 * MIB + 7
BEHAVIOURS = ("reva-local", "reva-localhome")  # behind the data gateway, and exposed


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(delivery, "SETTLING", 0.01)
    monkeypatch.setattr(delivery, "FINISHING", 0.1)
    monkeypatch.setattr(upload, "LATE_COMMIT", (0.0, 0.05))


@pytest.fixture(params=BEHAVIOURS)
def gateway(serve, request):
    return serve(request.param)


@pytest.fixture
def place(gateway):
    """A path in the gateway, by name."""
    return lambda name: f"{gateway.behaviour.mount.rstrip('/')}/{name}"


@pytest.fixture
def client(gateway, login):
    return login(gateway, upload_protocol="tus", retries=1)


def content(client, path):
    with client.open_read(path) as file:
        return file.read()


def names(client, gateway):
    return sorted(entry.name for entry in client.files.list(gateway.behaviour.mount))


def asked(gateway, method):
    """How often, over HTTP."""
    return sum(call.door == "http" and call.method == method for call in gateway.calls)


def left(state):
    return sorted(state.glob("*.json")) if state.exists() else []


def cut(gateway, client, source, place, after=2 * MIB, **options):
    """An upload that is cut at `after`, for good."""
    gateway.faults.add(Fault("http:PATCH", "cut", after=after))
    with pytest.raises(errors.Interrupted) as caught:
        client.upload(source, place, **options)
    gateway.faults.clear()
    gateway.calls.clear()
    return str(caught.value)


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


def test_a_stall_is_a_cut(gateway, login, place, source):
    gateway.faults.add(Fault("http:PATCH", "stall", after=MIB, times=1))
    client = login(gateway, upload_protocol="tus", stall_timeout=0.3)
    client.upload(source, place("f"))
    assert content(client, place("f")) == source.read_bytes()


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


@pytest.mark.parametrize("status", ["409", "423", "502", "503", "504"])
def test_a_passing_refusal(gateway, client, place, source, status):
    gateway.faults.add(Fault("http:PATCH", "status", status=status, times=1))
    client.upload(source, place("f"))
    assert content(client, place("f")) == source.read_bytes()
    assert sum(call.method == "InitiateFileUpload" for call in gateway.calls) == 1


@pytest.mark.parametrize("status", ["403", "404", "410", "412", "500"])
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


def test_another_process_goes_on(gateway, client, login, place, source, state):
    said = cut(gateway, client, source, place("f"))
    assert f"of {SIZE} bytes are there: upload it again, and it goes on" in said
    [file] = left(state)
    assert (file.stat().st_mode & 0o777, state.stat().st_mode & 0o777) == (0o600, 0o700)
    again = login(gateway, upload_protocol="tus")
    sent = []
    again.upload(source, place("f"), progress=lambda done, total: sent.append(done))
    assert content(again, place("f")) == source.read_bytes()
    assert (asked(gateway, "PATCH"), asked(gateway, "PUT")) == (1, 0)
    assert not any(call.method == "InitiateFileUpload" for call in gateway.calls)
    assert (names(again, gateway), left(state), sent[-1]) == (["f"], [], SIZE)


def test_after_a_restart_of_the_server_too(serve, gateway, client, login, place, source):
    cut(gateway, client, source, place("f"))
    gateway.stop()
    gateway = serve(again=gateway)
    again = login(gateway, upload_protocol="tus")
    again.upload(source, place("f"))
    assert asked(gateway, "HEAD") >= 2
    assert content(again, place("f")) == source.read_bytes()


def test_a_server_that_restarts_meanwhile(serve, gateway, login, place, source, monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.2)
    client = login(gateway, upload_protocol="tus", retries=6, chunk_size=MIB)
    after = []

    def restart(done, total):
        if done > MIB and not after:
            gateway.stop()
            after.append(serve(again=gateway))

    client.upload(source, place("f"), progress=restart)
    assert content(client, place("f")) == source.read_bytes()
    assert not any(call.method == "InitiateFileUpload" for call in after[0].calls)


@pytest.mark.parametrize("change", ["content", "size", "replaced"])
def test_a_source_that_changed_meanwhile_is_begun_anew(gateway, client, place, source, state, change):
    cut(gateway, client, source, place("f"))
    if change == "replaced":
        other = source.with_name("other")
        other.write_bytes(os.urandom(SIZE))
        stamp = source.stat().st_mtime_ns
        os.utime(other, ns=(stamp, stamp))
        other.replace(source)
    else:
        source.write_bytes(os.urandom(SIZE if change == "content" else SIZE + 1))
    client.upload(source, place("f"))
    assert content(client, place("f")) == source.read_bytes()
    assert asked(gateway, "DELETE") == gateway.behaviour.exposes_data_server  # the data gateway cannot
    assert (names(client, gateway), left(state)) == (["f"], [])


def forge(state, **changes):
    [file] = left(state)
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return file


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"staging": null}', "{}"])
def test_a_torn_file_says_nothing(gateway, client, place, source, state, text):
    cut(gateway, client, source, place("f"))
    left(state)[0].write_text(text)
    client.upload(source, place("f"))
    assert content(client, place("f")) == source.read_bytes()
    assert left(state) == []


def test_an_expired_session_is_not_asked_for(gateway, client, place, source, state):
    cut(gateway, client, source, place("f"))
    forge(state, expires=1)
    client.upload(source, place("f"))
    assert asked(gateway, "HEAD") == 0
    assert left(state) == []


def test_a_session_that_the_server_has_forgotten(gateway, login, place, source, state):
    client = login(gateway, upload_protocol="tus", retries=0)
    cut(gateway, client, source, place("f"))
    for file in (gateway.root / ".cs3-gateway" / "uploads").iterdir():
        file.unlink()
    client.upload(source, place("f"))
    assert content(client, place("f")) == source.read_bytes()
    assert (names(client, gateway), left(state)) == (["f"], [])


def test_killed_between_the_last_byte_and_the_name(gateway, client, login, place, source, state):
    """The file is there, whole, under its temporary name."""
    gateway.faults.add(Fault("http:PATCH", "no_answer"))
    gateway.faults.add(Fault("http:HEAD", "status", status="503"))
    with pytest.raises(errors.Unavailable):
        client.upload(source, place("f"))
    gateway.faults.clear()
    gateway.calls.clear()
    assert len(names(client, gateway)) == len(left(state)) == 1
    login(gateway, upload_protocol="tus").upload(source, place("f"))
    assert asked(gateway, "PATCH") == 0
    assert content(client, place("f")) == source.read_bytes()
    assert (names(client, gateway), left(state)) == (["f"], [])


def test_it_is_one_users_upload_to_one_name(gateway, client, login, place, source):
    cut(gateway, client, source, place("f"))
    client.upload(source, place("g"))
    other = login(gateway, upload_protocol="tus", username="marie", password="radioactivity")
    other.upload(source, place("f"))
    assert asked(gateway, "HEAD") == 0


def test_two_do_not_share_one_session(gateway, client, login, place, source):
    cut(gateway, client, source, place("f"))
    met = threading.Event()
    release = threading.Event()

    def hold(done, total):
        met.set()
        release.wait(30)

    first = threading.Thread(
        target=client.upload, args=(source, place("f")), kwargs={"progress": hold, "overwrite": True}
    )
    first.start()
    assert met.wait(30)
    second = login(gateway, upload_protocol="tus")
    second.upload(source, place("f"), overwrite=True)
    assert sum(call.method == "InitiateFileUpload" for call in gateway.calls) == 1
    release.set()
    first.join()
    assert content(second, place("f")) == source.read_bytes()
    assert names(second, gateway) == ["f"]


def test_an_interrupt_gives_it_up(gateway, client, place, source, state):
    def interrupt(done, total):
        if done > MIB:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.upload(source, place("f"), progress=interrupt)
    assert asked(gateway, "DELETE") == gateway.behaviour.exposes_data_server
    assert (names(client, gateway), left(state)) == ([], [])


@pytest.mark.parametrize("how", ["off", "in memory", "small"])
def test_what_is_not_remembered_is_given_up(gateway, login, place, source, state, how):
    client = login(gateway, upload_protocol="tus", retries=0, resume="off" if how == "off" else None)
    if how == "small":
        source.write_bytes(b"x" * MIB)
    sent = io.BytesIO(source.read_bytes()) if how == "in memory" else source
    assert "goes on" not in cut(gateway, client, sent, place("f"), after=1000)
    client.upload(source, place("f"))
    assert asked(gateway, "HEAD") == 0
    assert left(state) == []


def test_where_nothing_can_be_written_it_goes_on_without(gateway, login, place, source, tmp_path):
    (tmp_path / "file").touch()
    client = login(gateway, upload_protocol="tus", resume=str(tmp_path / "file" / "below"))
    gateway.faults.add(Fault("http:PATCH", "cut", after=MIB, times=1))
    client.upload(source, place("f"))
    assert content(client, place("f")) == source.read_bytes()


def test_a_folder_that_others_can_read_is_not_used(gateway, client, place, source, state, caplog):
    state.mkdir(parents=True)
    state.chmod(0o755)
    assert "goes on" not in cut(gateway, client, source, place("f"))
    assert left(state) == []
    assert "chmod 700" in caplog.text


def test_a_file_that_others_can_read_is_removed(gateway, client, place, source, state):
    cut(gateway, client, source, place("f"))
    left(state)[0].chmod(0o644)
    client.upload(source, place("f"))
    assert asked(gateway, "HEAD") == 0
    assert left(state) == []


def test_old_ones_are_swept_away(gateway, client, place, source, state, tmp_path):
    cut(gateway, client, source, place("f"))
    os.utime(left(state)[0], (0, 0))
    other = tmp_path / "other"
    other.write_bytes(source.read_bytes())
    cut(gateway, client, other, place("g"))
    assert len(left(state)) == 1
    os.utime(left(state)[0])
    forge(state, expires=1)
    cut(gateway, client, source, place("f"))
    assert len(left(state)) == 1


def test_the_address_is_told_to_nobody(gateway, client, place, source, state, caplog):
    caplog.set_level("DEBUG")
    said = cut(gateway, client, source, place("f"))
    known = json.loads(left(state)[0].read_text())["endpoint"]
    secrets = [known["token"], known["url"].rpartition("/")[2] if not known["token"] else None]
    client.upload(source, place("f"))
    for secret in filter(None, secrets):
        assert secret not in caplog.text
        assert secret not in said
