"""Hazards of the data path that a client meets on every storage, a real one too: docs/hazards.md has the numbers."""

from __future__ import annotations

import io
import json
import os
import random
import stat
import uuid
import zlib

import pytest

from rucio_cs3 import errors
from rucio_cs3.transfer import delivery
from tests.conformance.relay import Relay
from tests.conformance.sending import OLD, eventually
from tests.conformance.test_client_uploads import Cut

MIB = 1 << 20
SIZE = 3 * MIB + 7
DATA = random.Random(SIZE).randbytes(SIZE)
MTIME = "1600000000"

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def stored(client, folder):
    client.upload(io.BytesIO(OLD), f"{folder}/f")
    return f"{folder}/f"


@pytest.fixture
def leave(client, wire, folder):
    """Puts a file there as others do, who announce another length or time, and waits until it is processed."""

    def put(name, data, length=None, **opaque):
        path = f"{folder}/{name}"
        endpoints = wire.uploads(path, len(data) if length is None else length, **opaque)
        assert wire.request("PUT", endpoints["simple"], data).status == 200
        eventually(lambda: not client.files.stat(path).processing)
        return path

    return put


def content(client, path):
    sink = io.BytesIO()
    client.download(path, sink)
    return sink.getvalue()


def names(client, folder):
    return sorted(entry.name for entry in client.files.list(folder))


# 10: TUS drops what is beyond the announced length without a word


class Longer(io.BytesIO):
    """A source that has more than it said."""

    def seek(self, offset, whence=0):
        return SIZE - 5 if whence == io.SEEK_END else super().seek(offset, whence)


@pytest.mark.parametrize("chunk", [0, MIB, SIZE - 5])
def test_hazard_10_no_beginning_of_a_longer_source_is_kept(tus, folder, chunk):
    with tus(chunk_size=chunk) as client:
        with pytest.raises(errors.LocalSourceError, match="became longer"):
            client.upload(Longer(DATA), f"{folder}/f")
        assert names(client, folder) == []


# 13: to announce no bytes is to make the file empty, whatever was there


@pytest.mark.parametrize("protocol", ["simple", "auto"])
def test_hazard_13_an_empty_upload_takes_nothing_that_it_was_not_given(storage, folder, stored, tmp_path, protocol):
    empty = tmp_path / "empty"
    empty.touch()
    with storage.client(upload_protocol=protocol) as client:
        with pytest.raises(errors.AlreadyExists):
            client.upload(empty, stored)
        with pytest.raises(errors.WrongContent):
            client.upload(empty, stored, overwrite=True, checksums={"adler32": "028e014b"})
        assert content(client, stored) == OLD
        client.upload(empty, stored, overwrite=True)
        client.upload(empty, f"{folder}/new")
        assert (content(client, stored), content(client, f"{folder}/new")) == (b"", b"")
        assert names(client, folder) == ["f", "new"]


# 14: what is sent again to the same address is appended


@pytest.mark.breaks_storage
@pytest.mark.parametrize("protocol", ["simple", "tus"])
@pytest.mark.parametrize("places", [[1], [2 * MIB], [SIZE], [1, 2 * MIB, SIZE]], ids=str)
def test_hazard_14_what_is_sent_again_is_there_once(storage, folder, source, protocol, places):
    if storage.facts.killed_upload_breaks_user or protocol not in storage.facts.upload_protocols:
        pytest.skip("it has no such uploads, or nothing works there after a cut: see hazard 9")
    with storage.client(upload_protocol=protocol, retries=len(places)) as client:
        client.upload(source, f"{folder}/f", progress=Cut(*places))
        assert content(client, f"{folder}/f") == DATA
        assert names(client, folder) == ["f"]


# 15: the size is what was announced, and not what is there


@pytest.mark.parametrize("told", [3, 300])
def test_hazard_15_a_size_that_is_not_true_is_not_believed(storage, client, leave, tmp_path, told):
    path = leave("f", b"content", length=told)
    if not storage.facts.checks_uploads:  # it tells what it has
        assert (client.files.stat(path).size, content(client, path)) == (7, b"content")
        return
    assert client.files.stat(path).size == told
    with pytest.raises((errors.Interrupted, errors.SizeMismatch, errors.ChecksumMismatch)):
        client.download(path, tmp_path / "got")
    assert not (tmp_path / "got").exists()


# 18: 206, for a name that looks like a part of a file, is no success, and yet may write into another file


@pytest.mark.parametrize("part", ["1-0", "2-0", "2-1"])
@pytest.mark.parametrize("temporary", [False, True])
@pytest.mark.parametrize("protocol", ["simple", "auto"])
def test_hazard_18_a_name_like_that_of_a_part_is_a_name(storage, folder, stored, temporary, protocol, part):
    path = f"{stored}-chunking-{uuid.uuid4().hex}-{part}"
    with storage.client(upload_protocol=protocol) as client:
        client.upload(io.BytesIO(b"new"), path, temporary=temporary)
        assert (content(client, path), content(client, stored)) == (b"new", OLD)
        assert names(client, folder) == sorted([path.rpartition("/")[2], "f"])


# 5, 6, 19: what a third-party copy leaves that claimed success


@pytest.mark.parametrize(
    "left", [None, b"", DATA[:300], DATA[:-1], DATA[:-1] + b"?"], ids=["5", "19", "6", "6-", "19-"]
)
def test_hazard_19_what_a_copy_has_left_is_seen(storage, client, wire, folder, leave, tmp_path, left):
    path, wanted = f"{folder}/f", f"{zlib.adler32(DATA):08x}"
    if left:
        leave("f", left)
    elif left is not None:
        wire.touch(path)
    if left is None:
        with pytest.raises(errors.NotFound):
            client.files.stat(path)
    else:
        info = client.files.stat(path)
        told = info.checksums.get("adler32", wanted)
        assert (info.size, told) != (SIZE, wanted) or not (storage.has_checksums or len(left) < SIZE)
    with pytest.raises((errors.NotFound, errors.ChecksumMismatch)):
        client.download(path, tmp_path / "got", checksums={"adler32": wanted})
    assert os.listdir(tmp_path) == []


# 21: conditions are ignored, and an ETag may be of two contents


def test_hazard_21_two_contents_of_one_etag_do_not_make_a_file(storage, client, leave, tmp_path):
    def replace(done, total):
        if done >= 2 * MIB and not replaced:
            replaced.append(leave("f", DATA[::-1], **{"X-OC-Mtime": MTIME}))
            raise errors.Interrupted("the connection broke")

    replaced = []
    path = leave("f", DATA, **{"X-OC-Mtime": MTIME})
    before = client.files.stat(path).etag
    client.download(path, tmp_path / "got", progress=replace)
    assert (client.files.stat(path).etag == before) == storage.facts.checks_uploads
    assert (tmp_path / "got").read_bytes() == DATA[::-1]


def test_hazard_21_nor_in_two_runs(storage, client, leave, tmp_path):
    path = leave("f", DATA, **{"X-OC-Mtime": MTIME})
    with storage.client(retries=0) as first, pytest.raises(errors.Interrupted):
        first.download(path, tmp_path / "got", resume=True, progress=Cut(2 * MIB))
    leave("f", DATA[::-1], **{"X-OC-Mtime": MTIME})
    client.download(path, tmp_path / "got", resume=True)
    assert (tmp_path / "got").read_bytes() == DATA[::-1]


def test_hazard_21_nor_in_an_open_file(client, leave):
    path = leave("f", DATA, **{"X-OC-Mtime": MTIME})
    with client.open_read(path) as file:
        assert file.read(10) == DATA[:10]
        leave("f", DATA[::-1], **{"X-OC-Mtime": MTIME})
        file.seek(2 * MIB + 17)
        with pytest.raises(errors.Interrupted, match="replaced while it was read"):
            file.read(10)


# 23: who knows the address of an upload may write


@pytest.mark.breaks_storage
@pytest.mark.parametrize("protocol", ["simple", "tus"])
def test_hazard_23_the_address_is_told_to_nobody(storage, folder, source, tmp_path, caplog, monkeypatch, protocol):
    if protocol not in storage.facts.upload_protocols:
        pytest.skip("it has no such uploads")
    caplog.set_level("DEBUG")
    with storage.client(upload_protocol=protocol, retries=0) as client:
        known = endpoints_of(client, monkeypatch)
        with pytest.raises(errors.Interrupted) as caught:
            client.upload(source, f"{folder}/f", progress=Cut(2 * MIB))
        if not storage.facts.killed_upload_breaks_user:
            client.upload(source, f"{folder}/f")  # what is answered is logged
    shown = f"{caught.value!s}{caught.value!r}{caplog.text}{known!r}"
    assert known
    for endpoint in known:
        for secret in filter(None, (endpoint.token, not endpoint.token and endpoint.url.rpartition("/")[2])):
            assert secret not in shown


def endpoints_of(client, monkeypatch):
    """What it is going to be told of where to upload."""
    known, ask = [], client.files.initiate_upload

    def noted(*args, **options):
        found = ask(*args, **options)
        known.extend(found)
        return found

    monkeypatch.setattr(client.files, "initiate_upload", noted)
    return known


def test_hazard_23_it_is_kept_where_nobody_else_reads(tus, folder, source, tmp_path):
    with tus(retries=0, chunk_size=MIB) as client, pytest.raises(errors.Interrupted):
        client.upload(source, f"{folder}/f", progress=Cut(2 * MIB))
    [kept] = (tmp_path / "state").rglob("*.json")
    assert json.loads(kept.read_text())["endpoint"]["url"].startswith("http")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


# 24: what was given up may arrive late, and be written into a file that is finished


@pytest.mark.breaks_storage
def test_hazard_24_what_arrives_late_spoils_nothing(tus, storage, folder, source, monkeypatch):
    with tus(stall_timeout=2, retries=3) as client:
        relay = Relay(monkeypatch, after=MIB)
        try:
            client.upload(source, f"{folder}/f")
            relay.release()
        finally:
            relay.close()
            monkeypatch.undo()
    assert relay.late
    with storage.client() as client:
        assert content(client, f"{folder}/f") == DATA
        assert "f" in names(client, folder)


# 25: an upload that has all its bytes and failed in the end answers 204 to a PATCH of no more


@pytest.mark.parametrize("verify", ["none", "server"])
def test_hazard_25_an_upload_that_failed_in_the_end_is_not_taken_for_done(
    tus, wire, folder, source, monkeypatch, verify
):
    """It failed because somebody made the file meanwhile: under a name that is ours, so it goes."""

    def make(done, total):
        if done == SIZE and not made:
            made.append(wire.put(f"{folder}/f", OLD))

    made = []
    monkeypatch.setattr(delivery, "FINISHING", 0.1)
    with tus(verify=verify) as client:
        client.upload(source, f"{folder}/f", temporary=True, progress=make)
        assert made == [200]
        eventually(lambda: not client.files.stat(f"{folder}/f").processing)
        assert content(client, f"{folder}/f") == DATA
        assert names(client, folder) == ["f"]
