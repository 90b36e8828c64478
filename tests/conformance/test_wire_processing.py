"""Uploads that are processed after they were taken. What is taken back later was never durable."""

from __future__ import annotations

import pytest

from tests.conformance.sending import OLD, eventually, send, sums

NEW = b"new"


@pytest.fixture
def held(wire, folder, processing):
    """A file that is processed for ever."""
    processing("never_processed")
    assert wire.put(f"{folder}/f", NEW) == 200
    return f"{folder}/f"


@pytest.fixture
def old(wire, old):
    """A good file that has been processed."""
    eventually(lambda: status_of(wire.stat(old)) is None)
    return old


def status_of(info):
    return info.opaque.map["status"].value.decode() if "status" in info.opaque.map else None


@pytest.mark.parametrize(("way", "code"), [("simple", 200), ("tus", 204)])
def test_all_seems_well_at_once(wire, folder, processing, way, code):
    """!! The size and the checksum are right, and yet it is not durable before the status is gone."""
    processing("never_processed")
    assert send(wire, wire.uploads(f"{folder}/f", len(NEW)), way, NEW) == code
    [listed] = wire.ok("ListContainer", ref=folder).infos
    for info in (wire.stat(f"{folder}/f"), listed):
        assert status_of(info) == "processing"
        assert (info.size, info.checksum.sum) == (len(NEW), sums(NEW)[0])


def test_it_is_over_some_time(wire, folder):
    wire.put(f"{folder}/f", NEW)
    eventually(lambda: status_of(wire.stat(f"{folder}/f")) is None)
    assert wire.content(f"{folder}/f") == NEW


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-1"}], ids=str)
def test_it_cannot_be_read(wire, held, headers):
    assert wire.code("InitiateFileDownload", ref=held) == "OK"
    assert wire.get(held, **headers).status == 425


def test_it_cannot_be_deleted(wire, held):
    assert wire.code("Delete", ref=held) == "TOO_EARLY"
    assert wire.exists(held)


def test_it_can_be_moved(wire, folder, held):
    wire.ok("Move", source=held, destination=f"{folder}/g")
    assert wire.names(folder) == ["g"]
    assert wire.get(f"{folder}/g").status == 425


def test_it_can_be_overwritten(wire, held):
    assert wire.put(held, b"newer") == 200
    assert (wire.stat(held).size, wire.stat(held).checksum.sum) == (5, sums(b"newer")[0])


def test_what_it_overwrites_is_an_old_version_already(wire, folder, processing, old):
    """!! Under its name the old content cannot be read any more."""
    processing("never_processed")
    wire.put(old, NEW)
    assert (wire.stat(old).size, wire.get(old).status) == (len(NEW), 425)
    assert [version.size for version in wire.ok("ListFileVersions", ref=old).versions] == [len(OLD)]


@pytest.mark.parametrize("length", [0, None])
def test_nothing_is_not_processed(wire, folder, processing, length):
    processing("never_processed")
    wire.uploads(f"{folder}/f", length)
    assert status_of(wire.stat(f"{folder}/f")) is None
    assert wire.content(f"{folder}/f") == b""


@pytest.mark.parametrize("way", ["simple", "tus"])
def test_a_new_file_is_taken_back(wire, folder, processing, way):
    """!! Long after the 200 it is gone."""
    processing("turned_down")
    send(wire, wire.uploads(f"{folder}/f", len(NEW)), way, NEW)
    eventually(lambda: wire.code("Stat", ref=f"{folder}/f") == "NOT_FOUND")
    assert wire.names(folder) == []
    assert wire.get(f"{folder}/f").status == 404


def test_a_new_content_is_taken_back(wire, processing, old):
    before = wire.stat(old)
    processing("turned_down")
    wire.put(old, NEW)
    eventually(lambda: wire.stat(old).checksum.sum == sums(OLD)[0])
    after = wire.stat(old)
    assert (after.size, after.etag, after.id, status_of(after)) == (len(OLD), before.etag, before.id, None)
    assert wire.content(old) == OLD


def test_a_name_can_be_used_again(wire, storage, folder, processing):
    processing("turned_down")
    wire.put(f"{folder}/f", NEW)
    eventually(lambda: not wire.exists(f"{folder}/f"))
    storage.gateway.faults.clear()
    wire.put(f"{folder}/f", b"newer")
    eventually(lambda: status_of(wire.stat(f"{folder}/f")) is None)
    assert wire.content(f"{folder}/f") == b"newer"
