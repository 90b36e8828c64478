"""docs/monitoring.md: its numbers are those that are exported, and its blocks switch on what they say."""

from __future__ import annotations

import configparser
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from rucio_cs3.broker import config as broker
from rucio_cs3.config import Config
from rucio_cs3.gateway import Gateway
from rucio_cs3.mover import config as mover
from rucio_cs3.mover import tpc
from rucio_cs3.observe import metrics
from rucio_cs3.transfer import http
from tests.docs.blocks import TOP, block
from tests.docs.shell import shell
from tests.unit.cli.command import environment

PAGE = (TOP / "docs" / "monitoring.md").read_text(encoding="utf-8")
LOGIN = {"username": "einstein", "password": "relativity"}
SITE = '[sites."127.0.0.1:1"]\nmachine_secret_file = "{}"\naccounts = {{ root = "einstein" }}\n'


def told(kind):
    return {name.removesuffix("_total") for name in re.findall(rf"^\| `(rucio_cs3_{kind}_\w+)` \|", PAGE, re.MULTILINE)}


def exported(kind):
    written = (TOP / "rucio_cs3" / kind / "metrics.py").read_text(encoding="utf-8")
    return set(re.findall(r'"(rucio_cs3_\w+)"', written))


@pytest.mark.parametrize("kind", ["broker", "mover"])
def test_each_number_is_told(kind):
    assert exported(kind) - told(kind) == set()


@pytest.mark.parametrize("kind", ["broker", "mover"])
def test_each_number_that_is_told_is_there(kind):
    assert told(kind) - exported(kind) == set()


def told_phases():
    return set(re.search(r"as a histogram: (login.*?) \|", PAGE)[1].split(", "))


def test_each_phase_is_told():
    """Also those that no test of this page comes through."""
    sources = "".join(file.read_text(encoding="utf-8") for file in (TOP / "rucio_cs3").rglob("*.py"))
    assert {*re.findall(r'observe\.phase\("(\w+)"\)', sources), http.BYTES, *tpc.WAYS} == told_phases()


def test_the_numbers_of_the_client():
    names = {family.name for family in metrics.OURS.collect()}
    assert names == {name for name in told(r"\w+?") if not name.startswith(("rucio_cs3_mover", "rucio_cs3_broker"))}


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secret"
    file.touch(0o600)
    file.write_text("0123456789abcdef")
    return str(file)


def test_prometheus_may_ask_the_mover(secret, tmp_path):
    (tmp_path / "mover.toml").write_text(block("monitoring mover").replace("/run/secrets/prometheus", secret))
    caller = mover.load(tmp_path / "mover.toml").callers["prometheus"]
    assert (caller.watch, caller.bearer_file) == (True, secret)


def test_prometheus_may_ask_the_broker(secret, tmp_path):
    text = block("monitoring broker").replace("/run/secrets/prometheus", secret)
    rucio = '[rucio]\nhost = "https://rucio.example.org"\n'
    (tmp_path / "broker.toml").write_text(text + rucio + SITE.format(secret))
    assert broker.load(tmp_path / "broker.toml").metrics.token_file == secret


def test_the_daemons_setting():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(block("monitoring daemons"))
    assert Config.of({"gateway": "a:1", **parser["cs3"]}).metrics == "on"


@pytest.fixture
def gateway(tmp_path):
    (tmp_path / "site" / "data").mkdir(parents=True)
    (tmp_path / "results.root").write_bytes(b"results")
    with Gateway(tmp_path / "site") as gateway:
        yield gateway


def test_the_numbers_of_a_command(gateway, tmp_path):
    names = {
        "CERNBOX:": f"cs3://{gateway.address}/",
        "/var/lib/prometheus/node-exporter": str(tmp_path),
    }
    shell(
        block("monitoring file"),
        environment({**LOGIN, "gateway": gateway.address, "tls": "false"}),
        tmp_path,
        names=names,
    )
    said = (tmp_path / "rucio-cs3.prom").read_text()
    assert 'rucio_cs3_transfers_total{direction="upload",result="done"} 1.0' in said
    assert set(re.findall(r'phase_seconds_count\{phase="(\w+)"\}', said)) <= told_phases()


@pytest.fixture
def collector():
    """Where traces come to."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        server.asked = asked
        yield server
        server.shutdown()
        thread.join()


def test_traces(gateway, tmp_path, collector):
    names = {"CERNBOX:": f"cs3://{gateway.address}/", "127.0.0.1:4318": f"127.0.0.1:{collector.server_port}"}
    settings = {**LOGIN, "gateway": gateway.address, "tls": "false"}
    shell(block("monitoring traces"), environment(settings), tmp_path, names=names)
    assert {path for path, _ in collector.asked} == {"/v1/traces"}
    assert any(b"rucio-cs3 ls" in body for _, body in collector.asked)
