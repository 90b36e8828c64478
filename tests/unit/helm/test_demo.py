"""The demo's two sites as real Revas, the mover between them, and what `helm test` runs: all as the chart has them."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.daemons import free_ports, line_of, wait_for_ports
from tests.unit.helm.chart import needs_helm, one, pods, render
from tests.unit.helm.conftest import SECRET
from tests.unit.mover.conftest import commanded

PROGRAMS = [Path(name) for name in os.environ.get("RUCIO_CS3_TEST_REVA", "").split(":") if os.path.isfile(name)]
REVAD = next((program for program in PROGRAMS if line_of(program) == "first"), None)
HOST = "127.0.0.1"
PATIENCE = 300

pytestmark = [needs_helm, pytest.mark.skipif(not REVAD, reason="RUCIO_CS3_TEST_REVA names no revad of the first line")]


@pytest.fixture
def documents():
    return render("demo")


@pytest.fixture
def secrets(tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name in ("jwt-secret", "transfer-secret", "machine-secret", "password"):
        (folder / name).write_text(f"{SECRET}\n")
    return folder


@contextlib.contextmanager
def site(documents, name, folder, secrets):
    """Its pod, with ports and folders of ours. Yields the gateway's address."""
    ports = dict(zip(("19000", "19001", "19002", "19003"), map(str, free_ports(4))))
    ours = {**ports, "0.0.0.0": HOST, f"http://{name}:": f"http://{HOST}:", "/etc/revad": f"{folder}/settings"}
    ours.update({'"/data"': f'"{folder}/data"', "/tmp/": f"{folder}/"})
    for each in ("templates", "settings", "data"):
        (folder / each).mkdir(parents=True)
    for file, text in one(documents, "ConfigMap", name)["data"].items():
        (folder / "templates" / file).write_text(replaced(text, ours))
    pod = dict(pods(documents))[name]
    fill = pod["initContainers"][0]["command"]
    places = {"/templates": f"{folder}/templates", "/secrets": str(secrets), "/etc/revad": f"{folder}/settings"}
    subprocess.run([sys.executable, *(replaced(word, places) for word in fill[1:])], check=True, timeout=PATIENCE)
    log = folder / "revad.log"
    arguments = [replaced(word, ours) for word in pod["containers"][0]["args"]]
    with log.open("wb") as sink, subprocess.Popen([REVAD, *arguments], cwd=folder, stdout=sink, stderr=sink) as daemon:
        try:
            wait_for_ports(daemon, HOST, [int(ports[port]) for port in ("19000", "19001", "19003")], log)
            yield f"{HOST}:{ports['19000']}"
        finally:
            daemon.kill()


@contextlib.contextmanager
def mover(settings, gateways):
    [port] = free_ports(1)
    places = {f"cs3-{name}:19000": gateway for name, gateway in gateways.items()}
    places |= {"0.0.0.0:8446": f"{HOST}:{port}", "/var/lib/rucio-cs3": str(settings.parent)}
    settings.write_text(replaced(settings.read_text(), places))
    with commanded(settings) as served:
        yield served.url


def replaced(text, places):
    """At once, because what comes in may look like what goes."""
    return re.sub("|".join(map(re.escape, places)), lambda found: places[found[0]], text)


def test_a_file_is_copied_from_one_site_to_the_other(documents, as_mounted, secrets, tmp_path):
    pod = dict(pods(documents))["cs3-try"]
    script = tmp_path / "try.py"
    script.write_text(one(documents, "ConfigMap", "cs3-try")["data"]["try.py"])
    with contextlib.ExitStack() as stack:
        gateways = {
            name: stack.enter_context(site(documents, f"cs3-{name}", tmp_path / name, secrets))
            for name in ("one", "two")
        }
        settings = as_mounted(documents, "cs3-mover")
        files = {"ca.crt": "secret/demo-mover-tls/ca.crt", "bearer": "secret/demo-rucio/token"}
        (tmp_path / files["ca.crt"]).write_bytes((tmp_path / "ca.crt").read_bytes())
        environment = {variable["name"]: variable["value"] for variable in pod["containers"][0]["env"]}
        assert environment["GATEWAYS"] == "cs3-one:19000 cs3-two:19000"
        environment.update(
            GATEWAYS=" ".join(gateways.values()),
            MOVER=stack.enter_context(mover(settings, gateways)),
            CA=str(tmp_path / files["ca.crt"]),
            BEARER_FILE=str(tmp_path / files["bearer"]),
            MACHINE_SECRET_FILE=str(tmp_path / "secret/demo-sites/machine-secret"),
        )
        ran = subprocess.run(
            [sys.executable, script],
            env={**os.environ, **environment, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert ran.stdout.endswith("VERDICT: the same bytes are at both sites\n"), ran.stdout + ran.stderr
    assert ran.returncode == 0
    assert SECRET not in ran.stdout + ran.stderr
