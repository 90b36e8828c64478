"""`rucio-cs3 rse rotate`."""

from __future__ import annotations

import pytest

from tests.rucio.operate.conftest import LOGIN


@pytest.fixture
def secret_file(tmp_path):
    def write(content):
        file = tmp_path / "secret"
        file.touch(0o600)
        file.write_text(content)
        return file

    return write


def app_login(file):
    return {"password": None, "username": "einstein", "app_password_file": file}


def test_an_application_password_is_exchanged_without_a_gap(process, rse, storage, folder, secret_file):
    """The section holds the daemon's, the environment the operator's login."""
    if not storage.gateway.behaviour.has_app_passwords:
        pytest.skip("it has none")
    with storage.client() as there:
        old = there.apps.create("reaper", paths=[folder])
        file = secret_file(old.password)
        daemon = {f"cs3:{rse}": {"username": "einstein", "app_password_file": file}}
        operator = {"cs3": {"gateway": storage.gateway.address, **storage.login}, **daemon}

        planned = process("rotate", rse, config=operator)
        assert planned.returncode == 0, planned.stderr
        assert f"reaper ({old.handle}), which opens {folder}" in planned.stdout
        assert file.read_text() == old.password

        limited = process("rotate", rse, "--yes", config={"cs3": dict.fromkeys(LOGIN), **daemon})
        assert limited.returncode == 1
        assert "log in as einstein" in limited.stderr
        assert file.read_text() == old.password

        done = process("rotate", rse, "--yes", config=operator)
        assert done.returncode == 0, done.stderr
        new = file.read_text().strip()
        [left] = there.apps.list()
        assert (left.label, left.paths) == ("reaper", (folder,))
        assert there.apps.find(new).handle == left.handle != old.handle
        assert file.stat().st_mode & 0o777 == 0o600
        assert [each.name for each in file.parent.iterdir()] == [file.name]
        assert new not in done.stdout + done.stderr
    with storage.client(password=None, app_password=new) as daemon_there:
        assert daemon_there.files.stat(folder).is_directory


def test_a_machine_secret_is_exchanged_when_it_works(command, rse, storage, secret_file, tmp_path):
    file, new = secret_file("wrong-by-now"), tmp_path / "new"
    new.touch(0o600)
    login = {"password": None, "machine_secret_file": file}

    new.write_text("no-good")
    refused = command("rotate", rse, "--new", new, "--yes", **login)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert "refused the machine login of einstein" in refused.stderr
    assert file.read_text() == "wrong-by-now"

    planned = command("rotate", rse, "--new", "-", stdin=b"old-secret\n", **login)
    assert "the new one works" in planned.stdout
    assert "Nothing was changed" in planned.stderr
    assert file.read_text() == "wrong-by-now"

    done = command("rotate", rse, "--new", "-", "--yes", stdin=b"old-secret\n", **login)
    assert done.returncode == 0, done.stderr
    assert file.read_text() == "old-secret\n"
    assert {each.name for each in file.parent.iterdir()} >= {"secret", "new"}
    assert not list(file.parent.glob(".secret-*"))
    assert "old-secret" not in done.stdout + done.stderr


def test_what_cannot_be_exchanged_is_said(command, rse, secret_file):
    for login, words, why in (
        ({}, ["--new", "-"], "password of RSE"),
        ({"password": None, "token": "x"}, ["--new", "-"], "no secret to be exchanged"),
        ({"password": None, "password_file": secret_file("x")}, [], "give it with --new"),
    ):
        done = command("rotate", rse, *words, "--yes", **login)
        assert done.returncode
        assert why in done.stderr
