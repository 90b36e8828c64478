"""What one copy costs, and what is left of one that is killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import tracemalloc

import pytest

from rucio_cs3.client import Cs3Client
from rucio_cs3.gateway import Fault, Gateway
from rucio_cs3.mover.copy import Copier
from rucio_cs3.mover.model import Failed, Place, Wanted
from rucio_cs3.mover.sites import Sites

LOGIN = {"tls": False, "username": "einstein", "password": "relativity", "cache": "off"}
MIB = 1 << 20
COPY = """
import json, sys
from rucio_cs3.mover.copy import Copier
from rucio_cs3.mover.model import Place, Wanted
from rucio_cs3.mover.sites import Sites
tables, source, target = json.loads(sys.argv[1])
with Sites.of(tables) as sites:
    Copier(sites).copy(Wanted((Place(source),), Place(target)), lambda _: None)
"""


@pytest.fixture(params=["reva-local", "opencloud"])
def gateways(request, tmp_path):
    with contextlib.ExitStack() as stack:
        found = []
        for name in ("near", "far"):
            (tmp_path / name).mkdir()
            found.append(stack.enter_context(Gateway(tmp_path / name, request.param)))
        yield found


@pytest.fixture
def tables(gateways):
    homes = [_home(gateway) for gateway in gateways]
    return {
        name: {**LOGIN, "gateway": one.address, "doors": [one.webdav_url], "cs3_root": home}
        for name, one, home in zip(("NEAR", "FAR"), gateways, homes)
    }


def _home(gateway):
    if not gateway.behaviour.has_spaces:
        return "/"
    with Cs3Client(gateway=gateway.address, **LOGIN) as client:
        return f"/users/{client.whoami().opaque_id}"


@pytest.fixture
def source(gateways, tables, tmp_path):
    """The URL of a file of 20 MiB and its content."""
    path = tmp_path / "source"
    path.write_bytes(random.Random(7).randbytes(20 * MIB + 3))
    with Cs3Client(gateway=gateways[0].address, **LOGIN) as client:
        client.upload(path, f"{tables['NEAR']['cs3_root']}/f")
    return f"{gateways[0].webdav_url}/f", path.read_bytes()


def test_who_is_killed_is_in_nobodys_way(gateways, tables, source):
    url, content = source
    target = f"{gateways[1].webdav_url}/new/f"
    far = gateways[1]
    for number in range(3):
        far.calls.clear()
        far.faults.add(Fault(on="http:PUT", kind="stall", after=number * MIB, seconds=3600))
        process = subprocess.Popen([sys.executable, "-c", COPY, json.dumps([tables, url, target])])
        while not any(call.method == "PUT" for call in far.calls):
            assert process.poll() is None
            threading.Event().wait(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        far.faults.clear()
    with Sites.of(tables) as sites, Cs3Client(gateway=far.address, **LOGIN) as client:
        folder = f"{tables['FAR']['cs3_root']}/new"
        names = {entry.name for entry in client.files.list(folder)}
        assert all(re.fullmatch(r"\.rucio-cs3-\w+\.part", name) for name in names)
        done = Copier(sites).copy(Wanted((Place(url),), Place(target)), lambda _: None)
        assert done.size == len(content)
        with client.open_read(f"{folder}/f") as file:
            assert file.read() == content


def test_of_each_source_its_own_failure_is_told(gateways, tables, source):
    """Rucio finds by the words which replicas are suspicious."""
    url, _ = source
    places = (Place(url), Place(f"{url}-none"))
    wanted = Wanted(places, Place(f"{gateways[1].webdav_url}/f"), checksum="adler32:00000001")
    with Sites.of(tables) as sites, pytest.raises(Failed) as failed:
        Copier(sites).copy(wanted, lambda _: None)
    urls = [place.url for place in places]
    assert list(failed.value.tried) == urls
    bad, missing = failed.value.tried.values()
    assert "CHECKSUM MISMATCH" in bad
    assert missing.startswith("SOURCE [2] No such file or directory")
    assert "MISMATCH" not in missing


def test_a_copy_keeps_no_more_than_some_blocks(gateways, tables, source):
    url, content = source
    with Sites.of(tables) as sites:
        most = []

        def progress(done):
            if done > len(content) - MIB:
                most.append(tracemalloc.get_traced_memory()[1])

        wanted = Wanted((Place(url),), Place(f"{gateways[1].webdav_url}/g"))
        Copier(sites).copy(wanted, lambda _: None)  # what is imported and connected on the way is not its own
        tracemalloc.start()
        try:
            end = Wanted(wanted.sources, Place(f"{gateways[1].webdav_url}/h"))
            Copier(sites).copy(end, progress)
        finally:
            tracemalloc.stop()
    assert max(most) < len(content) // 2  # the two servers are in this process, and have blocks of their own


def test_a_small_file_costs_as_few_calls_as_can_be(gateways, tables):
    with Cs3Client(gateway=gateways[0].address, **LOGIN) as client:
        for name in "ab":
            with client.open_write(f"{tables['NEAR']['cs3_root']}/{name}") as file:
                file.write(b"small")
    with Sites.of(tables) as sites:
        copier = Copier(sites)

        def copy(name):
            places = [
                Place(f"{gateway.webdav_url}/new/{name}" if far else f"{gateway.webdav_url}/{name}")
                for far, gateway in enumerate(gateways)
            ]
            copier.copy(Wanted((places[0],), places[1]), lambda _: None)

        copy("a")
        for gateway in gateways:
            gateway.calls.clear()
        copy("b")
    assert [call.method for call in gateways[0].calls] == ["Stat", "InitiateFileDownload", "GET"]
    methods = [call.method for call in gateways[1].calls]
    assert {"InitiateFileUpload", "PUT", "Move"} < set(methods)
    assert len(methods) <= 7, methods
