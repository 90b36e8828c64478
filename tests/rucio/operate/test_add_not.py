"""`rucio-cs3 rse add`: what it refuses, and what stays when it fails or is stopped: nothing."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from demo.process import BIN
from rucio_cs3.gateway import Fault
from tests.rucio.operate.conftest import numbers
from tests.unit.mover.conftest import wait_for


def changed(options, **others):
    """The same with other values."""
    words = list(options)
    for option, value in others.items():
        words[words.index(f"--{option}") + 1] = value
    return words


def test_what_cannot_be_is_refused_in_one_line(command, client, name, options, storage, folder):
    parent, _, own = folder.rpartition("/")
    refusals = [
        (changed(options, gateway="127.0.0.1:1"), {"gateway": "127.0.0.1:1"}, "nothing listens there"),
        (changed(options, gateway="nowhere"), {}, "is not host:port"),
        ([word for word in options if word != "--no-tls"], {}, "does not speak TLS"),
        (options, {"password": "wrong"}, "refused the basic login of einstein"),
        (options, {"password": None}, "no credentials are set"),
        (changed(options, path=f"{folder}/missing"), {}, f"{folder} is there"),
        (changed(options, path=f"{parent}/{own}x/y"), {}, own),
        (changed(options, path="relative"), {}, "begin it with a slash"),
        (changed(options, webdav=f"{storage.gateway.webdav_url}/nowhere"), {}, "does not show"),
        (changed(options, webdav="ftp://here/x"), {}, "not the address of a WebDAV door"),
        (changed(options, webdav="http://cloud.example.org/webdav"), {}, "in the clear"),
        ([*options, "--distance", "NOWHERE=1"], {}, "no RSE NOWHERE"),
        ([*options, "--distance", f"{name}=1"], {}, "is the RSE itself"),
        ([*options, "--space", "a$b"], {}, "keep one of them"),
    ]
    for words, login, why in refusals:
        done = command("add", name, *words, "--yes", **login)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
        assert why in done.stderr, done.stderr
    assert name not in [each["rse"] for each in client.list_rses()]


def test_a_distance_is_a_number_that_rucio_reads(command, name, options):
    done = command("add", name, *options, "--distance", "OTHER=\N{SUPERSCRIPT TWO}")
    assert done.returncode == 2
    assert "no whole number" in done.stderr


def test_another_folder_at_the_door_is_refused(command, name, options, storage, folder):
    with storage.client() as there:
        there.files.mkdir(f"{folder}/a")
        there.files.mkdir(f"{folder}/b")
    own = folder.rpartition("/")[2]
    words = changed(options, path=f"{folder}/a", webdav=f"{storage.gateway.webdav_url}/{own}/b")
    done = command("add", name, *words, "--yes")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "is another folder" in done.stderr


def test_a_storage_that_takes_no_files_is_not_announced(command, client, name, options, storage):
    storage.gateway.faults.add(Fault(on="grpc:InitiateFileUpload", kind="full"))
    try:
        done = command("add", name, *options, "--yes")
    finally:
        storage.gateway.faults.clear()
    assert done.returncode == 1
    assert "write, read and delete" in done.stderr
    assert "--read-only" in done.stderr
    assert name not in [each["rse"] for each in client.list_rses()]


def test_what_could_not_be_removed_is_named_for_programs_too(command, client, name, options, storage, folder):
    storage.gateway.faults.add(Fault(on="http:GET", kind="status", status="500"))
    storage.gateway.faults.add(Fault(on="grpc:Delete", kind="status", status="INTERNAL"))
    try:
        done = command("add", name, *options, "--yes", "--json", retries=0)
    finally:
        storage.gateway.faults.clear()
    assert (done.returncode, done.stderr) == (1, "")
    said = json.loads(done.stdout)
    [left] = storage.names(folder)
    assert f"{left} is left there: remove it" in said["message"]
    assert not said["applied"]
    assert {step["outcome"] for step in said["steps"]} == {None}
    assert name not in [each["rse"] for each in client.list_rses()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_stopped_leaves_nothing(sandbox, client, name, options, storage, folder, number):
    seen = len(storage.gateway.calls)
    storage.gateway.faults.add(Fault(on="http:GET", kind="stall"))
    environ = sandbox.user.with_config({f"cs3:{name}": storage.login}).environ
    argv = [str(word) for word in (BIN / "rucio-cs3", "rse", "add", name, *options, "--yes", "--json")]
    try:
        with subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            wait_for(lambda: any(call.method == "GET" for call in [*storage.gateway.calls][seen:]))
            assert storage.names(folder)
            running.send_signal(number)
            said = running.communicate(timeout=120)
    finally:
        storage.gateway.faults.clear()
    assert (running.returncode, said) == (130, ("", "Interrupted.\n"))
    assert storage.names(folder) == []
    assert name not in [each["rse"] for each in client.list_rses()]


def test_who_is_no_admin_is_told(process, client, sandbox, name, options, storage):
    account = f"user{next(numbers)}"
    client.add_account(account, "USER", f"{account}@example.org")
    client.add_identity(account, account, "USERPASS", f"{account}@example.org", password="secret-of-theirs")
    token = sandbox.folder / f"token-{account}"
    login = {"account": account, "username": account, "password": "secret-of-theirs", "auth_token_file_path": token}
    config = {"client": login, f"cs3:{name}": storage.login}
    done = process("add", name, *options, "--yes", config=config)
    assert done.returncode == 1
    assert "Rucio refuses to make deterministic RSE" in done.stderr
    assert "let an admin run the commands shown" in done.stderr
    shown = process("add", name, *options, config=config)
    assert f"Rucio account {account} does not look like an admin's" in shown.stdout
