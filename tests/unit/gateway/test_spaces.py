from __future__ import annotations

import pytest

from rucio_cs3.gateway import Gateway
from tests.conformance.wire import Wire, ref


@pytest.fixture
def started(tmp_path):
    """Starts the gateway on one root, again and again."""

    def start():
        return Gateway(tmp_path, "opencloud")

    return start


def test_spaces_ids_versions_and_the_bin_outlast_a_restart(started):
    with started() as gateway:
        wire = Wire(gateway.address).login()
        owner = wire.call("WhoAmI", token=wire.token).user
        root = wire.ok("CreateStorageSpace", type="project", name="p", owner=owner).storage_space.root
        for content in (b"old", b"content"):
            wire.put(ref("./f", of=root), content)
        wire.touch(ref("./g", of=root))
        wire.ok("Delete", ref=ref("./g", of=root))
        before = wire.stat(ref("./f", of=root))
        wire.close()
    with started() as gateway:
        wire = Wire(gateway.address).login()
        after = wire.stat("/projects/p/f")
        assert (after.id, after.checksum, after.etag) == (before.id, before.checksum, before.etag)
        assert len(wire.ok("ListFileVersions", ref=ref(".", of=after.id)).versions) == 1
        assert [item.ref.path for item in wire.ok("ListRecycle", ref="/projects/p").recycle_items] == ["/g"]
        wire.close()


def test_files_of_others_than_the_gateway_are_found(started):
    """They have ids from then on, and no checksums, as nobody computed any."""
    with started() as gateway:
        wire = Wire(gateway.address).login()
        home = wire.ok("GetHome").path
        (gateway.root / home[1:] / "f").write_bytes(b"content")
        info = wire.stat(f"{home}/f")
        assert (info.size, info.checksum.sum) == (7, "")
        assert wire.stat(ref(".", of=info.id)).name == "f"
        wire.close()


def test_no_link_leads_out_of_a_space(started, tmp_path):
    with started() as gateway:
        wire, other = (
            Wire(gateway.address).login(*who) for who in (("einstein", "relativity"), ("marie", "radioactivity"))
        )
        home, hers = wire.ok("GetHome").path, other.ok("GetHome").path
        other.touch(f"{hers}/secret")
        (gateway.root / home[1:] / "link").symlink_to(gateway.root / hers[1:])
        assert wire.code("Stat", ref=f"{home}/link/secret") == "NOT_FOUND"
        assert wire.names(home) == []
        for one in (wire, other):
            one.close()


def test_a_quota_for_all_is_the_limit_of_each_space(tmp_path):
    with Gateway(tmp_path, "opencloud", quota=10) as gateway:
        wire = Wire(gateway.address).login()
        home = wire.ok("GetHome").path
        assert wire.put(f"{home}/f", b"content") == 200
        length = {"map": {"Upload-Length": {"decoder": "plain", "value": b"4"}}}
        assert wire.code("InitiateFileUpload", ref=f"{home}/g", opaque=length) == "INSUFFICIENT_STORAGE"
        quota = wire.ok("GetQuota", ref=home)
        assert (quota.total_bytes, quota.used_bytes) == (10, 7)
        wire.close()


@pytest.mark.parametrize("way", ["", "/../..", "/..", "/link"])
def test_nothing_leads_out_of_the_bin(started, tmp_path_factory, way):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").touch()
    with started() as gateway:
        wire = Wire(gateway.address).login()
        home = wire.ok("GetHome").path
        wire.ok("CreateContainer", ref=f"{home}/d")
        wire.touch(f"{home}/d/mine")
        (gateway.root / home[1:] / "d" / "link").symlink_to(outside)
        wire.ok("Delete", ref=f"{home}/d")
        [item] = wire.ok("ListRecycle", ref=home).recycle_items
        found = wire.call("ListRecycle", ref=home, key=f"{item.key}{way}").recycle_items
        assert {entry.key.rpartition("/")[2] for entry in found} <= {"mine", "link"}
        wire.close()
