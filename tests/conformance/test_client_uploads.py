"""Uploads that go on after a cut, on every storage that has tus, and what becomes of a file's time and checksum."""

from __future__ import annotations

import os
import random

import pytest

from rucio_cs3 import errors

MIB = 1 << 20
SIZE = 3 * MIB + 7

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(random.Random(SIZE).randbytes(SIZE))
    return path


class Cut:
    """A progress that breaks the connection at each of these bytes, for everybody or once."""

    def __init__(self, *places):
        self.places = list(places)

    def __call__(self, done, total):
        if self.places and done >= self.places[0]:
            self.places.pop(0)
            raise errors.Interrupted("cut by the test")


def content(client, path):
    with client.open_read(path) as file:
        return file.read()


def names(client, folder):
    return sorted(entry.name for entry in client.files.list(folder))


@pytest.mark.parametrize("chunk", [0, MIB, MIB + 1, SIZE - 1, SIZE, SIZE + 1])
def test_in_pieces(tus, folder, source, chunk):
    with tus(chunk_size=chunk) as client:
        client.upload(source, f"{folder}/f")
        assert content(client, f"{folder}/f") == source.read_bytes()
        assert names(client, folder) == ["f"]


@pytest.mark.parametrize("size", [0, 1, 4096, MIB])
def test_small_files(tus, folder, source, size):
    source.write_bytes(b"x" * size)
    with tus() as client:
        client.upload(source, f"{folder}/new/f")
        assert client.files.stat(f"{folder}/new/f").size == size


@pytest.mark.parametrize("places", [[1], [2 * MIB], [SIZE], [1, 2 * MIB, 3 * MIB, SIZE]], ids=str)
@pytest.mark.parametrize("chunk", [0, MIB])
def test_after_cuts(tus, folder, source, places, chunk):
    with tus(chunk_size=chunk, retries=5) as client:
        client.upload(source, f"{folder}/f", progress=Cut(*places))
        assert content(client, f"{folder}/f") == source.read_bytes()
        assert names(client, folder) == ["f"]


@pytest.mark.parametrize("temporary", [False, True])
def test_in_the_next_process(tus, folder, source, temporary):
    with tus(retries=0, chunk_size=MIB) as client, pytest.raises(errors.Interrupted, match="bytes are there"):
        client.upload(source, f"{folder}/f", temporary=temporary, progress=Cut(2 * MIB))
    with tus() as client:
        assert names(client, folder) == []
        client.upload(source, f"{folder}/f", temporary=temporary)
        assert content(client, f"{folder}/f") == source.read_bytes()
        assert names(client, folder) == ["f"]


def test_no_session_stays_of_one_request_that_failed(storage, wire, folder, source, monkeypatch):
    """It is one of tus, too, and only so can it be ended. The data gateway of the first line does not let us."""
    if not storage.has_tus:
        pytest.skip("it offers simple uploads only")
    opened = []
    with storage.client(upload_protocol="simple", retries=1) as client:
        begin = client.files.initiate_upload
        monkeypatch.setattr(
            client.files, "initiate_upload", lambda *a, **k: opened.append(begin(*a, **k)) or opened[-1]
        )
        with pytest.raises(errors.Interrupted):
            client.upload(source, f"{folder}/f", progress=Cut(1, 2 * MIB))
        assert names(client, folder) == []
    sessions = [endpoint for offered in opened for endpoint in offered if endpoint.protocol == "tus"]
    assert len(sessions) == 2
    if storage.data_exposed or storage.facts.has_spaces:
        assert [wire.request("HEAD", session, Tus_Resumable="1.0.0").status for session in sessions] == [404, 404]


def test_over_a_file(tus, folder, source):
    with tus(retries=5) as client:
        client.upload(__file__, f"{folder}/f")
        client.upload(source, f"{folder}/f", overwrite=True, progress=Cut(2 * MIB))
        assert content(client, f"{folder}/f") == source.read_bytes()
        assert names(client, folder) == ["f"]


@pytest.mark.parametrize("protocol", ["simple", "tus"])
@pytest.mark.parametrize("size", [5, SIZE])
def test_a_checksum_that_the_source_has_not_is_no_upload(storage, folder, source, protocol, size):
    if protocol == "tus" and not storage.has_tus:
        pytest.skip("it offers simple uploads only")
    source.write_bytes(source.read_bytes()[:size])
    with storage.client(upload_protocol=protocol) as client:
        with pytest.raises(errors.WrongContent):
            client.upload(source, f"{folder}/f", checksums={"adler32": "00000001"})
        assert names(client, folder) == []


@pytest.mark.parametrize("size", [0, 5, SIZE])
@pytest.mark.parametrize("protocol", ["simple", "tus"])
def test_the_time_of_modification_is_kept_where_the_storage_can(storage, folder, source, protocol, size):
    if protocol == "tus" and not storage.has_tus:
        pytest.skip("it offers simple uploads only")
    source.write_bytes(source.read_bytes()[:size])
    os.utime(source, ns=(0, 1_600_000_000_012_345_678))
    with storage.client(upload_protocol=protocol) as client:
        client.upload(source, f"{folder}/f")
        mtime = client.files.stat(f"{folder}/f").mtime
    kept = getattr(storage.facts, "checks_uploads", False)
    assert (mtime == pytest.approx(1_600_000_000.012345678, abs=1e-6)) == kept


@pytest.mark.parametrize("before", [0, 1])
def test_a_name_that_is_taken_on_the_way_stays_with_who_took_it(storage, client, folder, source, monkeypatch, before):
    """The first file of a client and the next ones, which may cost a look less."""
    for number in range(before):
        client.upload(source, f"{folder}/{number}")
    begin = client.files.initiate_upload

    def take(*args, **options):
        with storage.client() as other:
            other.upload(__file__, f"{folder}/f")
        return begin(*args, **options)

    monkeypatch.setattr(client.files, "initiate_upload", take)
    with pytest.raises(errors.AlreadyExists):
        client.upload(source, f"{folder}/f")
    assert client.files.stat(f"{folder}/f").size == os.path.getsize(__file__)
    assert names(client, folder) == sorted(["f", *map(str, range(before))])


@pytest.mark.parametrize("verify", ["none", "server", "readback"])
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("size", [0, SIZE])
def test_every_kind_of_verification(storage, folder, source, verify, overwrite, size):
    source.write_bytes(source.read_bytes()[:size])
    with storage.client(verify=verify) as client:
        if overwrite:
            client.upload(__file__, f"{folder}/f")
        client.upload(source, f"{folder}/f", overwrite=overwrite)
        assert names(client, folder) == ["f"]
        if verify != "none":  # else the storage may still be processing it
            assert content(client, f"{folder}/f") == source.read_bytes()


@pytest.mark.breaks_storage
@pytest.mark.parametrize("protocol", ["simple", "tus"])
@pytest.mark.parametrize("change", ["written over", "replaced", "longer"])
def test_a_source_that_changes_meanwhile_is_not_kept(storage, folder, source, protocol, change):
    if protocol == "tus" and not storage.has_tus:
        pytest.skip("it offers simple uploads only")

    def meddle(done, total):
        if change == "longer":
            with source.open("ab") as file:
                file.write(b"x")
        else:
            other = source.with_name("other")
            other.write_bytes(bytes(SIZE))
            if change == "replaced":
                other.replace(source)
            else:
                source.write_bytes(bytes(SIZE))

    with storage.client(upload_protocol=protocol) as client:
        with pytest.raises(errors.LocalSourceError, match="while it was read"):
            client.upload(source, f"{folder}/f", progress=meddle)
        assert names(client, folder) == []
