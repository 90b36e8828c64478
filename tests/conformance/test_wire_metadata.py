from __future__ import annotations

import pytest


@pytest.fixture
def file(wire, folder):
    wire.put(f"{folder}/f", b"content")
    wire.set_metadata(f"{folder}/f", one="1", two="zwei ü")
    return f"{folder}/f"


@pytest.fixture
def outlives(storage):
    """Whether metadata stays with the path, not with the file."""
    return storage.facts.metadata_outlives_file


def ours(metadata):
    """Without what the storage adds by itself."""
    added = ("inode", "device", "http://owncloud.org/ns/favorite")
    return {key: value for key, value in metadata.items() if key not in added}


def test_set_and_get(wire, file):
    assert ours(wire.metadata(file)) == {"one": "1", "two": "zwei ü"}


def test_keys_pick(wire, file):
    assert ours(wire.metadata(file, "one")) == {"one": "1"}
    assert ours(wire.metadata(file, "never-set")) == {}


def test_a_star_picks_all_or_is_a_key_like_others(storage, wire, file):
    assert ours(wire.metadata(file, "*")) == {"one": "1", "two": "zwei ü"}


def test_set_again_replaces_one(wire, file):
    wire.set_metadata(file, one="uno")
    assert ours(wire.metadata(file)) == {"one": "uno", "two": "zwei ü"}


def test_unset(wire, file):
    wire.ok("UnsetArbitraryMetadata", ref=file, arbitrary_metadata_keys=["one", "never-set"])
    assert ours(wire.metadata(file)) == {"two": "zwei ü"}


def test_folders_have_them_too(wire, folder):
    wire.set_metadata(folder, key="value")
    assert ours(wire.metadata(folder)) == {"key": "value"}


def test_lists_tell_them(wire, folder, file):
    [info] = wire.ok("ListContainer", ref=folder).infos
    assert ours(info.arbitrary_metadata.metadata) == {"one": "1", "two": "zwei ü"}


def test_a_missing_file_takes_none(storage, wire, folder):
    fields = {"ref": f"{folder}/missing", "arbitrary_metadata": {"metadata": {"key": "value"}}}
    assert wire.code("SetArbitraryMetadata", **fields) == storage.facts.metadata_missing


def test_they_survive_an_overwrite(wire, file):
    wire.put(file, b"other content")
    assert ours(wire.metadata(file)) == {"one": "1", "two": "zwei ü"}


def test_they_survive_delete_where_they_belong_to_the_path(wire, file, outlives):
    wire.ok("Delete", ref=file)
    wire.put(file, b"another file")
    assert ours(wire.metadata(file)) == ({"one": "1", "two": "zwei ü"} if outlives else {})


def test_they_go_along_with_a_move(wire, folder, file, outlives):
    wire.ok("Move", source=file, destination=f"{folder}/g")
    assert ours(wire.metadata(f"{folder}/g")) == {"one": "1", "two": "zwei ü"}
    wire.put(file, b"another file")
    assert ours(wire.metadata(file)) == {}


@pytest.fixture
def overwrites(storage):
    if storage.facts.move_existing != "OK":
        pytest.skip("it never moves anything onto a file")


@pytest.mark.usefixtures("overwrites")
def test_a_move_onto_a_file_mixes_or_replaces_them(wire, folder, file, outlives):
    wire.touch(f"{folder}/g")
    wire.set_metadata(f"{folder}/g", three="3")
    wire.ok("Move", source=file, destination=f"{folder}/g")
    theirs = {"three": "3"} if outlives else {}
    assert ours(wire.metadata(f"{folder}/g")) == {"one": "1", "two": "zwei ü", **theirs}


@pytest.mark.usefixtures("overwrites")
def test_a_move_onto_a_path_that_has_one_of_the_keys(wire, folder, file, outlives):
    """!! Where metadata belongs to the path, the answer is INTERNAL, and the file has moved all the same."""
    wire.touch(f"{folder}/g")
    wire.set_metadata(f"{folder}/g", two="other")
    code = wire.code("Move", source=file, destination=f"{folder}/g")
    assert code == ("INTERNAL" if outlives else "OK")
    assert wire.names(folder) == ["g"]
    assert wire.content(f"{folder}/g") == b"content"
    assert ours(wire.metadata(f"{folder}/g")) == ({"two": "other"} if outlives else {"one": "1", "two": "zwei ü"})


def test_below_a_folder_that_moves(wire, folder, outlives):
    wire.mkdir(f"{folder}/d")
    wire.touch(f"{folder}/d/f")
    wire.set_metadata(f"{folder}/d/f", key="value")
    wire.ok("Move", source=f"{folder}/d", destination=f"{folder}/e")
    assert ours(wire.metadata(f"{folder}/e/f")) == ({} if outlives else {"key": "value"})


def test_mtime_is_the_files_own_or_one_more_key(storage, wire, file):
    sets = storage.facts.metadata_sets_mtime
    wire.set_metadata(file, mtime="1000000000")
    info = wire.stat(file)
    assert (info.mtime.seconds == 1_000_000_000) == sets
    assert ("mtime" in info.arbitrary_metadata.metadata) != sets


def test_a_prefix_of_extended_attributes(storage, wire, file):
    stripped = bool(storage.facts.metadata_prefix)
    wire.set_metadata(file, **{"user.key": "value"})
    assert ("user.key" in wire.metadata(file)) != stripped
    assert ("key" in wire.metadata(file)) == stripped


def test_a_large_value(wire, file):
    wire.set_metadata(file, large="v" * 3000)
    assert wire.metadata(file, "large")["large"] == "v" * 3000
