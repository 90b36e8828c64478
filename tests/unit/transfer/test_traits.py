from __future__ import annotations

import io
import os
from collections import Counter
from dataclasses import replace

import pytest

from rucio_cs3 import errors
from rucio_cs3.gateway import BEHAVIOURS
from rucio_cs3.model import Ref
from rucio_cs3.transfer import traits

SMALL = {"Stat": 2, "InitiateFileUpload": 1, "PUT": 1, "Move": 1}
EMPTY = {"Stat": 2, "InitiateFileUpload": 1, "Move": 1}


def counted(gateway):
    return Counter(call.method for call in gateway.calls)


@pytest.fixture
def opencloud(serve, login, monkeypatch):
    """Starts the second line, with some facts otherwise; a client of it, and a folder that it knows."""

    def start(**facts):
        monkeypatch.setitem(BEHAVIOURS, "opencloud", replace(BEHAVIOURS["opencloud"], **facts))
        gateway = serve("opencloud")
        client = login(gateway, retries=1)
        folder = f"/users/{client.whoami().opaque_id}/d"
        client.upload(io.BytesIO(b"content"), f"{folder}/first")
        client.upload(io.BytesIO(), f"{folder}/empty")
        gateway.calls.clear()
        return gateway, client, folder

    return start


def test_calls_of_a_small_file_where_move_replaces_nothing(opencloud):
    gateway, client, folder = opencloud()
    client.upload(io.BytesIO(b"content"), f"{folder}/f")
    assert counted(gateway) == SMALL


def test_calls_of_the_first_one(serve, login):
    """The storage is asked instead of looked at, so that one file costs what it always did."""
    gateway = serve("opencloud")
    client = login(gateway)
    folder = f"/users/{client.whoami().opaque_id}/d"
    client.folders.ensure(Ref(folder))
    gateway.calls.clear()
    client.upload(io.BytesIO(b"content"), f"{folder}/f")
    assert counted(gateway) == {**SMALL, "Move": 2}


def test_where_move_replaces_there_is_one_look_more(opencloud):
    gateway, client, folder = opencloud(move_existing="OK")
    client.upload(io.BytesIO(b"content"), f"{folder}/f")
    assert counted(gateway) == {**SMALL, "Stat": 3}


def test_calls_of_an_empty_file(opencloud):
    gateway, client, folder = opencloud()
    client.upload(io.BytesIO(), f"{folder}/f")
    assert counted(gateway) == EMPTY


@pytest.mark.parametrize("verify", ["server", "none"])
def test_a_storage_that_only_looks_like_the_second_line_gets_its_empty_files_too(serve, login, monkeypatch, verify):
    monkeypatch.setattr(traits, "_tells_folder", lambda _: True)
    gateway = serve("reva-local")
    client = login(gateway, retries=1, verify=verify)
    for name in ("/a", "/b"):
        client.upload(io.BytesIO(), name)
    assert not Counter(InitiateFileUpload=1, TouchFile=2) - counted(gateway)
    assert [(entry.name, entry.size) for entry in client.files.list("/")] == [("a", 0), ("b", 0)]


def test_the_time_of_an_empty_file(opencloud, tmp_path):
    _, client, folder = opencloud()
    (tmp_path / "f").write_bytes(b"")
    os.utime(tmp_path / "f", (0, 1_600_000_000))
    client.upload(tmp_path / "f", f"{folder}/f")
    assert client.files.stat(f"{folder}/f").mtime == 1_600_000_000


@pytest.mark.parametrize("what", ["file", "folder"])
@pytest.mark.parametrize("facts", [{}, {"move_existing": "OK"}], ids=["refuses", "replaces"])
def test_a_name_that_is_taken_on_the_way_is_not_taken_again(opencloud, what, facts):
    _, client, folder = opencloud(**facts)

    def take(done, total):
        if what == "folder":
            client.files.mkdir(f"{folder}/f")
        else:
            client.upload(io.BytesIO(b"theirs"), f"{folder}/f")

    error = errors.AlreadyExists if what == "file" else errors.IsDirectory
    with pytest.raises(error, match=f"^{folder}/f: "):
        client.upload(io.BytesIO(b"ours"), f"{folder}/f", progress=take)
    assert sorted(entry.name for entry in client.files.list(folder)) == ["empty", "f", "first"]
    if what == "file":
        with client.open_read(f"{folder}/f") as file:
            assert file.read() == b"theirs"
