"""`rucio-cs3 broker`, and the application on gunicorn without it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from http.client import HTTPConnection, HTTPSConnection

import pytest
import trustme

from rucio_cs3.gateway import Gateway
from tests.unit.broker.conftest import TOKEN, Peer, served

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-c", "from rucio_cs3.cli import main; main()", "broker"]
SECRET = "machine-secret-of-the-site"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("root"), machine_secret=SECRET) as gateway:
        yield gateway


@pytest.fixture
def config(tmp_path, gateway):
    """A configuration whose Rucio is down: that is enough to see who answers."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    file = tmp_path / "broker.toml"
    file.write_text(f"""
        [rucio]
        host = "http://127.0.0.1:1"
        [sites."{gateway.address}"]
        machine_secret_file = "{secret}"
        tls = false
        accounts = {{ root = "einstein" }}
    """)
    return file


@pytest.fixture
def pki(tmp_path):
    ca = trustme.CA()
    issued = ca.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path


def run(*arguments, **options):
    argv = [*COMMAND, *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False, **options)


@contextlib.contextmanager
def running(*arguments, environ=None):
    """The command as a process; yields it with the address that it says when it is ready."""
    argv = [*COMMAND, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, **pipes, env={**os.environ, **(environ or {})}) as process:
        try:
            said = process.stderr.readline()
            yield process, re.search(r"https?://(\S+):(\d+)", said)
        finally:
            process.terminate()
            process.wait(20)


def ask(address, method, path, headers=None, body=None, **options):
    host, port = address.groups()
    kind = HTTPSConnection if address[0].startswith("https") else HTTPConnection
    with contextlib.closing(kind(host.strip("[]"), int(port), timeout=60, **options)) as connection:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode()


def counting(folder):
    """The workers that have answered something: each keeps its numbers in files of its own."""
    return {file.stem.rpartition("_")[2] for file in folder.glob("rucio-cs3-metrics-*/*.db")}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
def test_it_says_where_it_is_and_ends_when_told(config, gateway, number, workers, tmp_path):
    environ = {"TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    arguments = ["--config", config, "--bind", "127.0.0.1:0", "--workers", workers]
    with running(*arguments, environ=environ) as (process, address):
        assert ask(address, "GET", "/health") == (200, '{"status": "ok"}')
        body = json.dumps({"site": gateway.address})
        status, said = ask(address, "POST", "/token", {"X-Rucio-Auth-Token": "a-token"}, body)
        assert (status, json.loads(said)["code"]) == (503, "rucio_unavailable")
        assert 'outcome="rucio_unavailable"' in ask(address, "GET", "/metrics")[1]
        while workers > 1 and len(counting(tmp_path / "tmp")) < workers:  # one that comes up yet could miss the signal
            ask(address, "GET", "/health")
        process.send_signal(number)
        assert process.wait(60) == 0
        [line] = process.stdout.read().splitlines()
        assert json.loads(line)["code"] == "rucio_unavailable"
        assert process.stderr.read() == ""
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_token_of_100_kb_is_refused_by_us(config, gateway):
    body = json.dumps({"site": gateway.address})
    with running("--config", config, "--bind", "127.0.0.1:0") as (_, address):
        for size, code in ((99_000, "rucio_unavailable"), (100_001, "rucio_token_refused")):
            _, said = ask(address, "POST", "/token", {"X-Rucio-Auth-Token": "x" * size}, body)
            assert json.loads(said)["code"] == code


def test_many_processes_add_up_their_numbers(config):
    with running("--config", config, "--bind", "127.0.0.1:0", "--workers", "2") as (_, address):
        for _ in range(40):
            ask(address, "POST", "/token")
        [line] = re.findall(r'requests_total\{outcome="bad_request",site=""\} (.*)', ask(address, "GET", "/metrics")[1])
        assert float(line) == 40


def test_tls(config, pki):
    arguments = ["--bind", "0.0.0.0:0", "--tls-cert", pki / "cert.pem", "--tls-key", pki / "key.pem"]
    with running("--config", config, *arguments) as (_, said):
        address = re.match(r"https://(.*):(.*)", f"https://127.0.0.1:{said[2]}")
        trusted = ssl.create_default_context(cafile=pki / "ca.pem")
        assert ask(address, "GET", "/health", context=trusted)[0] == 200
        assert ask(address, "POST", "/token", context=trusted)[0] == 400
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(address, "GET", "/health")


def mistakes(config, pki):
    """Arguments that cannot be served, and words of what is said."""
    good = ["--config", config]
    (pki / "empty.toml").write_text("")
    return [
        ([], "--config"),
        (["--config", pki / "nowhere.toml"], "nowhere.toml"),
        (["--config", pki / "empty.toml"], "there is no [rucio]"),
        ([*good, "--bind", "here"], "--bind here is not HOST:PORT"),
        ([*good, "--bind", "h:99999"], "--bind h:99999 is not HOST:PORT"),
        (
            [*good, "--bind", "0.0.0.0:0"],
            "would take tokens in the clear; give --tls-cert and --tls-key, or bind to 127",
        ),
        ([*good, "--bind", "[::]:0"], "in the clear"),
        ([*good, "--tls-cert", pki / "cert.pem"], "TLS needs both"),
        ([*good, "--tls-cert", pki / "cert.pem", "--tls-key", pki / "ca.pem"], "are not a certificate with its key"),
        ([*good, "--workers", "0"], "--workers"),
    ]


def test_a_mistake_is_one_line_and_no_trace(config, pki):
    for arguments, words in mistakes(config, pki):
        ran = run(*arguments)
        last = ran.stderr.strip().splitlines()[-1]
        assert ran.returncode != 0
        assert words in last, (arguments, ran.stderr)
        assert last.startswith("Error: ")
        assert "Traceback" not in ran.stderr


def test_a_port_in_use_is_one_line(config):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        ran = run("--config", config, "--bind", bind)
    assert (ran.returncode, ran.stderr) == (1, f"Error: cannot listen on {bind}: Address already in use\n")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_folder_for_numbers_that_is_none_is_one_line(config, tmp_path, workers):
    folder = tmp_path / "nothing"
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    ran = run("--config", config, "--bind", "127.0.0.1:0", "--workers", workers, env=environ)
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert ran.stderr.startswith(f"Error: PROMETHEUS_MULTIPROC_DIR={folder} is no folder that can be written to; ")


@pytest.mark.parametrize("missing", ["gunicorn", "prometheus_client"])
def test_without_its_extra(config, missing):
    code = f"import sys; sys.modules['{missing}'] = None; from rucio_cs3.cli import main; main()"
    argv = [sys.executable, "-c", code, "broker", "--config", str(config), "--bind", "127.0.0.1:0"]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 1
    assert ran.stderr == f"Error: {missing} is not installed: pip install 'rucio-cs3[broker]'\n"


def gunicorn(environ, *arguments):
    """The application on a server of the operator's own, on a socket that already listens."""
    listening = socket.create_server(("127.0.0.1", 0))
    argv = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listening.fileno()}", "--threads", "4", *arguments]
    options = {"pass_fds": [listening.fileno()], "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([*argv, "rucio_cs3.broker:application"], env={**os.environ, **environ}, **options)
    return listening, process


@pytest.mark.parametrize("arguments", [[], ["--preload", "--workers", "2"]], ids=["alone", "before the fork"])
def test_the_application_on_any_server(config, gateway, arguments):
    peer = Peer()
    config.write_text(config.read_text().replace("http://127.0.0.1:1", peer.url))
    listening, process = gunicorn({"RUCIO_CS3_BROKER_CONFIG": str(config)}, *arguments)
    with served(peer.server), process, listening:
        address = re.match(r"http://(.*):(.*)", f"http://127.0.0.1:{listening.getsockname()[1]}")
        try:
            assert ask(address, "GET", "/health") == (200, '{"status": "ok"}')
            body = json.dumps({"site": gateway.address})
            got = [ask(address, "POST", "/token", {"X-Rucio-Auth-Token": TOKEN}, body) for _ in range(8)]
            assert {status for status, _ in got} == {200}
        finally:
            process.terminate()


def test_the_application_does_not_start_with_a_mistake(config):
    config.write_text("[rucio]\n")
    listening, process = gunicorn({"RUCIO_CS3_BROKER_CONFIG": str(config)})
    with process, listening:
        assert process.wait(60) != 0
        assert "ConfigError" in process.stderr.read()


def test_the_package_without_a_configuration():
    import rucio_cs3.broker  # noqa: PLC0415

    with pytest.raises(AttributeError, match="applicaton"):
        rucio_cs3.broker.applicaton  # noqa: B018


def test_strangers_who_do_not_finish_their_requests_stop_nobody_for_long(config):
    config.write_text(config.read_text() + "[limits]\ntimeout = 2\n")
    with running("--config", config, "--bind", "127.0.0.1:0", "--threads", 2) as (_, address):
        host, port = address.groups()
        with contextlib.ExitStack() as strangers:
            for begun in (b"GET /he", b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"):
                for _ in range(2):
                    stranger = strangers.enter_context(socket.create_connection((host, int(port)), 20))
                    stranger.sendall(begun)
            assert ask(address, "GET", "/health")[0] == 200
