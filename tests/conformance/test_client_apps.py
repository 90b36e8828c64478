from __future__ import annotations

import io
import time

import pytest

from rucio_cs3 import errors
from rucio_cs3.model import AppPassword, Ref
from rucio_cs3.root import Root


@pytest.fixture
def apps(client):
    """Those that a test makes go away with it."""
    before = {known.handle for known in client.apps.list()}
    yield client.apps
    for known in client.apps.list():
        if known.handle not in before:
            client.apps.revoke(known)


@pytest.fixture
def program(storage, apps):
    """A client that logs in with a fresh application password."""
    clients = []

    def program(**limits):
        secret = apps.create("a program", **limits).password
        clients.append(storage.client(password=None, app_password=secret))
        return clients[-1]

    yield program
    for client in clients:
        client.close()


def up(client, path):
    client.upload(io.BytesIO(b"content"), path)
    sink = io.BytesIO()
    client.download(path, sink)
    return sink.getvalue()


def listed(apps, handle):
    [known] = [known for known in apps.list() if known.handle == handle]
    return known


def test_what_is_made_without_further_ado_opens_everything(program, storage, folder):
    client = program()
    assert client.whoami().username == storage.user
    assert up(client, f"{folder}/f") == b"content"


def test_it_is_listed_without_the_password(apps):
    expires = int(time.time()) + 3600
    made = apps.create("mine", expires=expires)
    assert made.password
    assert made.password not in repr(made)
    assert (made.label, made.paths, made.read_only, made.expires) == ("mine", ("/",), False, expires)
    known = listed(apps, made.handle)
    assert (known.label, known.paths, known.expires, known.password) == ("mine", ("/",), expires, "")
    assert "$" not in repr(known)


def test_the_newest_is_the_last(apps):
    handles = {apps.create(label).handle for label in ("a", "b")}
    assert {known.handle for known in apps.list()[-2:]} == handles


@pytest.mark.parametrize(
    "way", [lambda made: made, lambda made: made.handle, lambda made: made.password], ids=["itself", "handle", "secret"]
)
def test_it_can_be_revoked(storage, apps, way):
    kept, made = apps.create("kept"), apps.create("mine")
    apps.revoke(way(made))
    assert listed(apps, kept.handle)
    assert made.handle not in {known.handle for known in apps.list()}
    with storage.client(password=None, app_password=made.password) as client, pytest.raises(errors.NotAuthenticated):
        client.whoami()


@pytest.mark.parametrize("which", ["no-such-handle", "", AppPassword("", "", (), False, 0, 0)])
def test_who_revokes_what_is_not_there_is_told(apps, which):
    apps.create("another")
    with pytest.raises(errors.NotFound, match="no such application password"):
        apps.revoke(which)


def test_nobody_revokes_the_password_of_another(storage, apps):
    if not storage.other_user:
        pytest.skip("nobody else to try")
    username, password = storage.other_user
    made = apps.create("mine")
    with storage.client(username=username, password=password) as other, pytest.raises(errors.NotFound):
        other.apps.revoke(made.handle)
    assert listed(apps, made.handle)


def test_one_for_a_folder_works_there_and_nowhere_else(client, program, apps, folder):
    for name in ("mine", "yours"):
        client.files.mkdir(f"{folder}/{name}")
    limited = program(paths=[f"{folder}/mine"])
    assert up(limited, f"{folder}/mine/f") == b"content"
    assert up(limited, f"{folder}/mine/new/f") == b"content"
    assert [entry.name for entry in limited.files.list(f"{folder}/mine/new")] == ["f"]
    limited.files.move(f"{folder}/mine/f", f"{folder}/mine/g")
    limited.files.delete(f"{folder}/mine/new", recursive=True)
    for path in (folder, f"{folder}/yours", f"{folder}/yours/f"):
        with pytest.raises(errors.TokenRejected):
            limited.files.stat(path)
    with pytest.raises(errors.TokenRejected):
        limited.files.move(f"{folder}/mine/g", f"{folder}/yours/g")
    assert client.files.exists(f"{folder}/mine/g")
    assert apps.list()[-1].paths == (f"{folder}/mine",)


def test_one_for_a_folder_does_for_the_plugin(storage, client, program, folder):
    """Which goes by the id of its root, where it can."""
    client.files.mkdir(f"{folder}/mine")
    client.files.mkdir(f"{folder}/yours")
    limited = program(paths=[f"{folder}/mine"])
    root = Root(limited, Ref(f"{folder}/mine"))
    assert (root.resolve().id is not None) == storage.finds_ids
    limited.upload(io.BytesIO(b"content"), root.ref("new/f"))
    assert root.stat("new/f").size == 7
    limited.files.move(root.ref("new/f"), root.ref("g"))
    root.delete("g")
    with pytest.raises(errors.NotFound):
        root.stat("g")
    with pytest.raises(errors.TokenRejected):
        limited.files.stat(client.files.stat(f"{folder}/yours").id)


def test_one_for_reading_does_not_write(client, program, apps, folder):
    assert up(client, f"{folder}/f") == b"content"
    reader = program(paths=[folder], read_only=True)
    reader.download(f"{folder}/f", io.BytesIO())
    for refused in (
        lambda: reader.upload(io.BytesIO(b"x"), f"{folder}/g"),
        lambda: reader.files.delete(f"{folder}/f"),
        lambda: reader.files.mkdir(f"{folder}/d"),
    ):
        with pytest.raises(errors.TokenRejected):
            refused()
    assert [entry.name for entry in client.files.list(folder)] == ["f"]
    assert apps.list()[-1].read_only


def test_reading_may_be_for_everything(client, program, folder):
    assert up(client, f"{folder}/f") == b"content"
    reader = program(paths="/", read_only=True)
    reader.download(f"{folder}/f", io.BytesIO())
    with pytest.raises(errors.TokenRejected):
        reader.files.delete(f"{folder}/f")


@pytest.mark.parametrize("limits", [{"paths": ()}, {"expires": 1.0}])
def test_one_that_opens_nothing_is_not_made(apps, limits):
    before = len(apps.list())
    with pytest.raises(errors.InvalidRequest):
        apps.create("useless", **limits)
    assert len(apps.list()) == before


def test_one_for_a_path_that_is_not_there_is_not_made(apps, folder):
    with pytest.raises(errors.NotFound):
        apps.create("early", paths=[f"{folder}/missing"])


def test_a_wrong_one_is_refused_and_not_shown(storage):
    with storage.client(password=None, app_password="wrong-hunter2") as client:
        with pytest.raises(errors.NotAuthenticated, match="refused the appauth login of") as caught:
            client.whoami()
        assert "hunter2" not in str(caught.value) + repr(client.config)


def test_it_may_come_from_a_file(storage, apps, tmp_path):
    file = tmp_path / "secret"
    file.touch(0o600)
    file.write_text(apps.create("filed").password + "\n")
    with storage.client(password=None, app_password_file=str(file)) as client:
        assert client.whoami().username == storage.user
