from __future__ import annotations

import io

import pytest

from rucio_cs3 import errors
from rucio_cs3.model import Ref
from tests.conformance.names import NAMES


@pytest.fixture
def files(client):
    return client.files


def addresses(files, folder, below):
    """The same resource by absolute path, by id and path below it, and by its own id."""
    root = files.stat(folder).id
    return [f"{folder}/{below}", (root, below), files.stat(f"{folder}/{below}").id]


def test_the_user_is_known(client, storage):
    assert client.whoami().username == storage.user


@pytest.mark.parametrize("name", [name for name in NAMES if len(name) < 240])  # the bin of some needs a suffix
def test_any_name_can_be_made_listed_and_deleted(files, folder, name):
    files.touch(f"{folder}/{name}")
    assert [entry.name for entry in files.list(folder)] == [name]
    info = files.stat(f"{folder}/{name}")
    assert (info.name, info.kind, info.size) == (name, "file", 0)
    files.delete(f"{folder}/{name}")
    assert not files.exists(f"{folder}/{name}")


def test_a_name_is_255_bytes_at_most(files, folder):
    files.touch(f"{folder}/{'n' * 255}")
    with pytest.raises(errors.InvalidName, match="longer than 255 bytes"):
        files.touch(f"{folder}/{'n' * 256}")


def test_every_address_leads_to_the_same_file(files, folder, storage):
    files.touch(f"{folder}/f")
    by_path, *by_id = addresses(files, folder, "f")
    etag = files.stat(by_path).etag
    for address in by_id:
        if storage.finds_ids:
            assert files.stat(address).etag == etag
        else:
            with pytest.raises(errors.ServerError):
                files.stat(address)


def test_every_call_takes_id_and_path_below(files, folder, storage):
    if not storage.finds_ids:
        pytest.skip(f"{storage.name} cannot look up resource ids")
    root = files.stat(folder).id
    files.mkdir((root, "a/b"), parents=True)
    files.touch((root, "a/b/f"))
    files.set_xattrs((root, "a/b/f"), {"key": "value"})
    assert files.get_xattrs((root, "a/b/f"), "key") == {"key": "value"}
    files.unset_xattrs((root, "a/b/f"), "key")
    files.move((root, "a/b/f"), (root, "g"))
    assert sorted(entry.name for entry in files.list(root)) == ["a", "g"]
    assert files.quota(root).used >= 0
    files.delete((root, "g"))
    files.delete((root, "a"), recursive=True)
    assert list(files.list(root)) == []


def test_mkdir_with_parents(files, folder):
    files.mkdir(f"{folder}/a/b", parents=True)
    files.mkdir(f"{folder}/a/b", exist_ok=True)
    assert files.stat(f"{folder}/a/b").is_directory


def test_mkdir_without_parents(files, folder, storage):
    if storage.facts.makes_parents:
        files.mkdir(f"{folder}/a/b")
        files.mkdir(f"{folder}/a/b")
    else:
        with pytest.raises(errors.NotFound):
            files.mkdir(f"{folder}/a/b")
        files.mkdir(f"{folder}/a")
        with pytest.raises(errors.AlreadyExists):
            files.mkdir(f"{folder}/a")


def test_mkdir_over_a_file(files, folder):
    files.touch(f"{folder}/f")
    with pytest.raises(errors.NotDirectory):
        files.mkdir(f"{folder}/f", exist_ok=True)
    assert files.stat(f"{folder}/f").is_file


@pytest.mark.parametrize("below", ["f/x", "f/x/y"])
def test_below_a_file_it_is_said_which_one_stands_in_the_way(client, files, folder, storage, below):
    files.touch(f"{folder}/f")
    path = f"{folder}/{below}"
    for ask in (
        lambda: files.stat(path),
        lambda: files.mkdir(path),
        lambda: files.mkdir(path, parents=True),
        lambda: client.upload(io.BytesIO(b"a"), path),
    ):
        with pytest.raises((errors.NotDirectory, errors.NotFound)) as caught:
            ask()
        if isinstance(caught.value, errors.NotFound):  # which is true as well
            assert storage.facts.has_spaces
        else:
            assert caught.value.path == f"{folder}/f"
    assert isinstance(caught.value, errors.NotDirectory)
    assert files.stat(f"{folder}/f").is_file


def test_a_missing_name_costs_one_call(files, folder, storage):
    if not storage.gateway:
        pytest.skip("its calls are not counted")
    files.stat(folder)
    storage.gateway.calls.clear()
    with pytest.raises(errors.NotFound):
        files.stat(f"{folder}/missing")
    assert [call.method for call in storage.gateway.calls] == ["Stat"]


def test_list_in_pages(files, folder):
    for number in range(5):
        files.touch(f"{folder}/{number}")
    pages = list(files.pages(folder, page_size=2))
    assert [len(page) for page in pages] == [2, 2, 1]
    assert sorted(entry.name for page in pages for entry in page) == ["0", "1", "2", "3", "4"]


def test_list_of_what_is_no_folder(files, folder, storage):
    files.touch(f"{folder}/f")
    with pytest.raises(errors.CS3_STATUS[storage.facts.list_missing]):
        list(files.list(f"{folder}/missing"))
    with pytest.raises(errors.Cs3Error):
        list(files.list(f"{folder}/f"))


def test_move(files, folder):
    files.touch(f"{folder}/a")
    files.mkdir(f"{folder}/d")
    files.move(f"{folder}/a", f"{folder}/d/b")
    assert not files.exists(f"{folder}/a")
    assert files.exists(f"{folder}/d/b")


def test_move_of_what_is_missing(files, folder):
    with pytest.raises(errors.NotFound):
        files.move(f"{folder}/missing", f"{folder}/b")


def test_move_never_overwrites_unasked(client, folder):
    client.upload(io.BytesIO(b"old"), f"{folder}/old")
    client.upload(io.BytesIO(b"new!"), f"{folder}/new")
    with pytest.raises(errors.AlreadyExists):
        client.files.move(f"{folder}/new", f"{folder}/old")
    assert client.files.stat(f"{folder}/old").size == 3
    client.files.move(f"{folder}/new", f"{folder}/old", overwrite=True)
    assert client.files.stat(f"{folder}/old").size == 4
    assert not client.files.exists(f"{folder}/new")


@pytest.mark.parametrize("overwrite", [False, True])
def test_move_of_what_is_missing_onto_a_file(client, folder, overwrite):
    client.upload(io.BytesIO(b"old"), f"{folder}/old")
    with pytest.raises((errors.NotFound, errors.AlreadyExists)):
        client.files.move(f"{folder}/missing", f"{folder}/old", overwrite=overwrite)
    assert client.files.stat(f"{folder}/old").size == 3


def test_move_that_fails_after_having_moved(client, folder):
    """On reva-local a name keeps the attributes of a file that is gone, and a Move there trips over them."""
    client.upload(io.BytesIO(b"gone"), f"{folder}/new")
    client.files.set_xattrs(f"{folder}/new", {"key": "of the one that is gone"})
    client.files.delete(f"{folder}/new")
    client.upload(io.BytesIO(b"content"), f"{folder}/old")
    client.files.set_xattrs(f"{folder}/old", {"key": "of the one that comes"})
    client.files.move(f"{folder}/old", f"{folder}/new")
    assert not client.files.exists(f"{folder}/old")
    assert client.files.stat(f"{folder}/new").size == 7


@pytest.mark.parametrize("overwrite", [False, True])
def test_move_never_onto_a_folder(files, folder, overwrite):
    files.touch(f"{folder}/f")
    files.mkdir(f"{folder}/d/full", parents=True)
    with pytest.raises(errors.IsDirectory):
        files.move(f"{folder}/f", f"{folder}/d", overwrite=overwrite)
    assert files.exists(f"{folder}/d/full")


@pytest.mark.parametrize("below", ["d", "d/e", "d/e/f"])
def test_move_never_into_itself(files, folder, below):
    files.mkdir(f"{folder}/d")
    with pytest.raises(errors.InvalidRequest):
        files.move(f"{folder}/d", f"{folder}/{below}")
    assert files.exists(f"{folder}/d")


def test_delete_never_takes_a_folder_unasked(files, folder):
    files.mkdir(f"{folder}/d/full", parents=True)
    with pytest.raises(errors.IsDirectory):
        files.delete(f"{folder}/d")
    assert files.exists(f"{folder}/d/full")
    files.delete(f"{folder}/d", recursive=True)
    assert not files.exists(f"{folder}/d")


def test_delete_of_what_is_missing(files, folder):
    with pytest.raises(errors.NotFound):
        files.delete(f"{folder}/missing")


@pytest.mark.parametrize("recursive", [False, True])
def test_delete_never_takes_a_root(files, folder, storage, recursive):
    for root in ["/", Ref("/"), *([files.stat(folder).id] if storage.finds_ids else [])]:
        with pytest.raises((errors.InvalidRequest, errors.IsDirectory)):
            files.delete(root, recursive=recursive)
    assert files.exists(folder)


def test_xattrs(files, folder):
    files.touch(f"{folder}/f")
    files.set_xattrs(f"{folder}/f", {"one": "1", "two": "zwei ü"})
    assert files.get_xattrs(f"{folder}/f", "one", "two") == {"one": "1", "two": "zwei ü"}
    files.unset_xattrs(f"{folder}/f", "one")
    assert files.get_xattrs(f"{folder}/f", "one", "two") == {"two": "zwei ü"}


def test_quota(files, folder):
    quota = files.quota(folder)
    assert quota.used >= 0
    assert quota.total >= 0


def test_home(files, storage):
    assert files.home() == storage.home
