"""Numbers as Prometheus gets them, after real transfers with faults."""

from __future__ import annotations

import subprocess
import sys
import zlib

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from rucio_cs3.gateway import Fault, Gateway
from tests.unit.broker.conftest import as_toml
from tests.unit.cli.command import SECONDS, run
from tests.unit.mover.conftest import commanded, file, wait_for

pytestmark = pytest.mark.slow
CONTENT = b"what is counted" * 1000
LOOK = """
import sys
from rucio_cs3 import Cs3Client

with Cs3Client(gateway=sys.argv[1], tls=False, username="einstein", password="relativity", metrics=True) as site:
    site.download("/x", sys.argv[2])
"""
SERVED = """
import sys, urllib.request
import prometheus_client
from rucio_cs3 import Cs3Client

server, _ = prometheus_client.start_http_server(0, "127.0.0.1")
with Cs3Client(gateway=sys.argv[1], tls=False, username="einstein", password="relativity", metrics="on") as site:
    site.download("/x", sys.argv[2])
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.stdout.write(direct.open(f"http://127.0.0.1:{server.server_port}/metrics").read().decode())
"""


@pytest.fixture
def gateway(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "x").write_bytes(CONTENT)
    with Gateway(tmp_path / "site") as gateway:
        yield gateway


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source").write_bytes(CONTENT)
    return tmp_path / "source"


def numbers(text):
    """By name and labels, in the order of their names, without the moments at which they were made."""
    return {
        (sample.name.replace("rucio_cs3_", ""), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith(("_created", "_bucket"))
    }


def test_a_command_leaves_its_numbers_in_a_file(gateway, source, tmp_path, login):
    found = tmp_path / "rucio-cs3.prom"
    gateway.faults.add(Fault(on="http:PUT", kind="status", status="503", times=1))
    ran = run("cp", source, f"cs3://{gateway.address}/y", METRICS=f"file:{found}")
    assert ran.returncode == 0, ran.stderr
    text = found.read_text()
    told = numbers(text)
    assert told["transfers_total", "upload", "done"] == 1
    assert told["transfer_bytes_total", "upload"] == len(CONTENT)
    assert told["retries_total", "unavailable"] == 1
    assert told["token_renewals_total", "basic", "obtained"] == 1
    assert {name[1]: told[name] for name in told if name[0] == "phase_seconds_count"} == {
        "login": 1,
        "look": 1,
        "folders": 2,
        "initiate": 2,
        "bytes": 2,
        "verify": 1,
        "move": 1,
    }
    assert not [name for name in told if name[0] == "errors_total"]
    assert {name[0].partition("_")[0] for name in told} == {"transfers", "transfer", "retries", "token", "phase"}
    assert str(source) not in text
    assert "relativity" not in text
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("rucio-cs3")] == [found.name]


def test_who_types_a_word_does_not_change_them(gateway, tmp_path, login, monkeypatch):
    found = tmp_path / "found.prom"
    found.write_text("what a command has left there")
    line = f"rucio-cs3 ls cs3://{gateway.address}/"
    for name, value in {"_RUCIO_CS3_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": "2"}.items():
        monkeypatch.setenv(name, value)
    ran = run(METRICS=f"file:{found}")
    assert f"plain,cs3://{gateway.address}/x" in ran.stdout
    assert found.read_text() == "what a command has left there"


def test_errors_by_code(gateway, source, tmp_path, login):
    found = tmp_path / "found.prom"
    gateway.faults.add(Fault(on="http:PUT", kind="full"))
    ran = run("cp", source, f"cs3://{gateway.address}/y", METRICS=f"file:{found}")
    assert ran.returncode == 1
    told = numbers(found.read_text())
    assert told["errors_total", "storage_full"] == 1
    assert told["transfers_total", "upload", "failed"] == 1
    assert ("transfer_bytes_total", "upload") not in told


def test_a_file_that_cannot_be_written_is_no_failure(gateway, source, tmp_path, login):
    place = f"file:{tmp_path}/no/such/folder.prom"
    ran = run("cp", source, f"cs3://{gateway.address}/y", METRICS=place)
    assert ran.returncode == 0
    assert "metrics are not written to" in ran.stderr
    assert "No such file or directory" in ran.stderr


def test_numbers_that_cannot_be_counted_are_no_failure(gateway, tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "nothing"))
    argv = [sys.executable, "-c", LOOK, gateway.address, str(tmp_path / "y")]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (ran.returncode, ran.stderr.count("\n")) == (0, 1), ran.stderr
    assert "metrics are not counted (FileNotFoundError); check PROMETHEUS_MULTIPROC_DIR=" in ran.stderr
    assert (tmp_path / "y").read_bytes() == CONTENT


def test_in_the_registry_that_others_serve(gateway, tmp_path):
    argv = [sys.executable, "-c", SERVED, gateway.address, str(tmp_path / "y")]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=True)
    told = numbers(ran.stdout)
    assert told["transfers_total", "download", "done"] == 1
    assert told["transfer_bytes_total", "download"] == len(CONTENT)
    assert told["phase_seconds_count", "bytes"] == 1
    assert ("process_cpu_seconds_total",) in told


def test_of_several_processes(gateway, tmp_path, monkeypatch):
    (tmp_path / "together").mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "together"))
    for name in ("one", "two"):
        subprocess.run([sys.executable, "-c", LOOK, gateway.address, str(tmp_path / name)], timeout=SECONDS, check=True)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    told = numbers(generate_latest(registry).decode())
    assert told["transfers_total", "download", "done"] == 2
    assert told["phase_seconds_count", "bytes"] == 2


def test_the_mover_tells_of_its_copies_and_of_their_parts(gateway, tmp_path):
    (tmp_path / "other").mkdir()
    with Gateway(tmp_path / "other") as other:
        other.faults.add(Fault(on="http:PUT", kind="status", status="503", times=1))
        site = {"tls": False, "username": "einstein", "password": "relativity"}
        sites = {name: {"gateway": each.address, **site} for name, each in {"A": gateway, "B": other}.items()}
        config = tmp_path / "mover.toml"
        config.touch(mode=0o600)
        config.write_text(as_toml({"listen": "127.0.0.1:0", "sites": sites}))
        with commanded(config) as mover:
            near, far = (f"cs3://{each.address}/{name}" for each, name in ((gateway, "x"), (other, "y")))
            wanted = file(near, far, checksum=f"adler32:{zlib.adler32(CONTENT):08x}")
            assert mover.ended(mover.submit(wanted))["job_state"] == "FINISHED"
            copied = ("mover_copies_total", other.address, "streamed", gateway.address)  # after the queue knows it
            told = wait_for(lambda: (found := numbers(mover.ask("GET", "/metrics").text)) and copied in found and found)
            mover.session.close()
    assert told[copied] == 1
    assert told["mover_files", "FINISHED"] == 1
    assert told["transfers_total", "upload", "done"] == 1
    assert told["retries_total", "unavailable"] == 1
    assert told["phase_seconds_count", "verify"] == 1
