"""`rucio-cs3 rse rotate`."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess

import pytest

from demo.process import BIN
from rucio_cs3.errors import NotFound
from rucio_cs3.gateway import Fault
from tests.rucio.operate.conftest import LOGIN
from tests.unit.mover.conftest import wait_for


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


@pytest.fixture
def there(storage):
    if not storage.gateway.behaviour.has_app_passwords:
        pytest.skip("it has none")
    with storage.client() as there:
        revoke_all(there)
        yield there
        revoke_all(there)


def revoke_all(there):
    for left in there.apps.list():
        with contextlib.suppress(NotFound):  # a call that was stopped may have come to its end
            there.apps.revoke(left)


@pytest.fixture
def old(there, folder):
    return there.apps.create("reaper", paths=[folder])


@pytest.fixture
def file(secret_file, old):
    return secret_file(old.password)


@pytest.fixture
def config(rse, storage, file):
    """Of the daemon, and of the operator."""
    daemon = {"username": "einstein", "app_password_file": file}
    return {"cs3": {"gateway": storage.gateway.address, **storage.login}, f"cs3:{rse}": daemon}


@pytest.fixture
def stopped(storage, sandbox, rse, config):
    """Ctrl-C at the last of so many calls of this name: the exit code, stdout and stderr."""

    def stopped(name, calls):
        seen = len(storage.gateway.calls)
        storage.gateway.faults.add(Fault(on=f"grpc:{name}", kind="stall", skip=calls - 1, times=1))
        argv = [str(BIN / "rucio-cs3"), "rse", "rotate", rse, "--yes"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        try:
            with subprocess.Popen(argv, env=sandbox.user.with_config(config).environ, **pipes) as running:
                wait_for(lambda: [call.method for call in [*storage.gateway.calls][seen:]].count(name) == calls)
                running.send_signal(signal.SIGINT)
                said = running.communicate(timeout=120)
        finally:
            storage.gateway.faults.clear()
        return running.returncode, *said

    return stopped


def by_hand(old, rse):
    """What is said where the old one could not be revoked."""
    command = f"rucio-cs3 token app-password revoke {old.handle} --rse {rse}"
    return f"the new one is in force; end the old one by hand: {command}"


def test_stopped_while_the_new_one_is_tried_all_is_as_it_was(stopped, there, old, file):
    assert stopped("Stat", 2) == (130, "", "Interrupted.\n")  # the first is of the path that the new one is for
    assert file.read_text() == old.password
    assert [each.name for each in file.parent.glob("*secret*")] == [file.name]
    assert [each.handle for each in there.apps.list()] == [old.handle]


def test_stopped_while_the_old_one_is_revoked_it_is_said_how_to_do_it(stopped, there, rse, old, file):
    assert stopped("InvalidateAppPassword", 1) == (130, "", f"Interrupted: {by_hand(old, rse)}\n")
    assert there.apps.find(file.read_text().strip()).handle != old.handle


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_one_that_cannot_be_revoked_is_told(process, storage, there, rse, old, config, file, words):
    storage.gateway.faults.add(Fault(on="grpc:InvalidateAppPassword", kind="status", status="INTERNAL"))
    try:
        done = process("rotate", rse, "--yes", *words, config=config)
    finally:
        storage.gateway.faults.clear()
    assert done.returncode == 1
    new = there.apps.find(file.read_text().strip())
    assert new.handle != old.handle
    if words:
        assert done.stderr == ""
        assert json.loads(done.stdout)["message"].endswith(by_hand(old, rse))
    else:
        first, second = done.stderr.splitlines()
        assert first.startswith(f"{file} holds a new application password: reaper ({new.handle}), until you revoke it")
        assert second.endswith(by_hand(old, rse))


def test_others_may_have_copies_of_the_old_one(process, there, rse, old, config, file):
    done = process("rotate", rse, "--yes", "--keep-old", "--expires", "90d", config=config)
    assert done.returncode == 0, done.stderr
    new = there.apps.find(file.read_text().strip())
    assert done.stdout.startswith(f"{file} holds a new application password: reaper ({new.handle}), until ")
    kept, again = done.stderr.splitlines()
    assert kept == f"The old one is still good, until: rucio-cs3 token app-password revoke {old.handle} --rse {rse}"
    assert "none has to be restarted" in again
    assert {each.handle for each in there.apps.list()} == {old.handle, new.handle}


def test_one_that_has_ended_is_exchanged_too(process, there, rse, old, config, file):
    there.apps.revoke(old)
    said = json.loads(process("rotate", rse, "--yes", "--json", config=config).stdout)
    [new] = there.apps.list()
    assert (said["outcome"], said["old"], said["new"], said["file"]) == ("done", None, new.handle, str(file))
    assert there.apps.find(file.read_text().strip()).handle == new.handle


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
