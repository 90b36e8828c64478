"""The mover and the broker, started as systemd would start them, with what LoadCredential= names in a folder."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
import requests
import trustme

from rucio_cs3.gateway import DEMO_USERS, Gateway, Tls
from tests.unit.broker.conftest import TOKEN, Peer, as_toml, served
from tests.unit.etc.units import Unit
from tests.unit.mover.conftest import Served, file, wait_for

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "machine-secret-of-the-site"
SECONDS = 60


@pytest.fixture(scope="session")
def etc_site(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("site"), machine_secret=SECRET) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def secure_site(tmp_path_factory, pki):
    """A gateway that speaks TLS, as a table of mover.toml or broker.toml has it."""
    with Gateway(tmp_path_factory.mktemp("secure"), tls=Tls(pki / "localhost.pem", pki / "localhost.key")) as gateway:
        yield gateway.address, {"ca": str(pki / "ca.pem")}


class Started:
    """A service of a unit: `credentials` are the contents that it finds."""

    def __init__(self, folder: Path, unit: str, credentials: dict[str, str], moved: dict[str, str]) -> None:
        self.unit = Unit(unit)
        self.folder = folder
        self.places = {}
        for name in ("credentials", "state", "cache", "logs"):
            place = folder / name
            place.mkdir()
            self.places[f"{name.upper()}_DIRECTORY"] = str(place)
        ca = trustme.CA()
        issued = ca.issue_cert("127.0.0.1")
        ca.cert_pem.write_to_path(folder / "ca.pem")
        pem = {
            "cert.pem": b"".join(part.bytes() for part in issued.cert_chain_pems).decode(),
            "key.pem": issued.private_key_pem.bytes().decode(),
        }
        assert {*pem, *credentials} >= set(self.unit.credentials())
        for name, content in {**pem, **credentials}.items():
            path = folder / "credentials" / name
            path.touch(0o400)
            path.chmod(0o600)
            path.write_text(content)
        self.moved = moved

    @contextlib.contextmanager
    def running(self):
        environ = {**os.environ, **self.unit.environment(), **self.places}
        environ |= {"XDG_CACHE_HOME": self.places["CACHE_DIRECTORY"], "XDG_STATE_HOME": self.places["STATE_DIRECTORY"]}
        [argv] = self.unit.commands("ExecStart", self.places, self.moved)
        with subprocess.Popen(argv, env=environ, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                said = process.stderr.readline()
                url = re.search(r"https://\S+?:\d+", said)
                assert url, said + process.stderr.read()
                reader = threading.Thread(target=process.stderr.read, daemon=True)
                reader.start()
                served = Served(process, url[0])
                served.session.verify = str(self.folder / "ca.pem")
                yield served
                process.terminate()
                reader.join(SECONDS)  # before its end of the pipe is closed
            finally:
                process.terminate()


@pytest.fixture(scope="session")
def mover_of_the_unit(tmp_path_factory, etc_site, secure_site):
    """With a copy that was made, one that failed, and one that is tried again; and a certificate that was seen."""
    einstein = DEMO_USERS[0]
    folder = tmp_path_factory.mktemp("mover-unit")
    there = folder / "credentials"
    login = {"tls": False, "username": einstein.username, "password_file": str(there / "site")}
    settings = {
        "listen": "127.0.0.1:0",
        "tls_cert": str(there / "cert.pem"),
        "tls_key": str(there / "key.pem"),
        "database": str(folder / "state" / "mover.db"),
        "callers": {
            "rucio": {"bearer": "of-rucio"},
            "prometheus": {"bearer_file": str(there / "prometheus"), "watch": True},
        },
        "sites": {
            "HERE": {"gateway": etc_site.address, **login},
            "AWAY": {"gateway": "127.0.0.1:1", **login},
            "SECURE": {"gateway": secure_site[0], **secure_site[1]},
        },
    }
    credentials = {"mover.toml": as_toml(settings), "site": einstein.password, "prometheus": "of-prometheus"}
    here, away = f"cs3://{etc_site.address}", "cs3://127.0.0.1:1"
    with Started(folder, "rucio-cs3-mover.service", credentials, {}).running() as mover:
        mover.session.headers["Authorization"] = "Bearer of-rucio"
        etc_site.root.joinpath("there").write_bytes(b"content")
        assert mover.ended(mover.submit(file(f"{here}/there", f"{here}/copy")))["job_state"] == "FINISHED"
        assert mover.ended(mover.submit(file(f"{here}/none", f"{here}/x")))["job_state"] == "FAILED"
        again = mover.submit(file(f"{here}/there", f"{away}/x"), retry=1, retry_delay=600)
        wait_for(lambda: next((e for e in mover.job(again)["files"] if e["reason"]), None))
        mover.session.headers["Authorization"] = "Bearer of-prometheus"
        wait_for(lambda: f'address="{secure_site[0]}"' in mover.ask("GET", "/metrics").text)
        yield mover


@pytest.fixture(scope="session")
def broker_of_the_unit(tmp_path_factory, etc_site, secure_site):
    """With a token that was given out, and a certificate that was seen."""
    folder = tmp_path_factory.mktemp("broker-unit")
    there = folder / "credentials"
    peer = Peer()
    settings = {
        "rucio": {"host": peer.url},
        "metrics": {"allow": [], "token_file": str(there / "prometheus")},
        "sites": {
            etc_site.address: {
                "machine_secret_file": str(there / "site"),
                "tls": False,
                "accounts": {"root": DEMO_USERS[0].username},
            },
            secure_site[0]: {"machine_secret_file": str(there / "site"), **secure_site[1], "accounts": {"root": "x"}},
        },
    }
    credentials = {"broker.toml": as_toml(settings), "site": SECRET, "prometheus": "of-prometheus"}
    started = Started(folder, "rucio-cs3-broker.service", credentials, {"0.0.0.0:8443": "127.0.0.1:0"})
    with served(peer.server), started.running() as broker:
        broker.folder = folder
        asked = {"json": {"site": etc_site.address}, "headers": {"X-Rucio-Auth-Token": TOKEN}}
        assert broker.ask("POST", "/token", **asked).status_code == requests.codes.ok
        broker.session.headers["Authorization"] = "Bearer of-prometheus"
        wait_for(lambda: f'address="{secure_site[0]}"' in broker.ask("GET", "/metrics").text)
        yield broker
