"""For each hazard that was seen on real storages, the proof that the plugin survives it. The numbers are of that list.

What a storage does by itself happens here on every storage; what it does only at a bad moment is switched on as a fault
of the embedded gateway.
"""

from __future__ import annotations

import io
import os

import pytest
from rucio.common import exception

from rucio_cs3 import errors
from rucio_cs3.gateway import Fault
from tests.conformance.plugin.rse import pfn

MIB = 1 << 20
TEMPORARY = "scope/new.rucio.upload"


class Breaking(io.BytesIO):
    """A source that breaks in the middle: the server sees an upload cut after a declared length."""

    def readinto(self, buffer, /):
        if self.tell() >= MIB:
            raise OSError(5, "Input/output error")
        return super().readinto(buffer)


@pytest.fixture
def gateway(storage):
    if storage.gateway is None:
        pytest.skip("faults are switched on at the embedded gateway")
    yield storage.gateway
    storage.gateway.faults.clear()


@pytest.fixture
def big(local):
    (local / "big").write_bytes(os.urandom(3 * MIB))
    return local


def content(plugin, target, local):
    plugin.get(target, str(local / "got"))
    return (local / "got").read_bytes()


def everything(client, folder):
    """All files below a folder."""
    found = []
    for entry in client.files.list(folder):
        inside = everything(client, f"{folder}/{entry.name}") if entry.is_directory else [entry.name]
        found += inside
    return sorted(found)


def methods(gateway, *names):
    return [call.method for call in gateway.calls if call.method in names]


@pytest.mark.breaks_storage
@pytest.mark.parametrize("name", ["new", "stored"])
def test_hazard_1_a_cut_upload_is_committed_truncated(client, folder, stored, name):
    with pytest.raises(errors.LocalSourceError):
        client.upload(Breaking(bytes(3 * MIB)), f"{folder}/scope/{name}", overwrite=True)
    assert everything(client, folder) == ["stored"]
    assert client.files.stat(f"{folder}/scope/stored").size == 7


@pytest.mark.parametrize("after", [0, 1, MIB, 3 * MIB - 1])
def test_hazard_1_a_connection_cut_once_is_begun_anew(protocol, gateway, big, client, folder, storage, after):
    if storage.facts.killed_upload_breaks_user:
        pytest.skip("there nothing works after a cut: see hazard 9")
    gateway.faults.add(Fault("http:PUT", "cut", after=after, times=1))
    plugin = protocol()
    plugin.put("big", pfn(TEMPORARY), str(big))
    assert content(plugin, pfn(TEMPORARY), big) == (big / "big").read_bytes()
    assert everything(client, folder) == ["new.rucio.upload"]


@pytest.mark.parametrize("kind", ["short", "long"])
def test_hazard_2_no_length_check(protocol, gateway, big, client, folder, storage, kind):
    """On the second line, which tells the size that was announced, the checksum shows it: hazard 15."""
    gateway.faults.add(Fault("http:PUT", kind, after=MIB))
    shows = "the storage computed" if storage.has_checksums else "bytes instead of"
    with pytest.raises(exception.FileConsistencyMismatch, match=shows):
        protocol().put("big", pfn(TEMPORARY), str(big))
    assert everything(client, folder) == []


def test_hazard_3_no_checksum_check(storage, gateway, client, folder):
    gateway.faults.add(Fault("http:PUT", "wrong_byte", after=100))
    with storage.client(verify="readback") as careful, pytest.raises(errors.ChecksumMismatch):
        careful.upload(io.BytesIO(bytes(MIB)), f"{folder}/new")
    assert everything(client, folder) == []


def test_hazard_4_a_put_onto_a_folder_replaces_the_tree(protocol, stored, local):
    plugin = protocol()
    for target in ("scope", "scope.rucio.upload"):
        if target.endswith("upload"):
            plugin.put("file", pfn(f"{target}/inside"), str(local))
        with pytest.raises(exception.RSEOperationNotSupported, match=r"folder|directory"):
            plugin.put("file", pfn(target), str(local))
    assert plugin.exists(stored)
    assert plugin.exists(pfn("scope.rucio.upload/inside"))


def test_hazard_5_what_was_said_to_be_written_is_looked_for(protocol, gateway, local, client, folder):
    gateway.faults.add(Fault("http:PUT", "status", status="200"))
    with pytest.raises(exception.ServiceUnavailable, match="has no such file"):
        protocol().put("file", pfn(TEMPORARY), str(local))
    with pytest.raises(exception.SourceNotFound):
        protocol().stat(pfn(TEMPORARY))


def test_hazard_6_a_partial_file_left_by_others_shows_its_true_size(protocol, client, folder):
    client.upload(io.BytesIO(bytes(300)), f"{folder}/partial")
    assert protocol().stat(pfn("partial"))["filesize"] == 300


def test_hazard_7_a_move_overwrites_silently(protocol, stored, local):
    plugin = protocol()
    (local / "other").write_bytes(b"others")
    plugin.put("other", pfn("scope/other"), str(local))
    with pytest.raises(exception.FileReplicaAlreadyExists):
        plugin.rename(pfn("scope/other"), stored)
    assert content(plugin, stored, local) == b"content"
    assert content(plugin, pfn("scope/other"), local) == b"others"


def test_hazard_8_xattrs_outlive_the_file(protocol, client, folder, stored, storage):
    client.files.set_xattrs(f"{folder}/scope/stored", {"adler32": "deadbeef", "checksum": "deadbeef", "md5": "0" * 32})
    answer = protocol().stat(stored)
    assert "deadbeef" not in answer.values()
    assert ("adler32" in answer) == storage.has_checksums


@pytest.mark.breaks_storage
def test_hazard_9_partial_content_in_place_and_a_poisoned_user(protocol, client, folder, local, storage):
    with pytest.raises(errors.LocalSourceError):
        client.upload(Breaking(bytes(3 * MIB)), f"{folder}/scope/new")
    assert everything(client, folder) == []
    plugin = protocol()
    if storage.facts.killed_upload_breaks_user:
        with pytest.raises(exception.ServiceUnavailable, match="HTTP 500"):
            plugin.put("file", pfn("scope/new"), str(local))
        assert everything(client, folder) == []
    else:
        plugin.put("file", pfn("scope/new"), str(local))
        assert everything(client, folder) == ["new"]


def test_hazard_10_tus_truncates(protocol, gateway, local):
    """The order of the offered protocols is random; TUS is not taken."""
    gateway.calls.clear()
    for number in range(20):
        protocol().put("file", pfn(f"scope/{number}.rucio.upload"), str(local))
    assert methods(gateway, "PATCH", "PUT") == ["PUT"] * 20


def test_hazard_11_a_delete_is_recursive(protocol, stored, local):
    plugin = protocol()
    with pytest.raises(exception.RSEOperationNotSupported, match="not a file"):
        plugin.delete(pfn("scope"))
    with pytest.raises((exception.ServiceUnavailable, exception.RSEOperationNotSupported)):
        plugin.put("file", stored + "/below", str(local))
    assert content(plugin, stored, local) == b"content"


LIES = {
    "expired token": ("token_expired", "token_not_found"),
    "lost permission": ("no_permission",),
    "storage down": ("storage_down",),
    "token refused": ("token_expired",),
}
BELIEVED = (exception.ServiceUnavailable, exception.RSEAccessDenied)


@pytest.mark.parametrize("lie", LIES)
def test_hazard_12_not_found_that_means_something_else(protocol, gateway, stored, local, lie):
    plugin = protocol()
    gateway.faults.add(*(Fault("grpc:*", kind) for kind in LIES[lie]))
    for operation in (
        plugin.delete,
        plugin.exists,
        plugin.stat,
        lambda path: plugin.get(path, str(local / "got")),
        lambda path: plugin.rename(path, pfn("scope/renamed")),
    ):
        with pytest.raises(BELIEVED):
            operation(stored)
    gateway.faults.clear()
    assert protocol().exists(stored)
    assert not (local / "got").exists()


def test_hazard_12_the_delete_itself_may_lie(protocol, gateway, stored):
    plugin = protocol()
    gateway.faults.add(Fault("grpc:Delete", "status", status="NOT_FOUND"))
    gateway.faults.add(Fault("grpc:Stat", "status", status="NOT_FOUND", path="*scope*"))
    with pytest.raises(exception.SourceNotFound):  # the root is seen: this storage really says that it is not there
        plugin.delete(stored)
    gateway.faults.add(Fault("grpc:Stat", "status", status="NOT_FOUND"))
    with pytest.raises(exception.ServiceUnavailable):
        plugin.delete(stored)


def test_hazard_12_a_token_that_expires_between_two_calls_proves_nothing(protocol, gateway, stored):
    """NOT_FOUND for the old token, and a root that the new one sees: ask again, with the new one."""
    plugin = protocol()
    gateway.faults.add(Fault("grpc:Stat", "status", status="NOT_FOUND", times=2))
    gateway.faults.add(Fault("grpc:WhoAmI", "token_expired", times=1))
    assert plugin.exists(stored)


def test_hazard_16_the_root_is_never_deleted(protocol, gateway, stored):
    plugin = protocol()
    gateway.calls.clear()
    for root in ("", "/", ".", "./", "scope/..", "%2e", "//"):
        with pytest.raises((exception.RSEFileNameNotSupported, exception.RSEOperationNotSupported)):
            plugin.delete(pfn(root))
    assert methods(gateway, "Delete") == []
    assert plugin.exists(stored)


def test_hazard_17_nothing_is_moved_into_itself(protocol, gateway, stored):
    plugin = protocol()
    gateway.calls.clear()
    for old, new in (("scope", "scope/below"), ("scope", "scope"), ("scope/stored", "scope/stored")):
        with pytest.raises((exception.RSEOperationNotSupported, exception.FileReplicaAlreadyExists)):
            plugin.rename(pfn(old), pfn(new))
    assert methods(gateway, "Move") == []
    assert plugin.exists(stored)


def test_hazard_17_a_call_that_never_returns_has_a_deadline(storage, client, gateway, folder):
    gateway.faults.add(Fault("grpc:Move", "stall"))
    client.files.touch(f"{folder}/a")
    with storage.client(call_timeout=0.5) as hasty, pytest.raises(errors.DeadlineExceeded):
        hasty.files.move(f"{folder}/a", f"{folder}/b")
