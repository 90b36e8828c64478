"""Downloads that break off, are taken up, and are shared by connections, as far as the storage serves ranges."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import random

import pytest
import urllib3

from rucio_cs3 import errors
from rucio_cs3.transfer import parallel

MIB = 1 << 20
DATA = random.Random(7).randbytes(5 * MIB + 3)


@pytest.fixture
def stored(client, folder):
    client.upload(io.BytesIO(DATA), f"{folder}/stored")
    return f"{folder}/stored"


class Breaking:
    """Breaks the transfer after so many bytes, once, and keeps how far it was each time."""

    def __init__(self, after):
        self.after = after
        self.told = []
        self.broken = False

    def __call__(self, done, total):
        self.told.append(done)
        if done >= self.after and not self.broken:
            self.broken = True
            raise errors.Interrupted("the connection broke")


@pytest.mark.parametrize("after", [1, 2 * MIB, 5 * MIB + 3])
def test_what_broke_off_goes_on(storage, client, stored, tmp_path, after):
    breaking = Breaking(after)
    client.download(stored, tmp_path / "got", progress=breaking)
    assert (tmp_path / "got").read_bytes() == DATA
    assert os.listdir(tmp_path) == ["got"]
    assert breaking.broken
    whole = after == len(DATA)  # there is nothing more to ask for
    assert (breaking.told == sorted(set(breaking.told))) == (storage.facts.serves_ranges or whole)


def test_what_is_appended_to_a_file_is_whole_or_told(storage, client, stored, tmp_path):
    may_break = contextlib.nullcontext() if storage.facts.serves_ranges else pytest.raises(errors.Interrupted)
    with (tmp_path / "log").open("ab") as sink, may_break:
        client.download(stored, sink, progress=Breaking(2 * MIB))
    whole = len(DATA) if storage.facts.serves_ranges else 2 * MIB
    assert (tmp_path / "log").read_bytes() == DATA[:whole]


def test_what_broke_off_is_taken_up_by_the_next_client(storage, stored, tmp_path):
    with storage.client(retries=0) as first, pytest.raises(errors.Interrupted):
        first.download(stored, tmp_path / "got", resume=True, progress=Breaking(2 * MIB))
    assert sorted(os.listdir(tmp_path)) == [".got.rucio-cs3.part", ".got.rucio-cs3.part.json"]
    told = []
    with storage.client() as second:
        second.download(stored, tmp_path / "got", resume=True, progress=lambda *now: told.append(now[0]))
    assert (tmp_path / "got").read_bytes() == DATA
    assert os.listdir(tmp_path) == ["got"]
    assert (told[0] > 2 * MIB) == storage.facts.serves_ranges


def test_a_file_that_was_replaced_is_not_taken_up(storage, client, stored, tmp_path):
    with storage.client(retries=0) as first, pytest.raises(errors.Interrupted):
        first.download(stored, tmp_path / "got", resume=True, progress=Breaking(2 * MIB))
    client.upload(io.BytesIO(DATA[::-1]), stored, overwrite=True)
    client.download(stored, tmp_path / "got", resume=True)
    assert (tmp_path / "got").read_bytes() == DATA[::-1]


def test_a_file_that_is_replaced_meanwhile_begins_anew(storage, client, stored, tmp_path):
    def replace(done, total):
        if done == 2 * MIB and not replaced:
            replaced.append(done)
            with storage.client() as other:
                other.upload(io.BytesIO(DATA[::-1]), stored, overwrite=True)
            raise errors.Interrupted("the connection broke")

    replaced = []
    client.download(stored, tmp_path / "got", progress=replace)
    assert (tmp_path / "got").read_bytes() == DATA[::-1]


@pytest.fixture
def overwritten_midway(wire, client, folder):
    """A file, and a function to call with what has come of it, which writes over it in one PUT; and both versions."""
    versions = [bytes([letter]) * (32 * MIB) for letter in b"AB"]
    client.upload(io.BytesIO(versions[0]), f"{folder}/f")
    todo = [versions[1]]

    def overwrite(done, total):
        if done >= 4 * MIB and todo:
            assert wire.put(f"{folder}/f", todo.pop()) == 200

    return f"{folder}/f", overwrite, versions


def test_a_file_that_is_written_over_in_place_is_no_mixture(client, overwritten_midway, tmp_path):
    place, overwrite, versions = overwritten_midway
    client.download(place, tmp_path / "got", progress=overwrite)
    assert (tmp_path / "got").read_bytes() in versions


def test_nor_for_who_reads_it_as_a_file(client, overwritten_midway):
    place, overwrite, versions = overwritten_midway
    found = b""
    with client.open_read(place) as file, contextlib.suppress(errors.Interrupted):
        while block := file.read(MIB):
            found += block
            overwrite(len(found), 0)
        assert found in versions


@pytest.mark.parametrize("checksums", [{}, {"md5": hashlib.md5(DATA).hexdigest()}], ids=["", "md5"])
def test_a_large_file_on_a_long_link_is_shared(storage, client, stored, tmp_path, monkeypatch, checksums):
    monkeypatch.setattr(parallel, "WORTH", MIB)
    monkeypatch.setattr(parallel, "CHUNK", MIB)
    monkeypatch.setattr("rucio_cs3.transfer.ranges.FAR", 0.0)
    shared = []
    monkeypatch.setattr(parallel.Parallel, "_fetch", counted(parallel.Parallel._fetch, shared))
    client.download(stored, tmp_path / "got", checksums=checksums)
    assert (tmp_path / "got").read_bytes() == DATA
    assert len(shared) == (6 if storage.facts.serves_ranges else 0)


def counted(function, calls):
    def call(*args):
        calls.append(args)
        return function(*args)

    return call


def test_one_connection_serves_one_transfer_after_the_other(client, folder, tmp_path, monkeypatch):
    connect, opened = urllib3.util.connection.create_connection, []

    def counted(*args, **options):
        opened.append(args)
        return connect(*args, **options)

    monkeypatch.setattr(urllib3.util.connection, "create_connection", counted)
    for size in (4096, 0, 3 << 20, 1):
        client.upload(io.BytesIO(DATA[:size]), f"{folder}/{size}")
        for _ in range(2):
            client.download(f"{folder}/{size}", tmp_path / "got")
            assert (tmp_path / "got").read_bytes() == DATA[:size]
    assert len(opened) == 1
