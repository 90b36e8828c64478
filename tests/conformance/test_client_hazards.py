"""Hazards of the second line that a client meets outside of Rucio, on every storage. The numbers are of that list."""

from __future__ import annotations

import hashlib
import io
import time
import zlib

import pytest

from rucio_cs3 import errors
from rucio_cs3.model import Ref, ResourceId
from rucio_cs3.root import Root

CONTENT = b"content"


@pytest.fixture
def file(client, folder):
    client.upload(io.BytesIO(CONTENT), f"{folder}/f")
    return f"{folder}/f"


# 12: NOT_FOUND that means something else


def test_hazard_12_an_expired_token_is_told_as_such(storage, wire, folder, file):
    if not storage.jwt_secret:
        pytest.skip("its secrets are not known")
    expired = storage.forge(wire.token, exp=int(time.time()) - 60)
    with storage.client(auth="token", token=expired, username="", password="") as client:
        root = Root(client, Ref(folder))
        for question in (root.resolve, lambda: root.stat("f"), lambda: root.delete("f")):
            with pytest.raises(errors.TokenRejected):
                question()
    assert wire.content(file) == CONTENT


def test_hazard_12_a_token_that_expires_after_the_root_was_seen(storage, client, folder, file):
    """It is renewed, and the NOT_FOUND for the old one is not believed."""
    if not storage.jwt_secret:
        pytest.skip("its secrets are not known")
    root = Root(client, Ref(folder))
    root.resolve()
    for question in (lambda: root.stat("f"), lambda: root.delete("f")):
        client.tokens._token = storage.forge(client.tokens.get(), exp=int(time.time()) - 60)
        logins = client.tokens.logins
        question()
        assert client.tokens.logins == logins + 1
    with pytest.raises(errors.NotFound):
        root.stat("f")


def test_hazard_12_who_may_not_see_the_root_learns_of_nothing_deleted(storage, wire, folder, file):
    if not (storage.other_user and storage.facts.has_spaces):
        pytest.skip("everybody sees it, or has a home of that name")
    name, password = storage.other_user
    with storage.client(username=name, password=password) as client:
        for place in (Ref(folder), Ref(id=wire_id(wire, folder))):
            root = Root(client, place)
            for question in (lambda root=root: root.stat("f"), lambda root=root: root.delete("f")):
                with pytest.raises(errors.Unavailable, match=f"cannot be seen as {name}"):
                    question()
    assert wire.content(file) == CONTENT


def wire_id(wire, path):
    """As our client writes ids."""
    told = wire.stat(path).id
    return ResourceId(told.storage_id, told.opaque_id, told.space_id)


# 16: the root of a space is never deleted, whatever it is called


@pytest.mark.parametrize("recursive", [False, True])
def test_hazard_16_a_space_is_never_deleted(storage, client, folder, file, recursive):
    home = client.files.stat(storage.home)
    names = [storage.home, f"{storage.home}/", *([home, home.id, (home.id, "."), (home.id, "")] * storage.finds_ids)]
    for name in names:
        if recursive and not storage.facts.has_spaces and name == storage.home != "/":
            continue  # there the storage itself refuses
        with pytest.raises((errors.InvalidRequest, errors.IsDirectory, errors.ServerError)):
            client.files.delete(name, recursive=recursive)
    assert client.files.stat(file).size == 7


# 17: nothing is moved into itself, however both are addressed


def test_hazard_17_a_folder_never_goes_into_itself(storage, client, folder):
    files = client.files
    files.mkdir(f"{folder}/d/e/g", parents=True)
    by_id = {name: files.stat(f"{folder}/{name}").id for name in ("d", "d/e")} if storage.finds_ids else {}
    sources = [f"{folder}/d", *([by_id["d"], (files.stat(folder).id, "d")] if by_id else [])]
    targets = [f"{folder}/d/new", f"{folder}/d/e/g/new"]
    targets += [(by_id["d"], "new"), (by_id["d/e"], "new"), (by_id["d/e"], "g/new")] if by_id else []
    for source in sources:
        for target in targets:
            with pytest.raises((errors.InvalidRequest, errors.ServerError)):
                files.move(source, target)
    assert files.exists(f"{folder}/d/e/g")


def test_hazard_17_a_folder_goes_elsewhere(storage, client, folder):
    files = client.files
    files.mkdir(f"{folder}/d/e", parents=True)
    files.mkdir(f"{folder}/other")
    target = (files.stat(f"{folder}/other").id, "d") if storage.finds_ids else f"{folder}/other/d"
    files.move(f"{folder}/d", target)
    assert files.exists(f"{folder}/other/d/e")


# 22: who asks for metadata gets the checksums all the same


@pytest.mark.parametrize("metadata", [(), ("one",), ("one", "never-set"), ("*",)], ids=str)
def test_hazard_22_metadata_does_not_cost_the_checksums(storage, client, file, metadata):
    client.files.set_xattrs(file, {"one": "1"})
    info = client.files.stat(file, metadata=metadata)
    computed = {"sha1": hashlib.sha1(CONTENT).hexdigest(), "md5": hashlib.md5(CONTENT).hexdigest()}
    computed["adler32"] = f"{zlib.adler32(CONTENT):08x}"
    assert info.checksums == (computed if storage.has_checksums else {})
    assert info.metadata["one"] == "1"
    assert client.files.get_xattrs(file, "one") == {"one": "1"}


def test_hazard_22_a_list_tells_checksums_too(storage, client, folder, file):
    [info] = client.files.list(folder)
    assert sorted(info.checksums) == (["adler32", "md5", "sha1"] if storage.has_checksums else [])


def test_what_a_folder_is_in(storage, client, folder, file):
    if storage.facts.has_spaces:
        assert client.files.stat(file).parent == client.files.stat(folder).id
        assert client.files.stat(storage.home).id.is_space
        assert client.files.stat(storage.home).parent is None
