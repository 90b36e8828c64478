"""A thousand runs of an upload, each in a process of its own, need one login."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("rucio.rse", reason="the plugin needs rucio-clients: pip install 'rucio-cs3[rucio]'")

RUNS, AT_ONCE = 1000, 4
SECONDS = 500  # of which a machine with nothing else to do needs a tenth
pytestmark = [pytest.mark.endurance, pytest.mark.timeout(SECONDS + 20)]

# Imports once, which is what takes time, and connects nowhere: what a child knows of tokens is what it finds on disk.
RUN = """
import json, os, sys, traceback
from rucio_cs3 import root
from rucio_cs3.protocol import Default

runs, at_once, entry, source = json.loads(sys.argv[1])
rse = {"rse": "R", "id": "id-of-R", "deterministic": True, "lfn2pfn_algorithm": "identity"}

def upload(number):
    protocol = Default(entry, rse)
    protocol.connect()
    protocol.put(source, f"cs3://{entry['hostname']}:{entry['port']}{entry['prefix']}/{number % 10}/{number}")

def child(number):
    if not os.fork():
        try:
            upload(number)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

def failed():
    return os.wait()[1] != 0

failures = 0
for number in range(runs):
    failures += number >= at_once and failed()
    child(number)
failures += sum(failed() for _ in range(min(runs, at_once)))
print(failures)
"""


def test_a_thousand_uploads_need_one_login(gateway, tmp_path):
    (gateway.root / "rse").mkdir()
    (tmp_path / "rucio.cfg").write_text(
        "[client]\nrucio_host = http://localhost\n[cs3:R]\nusername = einstein\npassword = relativity\n"
        f"cache = {tmp_path / 'tokens'}\n"
    )
    (tmp_path / "file").write_bytes(b"content")
    host, _, port = gateway.address.rpartition(":")
    entry = {
        "scheme": "cs3",
        "hostname": host,
        "port": int(port),
        "prefix": "/rse",
        "impl": "rucio_cs3.protocol.Default",
    }
    entry |= {"auth_token": None, "extended_attributes": None}
    said = json.dumps([RUNS, AT_ONCE, entry, str(tmp_path / "file")])
    environ = {**os.environ, "RUCIO_CONFIG": str(tmp_path / "rucio.cfg")}
    command = [sys.executable, "-c", RUN, said]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (ran.returncode, ran.stdout) == (0, "0\n"), ran.stderr[-2000:]
    stored = [path for path in (gateway.root / "rse").rglob("*") if path.is_file()]
    assert {path.read_bytes() for path in stored} == {b"content"}
    assert len(stored) == RUNS
    assert [call.method for call in gateway.calls].count("Authenticate") == 1
