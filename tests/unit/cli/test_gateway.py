from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time

import pytest
import trustme

from rucio_cs3.client import Cs3Client
from tests.conformance.wire import Wire
from tests.unit.cli.command import called

COMMAND = [sys.executable, "-c", "from rucio_cs3.cli import main; main()"]
FREE = ["--port", "0", "--http-port", "0"]


def run(*arguments):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=100, check=False)


@contextlib.contextmanager
def running(*arguments):
    """The command as a process; yields it with the line that it says when it is ready."""
    argv = [*COMMAND, "gateway", *FREE, "--json", *map(str, arguments)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_when_told(tmp_path, number):
    with running("--root", tmp_path) as (process, ready):
        assert ready["pid"] == process.pid
        wire = Wire(ready["grpc"]).login()
        assert wire.put("/f", b"content") == 200
        assert wire.download("/f").url.startswith(ready["http"])
        process.send_signal(number)
        assert process.wait(60) == 0
        assert process.stderr.read() == ""
        wire.close()


def test_every_option(tmp_path):
    users = tmp_path / "users.json"
    users.write_text(json.dumps([{"username": "rucio", "password": "secret"}]))
    secret = tmp_path / "machine"
    secret.write_text("machine-secret\n")
    root = tmp_path / "root"
    root.mkdir()
    options = ["--root", root, "--behave", "reva-localhome", "--users", users, "--machine-secret-file", secret]
    with running(*options, "--quota", 10, "--token-ttl", 5, "--faults") as (_, ready):
        wire = Wire(ready["grpc"]).login("rucio", "secret")
        assert wire.ok("GetHome").path == "/home"
        assert wire.ok("GetQuota", ref="/home").total_bytes == 10
        assert wire.code("Authenticate", type="machine", client_id="rucio", client_secret="machine-secret") == "OK"
        assert wire.http.request("GET", f"{ready['http']}/.faults").status == 200
        wire.close()


def test_third_party_copies(tmp_path):
    """An honest one says that it failed; without the option there are none."""
    (tmp_path / "root").mkdir()
    for options, code, said in (((), 400, b""), (("--tpc", "honest", "--ca", tmp_path), 202, b"failure: the source")):
        with running("--root", tmp_path / "root", *options) as (_, ready):
            wire = Wire(ready["grpc"]).login()
            headers = {"X-Access-Token": wire.token, "Source": "http://127.0.0.1:1/f"}
            reply = wire.http.request("COPY", f"{ready['http']}/remote.php/webdav/f", headers=headers)
            assert (reply.status, reply.data[: len(said)]) == (code, said)
            wire.close()


def test_tokens_of_three_seconds(tmp_path):
    with running("--root", tmp_path, "--token-ttl", 3) as (_, ready):
        wire = Wire(ready["grpc"]).login()
        assert wire.code("GetHome") == "OK"
        deadline = time.monotonic() + 60
        while wire.code("GetHome") == "OK":
            assert time.monotonic() < deadline
        assert wire.login().code("GetHome") == "OK"
        with Cs3Client(gateway=ready["grpc"], tls=False, username="einstein", password="relativity") as client:
            while client.tokens.logins < 3:  # none of them is noticed
                assert client.whoami().username == "einstein"
        wire.close()


def test_tls(tmp_path):
    ca = trustme.CA()
    certificate = ca.issue_cert("localhost", "127.0.0.1")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    options = ["--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem", "--host", "localhost"]
    with running("--root", tmp_path, *options) as (_, ready):
        assert ready["http"].startswith("https://localhost:")
        wire = Wire(ready["grpc"], ca=str(tmp_path / "ca.pem")).login()
        assert wire.put("/f", b"content") == 200
        wire.close()


def test_what_it_says_to_people(tmp_path):
    argv = [*COMMAND, "gateway", *FREE, "--root", str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        said = [process.stdout.readline() for _ in range(7)]
        process.terminate()
        assert process.wait(60) == 0
    text = "".join(said)
    for words in (f"Serving {tmp_path} as reva-local", "gRPC   127.0.0.1:", "HTTP   http://127.0.0.1:", "Ctrl-C"):
        assert words in text
    assert "/remote.php/webdav\n" in text
    assert "einstein/relativity" in text


def mistakes(folder):
    """Arguments that cannot be served, and a word of what is said."""
    (folder / "root").mkdir(exist_ok=True)
    texts = {
        "not-json": "{",
        "not-a-list": "{}",
        "not-an-object": '["einstein"]',
        "no-password": '[{"username": "u"}]',
        "not-text": '[{"username": "u", "password": 1}]',
        "odd-key": '[{"username": "u", "password": "p", "colour": "red"}]',
        "path": '[{"username": "../u", "password": "p"}]',
        "empty": "",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    users = {
        "not-json": "not JSON",
        "not-a-list": "a list of users",
        "not-an-object": "user 1: an object",
        "no-password": "user 1: no password",
        "not-text": "must be a string",
        "odd-key": "unknown key 'colour'",
        "path": "cannot be a user name",
    }
    root = ["--root", folder / "root"]
    return [
        (["--root", folder / "missing"], "missing: no such folder"),
        (["--root", folder / "empty"], "empty: no such folder"),
        ([], "--root"),
        ([*root, "--behave", "unheard-of"], "unheard-of"),
        ([*root, "--host", "0.0.0.0"], "--users"),
        ([*root, "--host", "0.0.0.0", "--faults"], "--faults are for this machine alone"),
        ([*root, "--host", "192.0.2.1", "--users", folder / "good"], "192.0.2.1"),
        ([*root, "--users", folder / "nowhere"], "nowhere"),
        ([*root, "--machine-secret-file", folder / "empty"], "no secret in it"),
        ([*root, "--tls-cert", folder / "empty"], "--tls-key"),
        ([*root, "--tls-cert", folder / "empty", "--tls-key", folder / "empty"], "certificate"),
        ([*root, "--token-ttl", "0"], "--token-ttl"),
        *([[*root, "--users", folder / name], words] for name, words in users.items()),
    ]


def test_a_mistake_is_one_line_and_no_trace(tmp_path, monkeypatch, capfd):
    (tmp_path / "good").write_text('[{"username": "u", "password": "p"}]')
    for arguments, words in mistakes(tmp_path):
        code, _, told = called(monkeypatch, capfd, "gateway", *FREE, *arguments)
        last = told.strip().splitlines()[-1]
        assert code != 0
        assert words in last, (arguments, told)
        assert last.startswith("Error: ")


def test_a_port_in_use_is_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for option in ("--port", "--http-port"):
            ran = run("gateway", "--root", tmp_path, *FREE, option, port)
            assert ran.returncode == 1
            assert ran.stderr == f"Error: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_version_and_help():
    assert run("--version").stdout.startswith("rucio-cs3, version ")
    assert "gateway" in run("--help").stdout
    assert "--behave" in run("gateway", "-h").stdout
    assert run("unheard-of").returncode == 2


def test_completion():
    code = "import os; os.environ['_RUCIO_CS3_COMPLETE'] = 'bash_source'; from rucio_cs3.cli import main; main()"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert "complete" in ran.stdout


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_its_extra(missing):
    code = f"import sys; sys.modules['{missing}'] = None; from rucio_cs3.cli import main; main()"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 1
    assert ran.stderr == f"rucio-cs3: {missing} is not installed: pip install 'rucio-cs3[gateway]'\n"


def test_without_what_only_services_need():
    """As after pip install '.[rucio]': all other commands are there, and the list of them."""
    gone = "".join(f"sys.modules['{name}'] = None; " for name in ("jwt", "gunicorn", "prometheus_client"))
    code = f"import sys; {gone}from rucio_cs3.cli import main; main()"

    def said(*arguments):
        argv = [sys.executable, "-c", code, *arguments]
        return subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)

    listed = said("--help")
    assert (listed.returncode, listed.stderr) == (0, "")
    for name in ("cp", "gateway", "rse"):
        assert f"\n  {name} " in listed.stdout
    refused = said("gateway", "--root", "here")
    assert (refused.returncode, refused.stderr) == (
        1,
        "Error: jwt is not installed: pip install 'rucio-cs3[gateway]'\n",
    )
