from __future__ import annotations

import io
import json
import os
import threading

import pytest

from rucio_cs3 import deadline, errors
from rucio_cs3.gateway import Fault
from rucio_cs3.transfer import retry as retrying
from tests.unit.transfer.resuming import MIB, SIZE, asked, content, cut, left, names

pytestmark = pytest.mark.usefixtures("quick")


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


@pytest.mark.parametrize("change", ["content", "size", "replaced", "secretly"])
def test_a_source_that_changed_meanwhile_is_begun_anew(gateway, client, place, source, state, change):
    cut(gateway, client, source, place("f"))
    if change == "replaced":
        other = source.with_name("other")
        other.write_bytes(os.urandom(SIZE))
        stamp = source.stat().st_mtime_ns
        os.utime(other, ns=(stamp, stamp))
        other.replace(source)
    elif change == "secretly":
        stamp = source.stat().st_mtime_ns
        source.write_bytes(os.urandom(SIZE))
        os.utime(source, ns=(stamp, stamp))
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


@pytest.mark.parametrize("how", ["Ctrl-C", "a stop"])
@pytest.mark.parametrize("resume", ["on", "off"])
def test_who_breaks_off_can_go_on_later(gateway, login, place, source, state, how, resume):
    client = login(gateway, upload_protocol="tus", chunk_size=MIB, resume=resume)
    stop = deadline.Stop()

    def interrupt(done, total):
        if done > MIB:
            if how == "Ctrl-C":
                raise KeyboardInterrupt
            stop.now()

    with stop.scope(), pytest.raises((KeyboardInterrupt, errors.Stopped)) as caught:
        client.upload(source, place("f"), progress=interrupt)
    assert (names(client, gateway), len(left(state))) == ([], resume == "on")
    assert how == "Ctrl-C" or ("it goes on" in str(caught.value)) == (resume == "on")
    gateway.calls.clear()
    client.upload(source, place("f"))
    assert content(client, place("f")) == source.read_bytes()
    assert any(call.method == "InitiateFileUpload" for call in gateway.calls) == (resume == "off")


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


@pytest.mark.parametrize("status", ["405", "400", "507", "301", "502", "500", "408", "401"])
def test_a_session_that_cannot_be_asked_for_blocks_nobody(gateway, login, place, source, state, status):
    client = login(gateway, upload_protocol="tus", retries=0)
    cut(gateway, client, source, place("f"))
    gateway.faults.add(Fault("http:HEAD", "status", status=status))
    client.upload(source, place("f"))
    assert content(client, place("f")) == source.read_bytes()
    assert (names(client, gateway), left(state)) == (["f"], [])


def test_a_data_server_that_has_moved_blocks_nobody(serve, gateway, login, place, source, state):
    cut(gateway, login(gateway, upload_protocol="tus", retries=0), source, place("f"))
    gateway.stop()
    gateway = serve(again=gateway, http_port=0)
    client = login(gateway, upload_protocol="tus", retries=0)
    client.upload(source, place("f"))
    assert content(client, place("f")) == source.read_bytes()
    assert (names(client, gateway), left(state)) == (["f"], [])


def test_within_one_run_a_refusal_to_tell_means_a_new_session(gateway, client, place, source):
    gateway.faults.add(Fault("http:PATCH", "cut", after=MIB, times=1), Fault("http:HEAD", "status", status="405"))
    client.upload(source, place("f"))
    assert content(client, place("f")) == source.read_bytes()
    assert sum(call.method == "InitiateFileUpload" for call in gateway.calls) == 2


def test_what_was_temporary_is_nobody_elses(gateway, login, place, source, tmp_path):
    """Its session writes to the target itself."""
    client = login(gateway, upload_protocol="tus", retries=0)
    cut(gateway, client, source, place("f"), temporary=True)
    good = tmp_path / "good"
    good.write_bytes(b"good")
    client.upload(good, place("f"))
    gateway.faults.add(Fault("http:HEAD", "status", status="404"), Fault("http:PATCH", "status", status="507"))
    with pytest.raises(errors.StorageFull):
        client.upload(source, place("f"), overwrite=True)
    assert content(client, place("f")) == b"good"


def test_an_expired_session_may_have_been_finished(gateway, login, place, source, state):
    client = login(gateway, upload_protocol="tus", retries=0)
    gateway.faults.add(Fault("http:PATCH", "no_answer", times=1))
    with pytest.raises(errors.Interrupted):
        client.upload(source, place("f"))
    forge(state, expires=1)
    gateway.calls.clear()
    client.upload(source, place("f"))
    assert (asked(gateway, "HEAD"), asked(gateway, "PATCH")) == (0, 0)
    assert (names(client, gateway), left(state)) == (["f"], [])


@pytest.mark.parametrize("how", ["resume is off", "handed over open"])
def test_what_cannot_be_gone_on_with_leaves_nothing(gateway, login, place, source, how):
    client = login(gateway, upload_protocol="tus", retries=0, resume="off" if how == "resume is off" else None)
    gateway.faults.add(Fault("http:PATCH", "no_answer", times=1))
    with source.open("rb") as file, pytest.raises(errors.Interrupted):
        client.upload(source if how == "resume is off" else file, place("f"))
    assert names(client, gateway) == []


@pytest.mark.parametrize("verify", ["server", "none"])
def test_what_was_gone_on_with_is_read_again(gateway, login, place, source, verify):
    """Where the storage computes no checksum."""
    client = login(gateway, upload_protocol="tus", retries=0, verify=verify)
    cut(gateway, client, source, place("f"))
    client.upload(source, place("f"))
    assert asked(gateway, "GET") == (verify == "server")


def test_the_address_is_told_to_nobody(gateway, client, place, source, state, caplog):
    caplog.set_level("DEBUG")
    said = cut(gateway, client, source, place("f"))
    known = json.loads(left(state)[0].read_text())["endpoint"]
    secrets = [known["token"], known["url"].rpartition("/")[2] if not known["token"] else None]
    client.upload(source, place("f"))
    for secret in filter(None, secrets):
        assert secret not in caplog.text
        assert secret not in said
