"""`helm test`: a file goes to the first site, the mover copies it to the second, and it is read there."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from pathlib import Path

import requests

from rucio_cs3 import Cs3Client

GATEWAYS = os.environ["GATEWAYS"].split()
MOVER, CA, BEARER_FILE, MACHINE_SECRET_FILE = (
    os.environ[name] for name in ("MOVER", "CA", "BEARER_FILE", "MACHINE_SECRET_FILE")
)
SECONDS = 120


def copy(mover: requests.Session, source: str, target: str) -> str:
    """How it ended."""
    files = [{"sources": [source], "destinations": [target]}]
    answer = mover.post(f"{MOVER}/jobs", json={"files": files, "params": {}}, timeout=SECONDS)
    answer.raise_for_status()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        job = mover.get(f"{MOVER}/jobs/{answer.json()['job_id']}", timeout=SECONDS).json()
        if job["job_state"] in {"FINISHED", "FAILED", "CANCELED"}:
            return f"{job['job_state']} {job.get('reason') or ''}".strip()
        time.sleep(0.5)
    return f"nothing within {SECONDS} s"


mover = requests.Session()
mover.trust_env = False
mover.verify = CA
mover.headers["Authorization"] = f"Bearer {Path(BEARER_FILE).read_text(encoding='utf-8').strip()}"
content = secrets.token_bytes(1 << 20)
name = f"/helm-test-{secrets.token_hex(4)}"
login = {
    "tls": False,
    "username": "rucio",
    "machine_secret_file": MACHINE_SECRET_FILE,
    "auth": "machine",
    "cache": "off",
}
with tempfile.TemporaryDirectory() as folder, Cs3Client(gateway=GATEWAYS[0], **login) as here:
    ours = Path(folder, "ours")
    ours.write_bytes(content)
    here.upload(str(ours), name)
    ended = copy(mover, f"cs3://{GATEWAYS[0]}{name}", f"cs3://{GATEWAYS[1]}{name}")
    print(f"{GATEWAYS[0]} -> {GATEWAYS[1]}: {ended}")
    if ended != "FINISHED":
        sys.exit("VERDICT: the mover did not copy it")
    with Cs3Client(gateway=GATEWAYS[1], **login) as there, there.open_read(name) as file:
        same = file.read() == content
        there.files.delete(name)
    here.files.delete(name)
print("VERDICT: the same bytes are at both sites" if same else "VERDICT: other bytes came out")
sys.exit(not same)
