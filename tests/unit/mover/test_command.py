"""`rucio-cs3 mover` between two sites, and `rucio-cs3 mover status`."""

from __future__ import annotations

import json
import subprocess
import zlib

import pytest

from rucio_cs3 import Cs3Client
from rucio_cs3.gateway import Gateway
from tests.unit.broker.conftest import as_toml
from tests.unit.mover.conftest import COMMAND, PATIENCE, commanded, file

pytestmark = pytest.mark.slow
LOGIN = {"username": "einstein", "password": "relativity"}
CONTENT = b"what is moved" * 1000


def run(*arguments, **options):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE, check=False, **options
    )


@pytest.fixture
def gateways(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with Gateway(tmp_path / "a") as a, Gateway(tmp_path / "b", behave="opencloud") as b:
        yield {"A": a, "B": b}


def home_at(gateway):
    with Cs3Client(gateway=gateway.address, tls=False, **LOGIN) as site:
        return f"/users/{site.whoami().opaque_id}"


@pytest.fixture
def config(gateways, settings, tmp_path):
    sites = {name: {"gateway": gateway.address, "tls": False, **LOGIN} for name, gateway in gateways.items()}
    sites["B"]["cs3_root"] = home_at(gateways["B"])
    settings = {**settings, "sites": sites}
    place = tmp_path / "mover.toml"
    place.touch(mode=0o600)
    place.write_text(as_toml(settings))
    return place


@pytest.fixture
def mover(config):
    with commanded(config) as mover:
        yield mover


def test_between_two_sites(mover, gateways, tmp_path):
    source = tmp_path / "x"
    source.write_bytes(CONTENT)
    with Cs3Client(gateway=gateways["A"].address, tls=False, **LOGIN) as site:
        site.upload(str(source), "/x")
    target = f"{home_at(gateways['B'])}/d/x"
    checksum = f"ADLER32:{zlib.adler32(CONTENT):08x}"
    wanted = file(f"cs3://{gateways['A'].address}/x", f"cs3://{gateways['B'].address}{target}")
    job = mover.submit({**wanted, "filesize": len(CONTENT), "checksum": checksum}, verify_checksum="both")
    assert mover.ended(job)["job_state"] == "FINISHED", mover.job(job)["files"][0]["reason"]
    with Cs3Client(gateway=gateways["B"].address, tls=False, **LOGIN) as site:
        assert site.open_read(target).read() == CONTENT
    told = run("status", "--url", mover.url)
    assert (told.returncode, told.stderr) == (0, "")
    assert "FINISHED 1" in told.stdout
    assert json.loads(run("status", "--url", mover.url, "--json").stdout)["files"]["FINISHED"] == 1


def test_an_address_of_no_site(mover, gateways):
    job = mover.submit(file(f"cs3://{gateways['A'].address}/x", "davs://elsewhere.example.org/x"))
    told = mover.ended(job)
    assert (told["job_state"], told["files"][0]["reason"][:11]) == ("FAILED", "DESTINATION")


def test_without_a_mover():
    told = run("status", "--url", "http://127.0.0.1:9")
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert "no mover answers at http://127.0.0.1:9; check --url" in told.stderr


def test_an_address_that_is_none_is_told_no_secret():
    told = run("status", "--url", "https://[x", "--bearer-file", "none")
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert "use https" in told.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sites": {}}, "there are no sites"),
        ({"listen": "0.0.0.0:0"}, "without TLS, listen 0.0.0.0 would take tokens in the clear"),
        ({"lsten": "x"}, "unknown setting 'lsten'; did you mean 'listen'?"),
        ({"database": "/nowhere/at/all.db"}, "cannot use the mover's database /nowhere/at/all.db"),
        ({"database": "postgresql://127.0.0.1:9/x"}, "cannot use the mover's database"),
        ({"database": "postgresql://u:%hush@127.0.0.1:9/x"}, "database is no address of PostgreSQL"),
        ({"database": "postgresql://u:[hush@127.0.0.1:9/x"}, "database is no address of PostgreSQL"),
    ],
)
def test_a_mistake_is_told_in_one_line(settings, gateways, tmp_path, change, words):
    sites = {"A": {"gateway": gateways["A"].address, "tls": False, **LOGIN}}
    place = tmp_path / "mover.toml"
    place.touch(mode=0o600)
    place.write_text(as_toml({**settings, "sites": sites, **change}))
    told = run("--config", place)
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert words in told.stderr
    assert "hush" not in told.stderr


def test_without_a_configuration():
    told = run()
    assert told.returncode == 2
    assert "--config is missing" in told.stderr
