"""Which calls our client makes for one small file, once it is warm: as an embedded gateway sees them."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from rucio_cs3.client import Cs3Client
from rucio_cs3.gateway import BEHAVIOURS, DEMO_USERS, Gateway
from tests.conformance.storages import home_of


def recorded(behaviour: str) -> dict[str, list[str]]:
    home = home_of(BEHAVIOURS[behaviour], DEMO_USERS[0]).rstrip("/")
    with tempfile.TemporaryDirectory() as folder, Gateway(folder, behaviour) as gateway:
        client = Cs3Client(gateway=gateway.address, tls=False, username="einstein", password="relativity", cache="off")
        with client:
            source = Path(folder, "source")
            source.write_bytes(b"x")
            client.files.mkdir(f"{home}/f")
            for name in ("cold", "warm"):
                path = f"{home}/f/{name}"
                acts = {
                    "up": lambda path=path: client.upload(source, path),
                    "stat": lambda path=path: client.files.stat(path),
                    "down": lambda path=path: client.download(path, source),
                    "delete": lambda path=path: client.files.delete(path),
                }
                seen = {verb: _during(gateway, act) for verb, act in acts.items()}
    return seen


def _during(gateway: Gateway, act) -> list[str]:
    gateway.calls.clear()
    act()
    return [call.method for call in gateway.calls]


if __name__ == "__main__":
    json.dump(recorded(sys.argv[1]), sys.stdout)
