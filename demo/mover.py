"""`rucio-cs3 mover` between embedded gateways, as an operator runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.request
from typing import TYPE_CHECKING, Any

from demo.process import BIN, Child, Resource, SandboxError
from demo.storage import HOME, LOGIN, WEBDAV_ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from demo.storage import Gateway


class Mover(Resource):
    """The mover for these sites: `url` is what the RSE attribute fts wants. `settings` go before the sites' tables."""

    def __init__(self, folder: Path, sites: Mapping[str, Gateway], settings: str = "") -> None:
        super().__init__()
        self.folder = folder
        self.config = folder / "mover.toml"
        self.sites = sites
        self.settings = settings
        self.url = ""

    def start(self) -> None:
        """Write its configuration, start it and wait until it says where it listens."""
        bind = self.url.partition("//")[2] or "127.0.0.1:0"  # begun again, it is where Rucio knows it
        tables = [site_table(name, gateway) for name, gateway in self.sites.items()]
        self.config.touch(mode=0o600)
        self.config.write_text("\n".join([f'listen = "{bind}"', self.settings, *tables]))
        child = Child(
            [str(BIN / "rucio-cs3"), "mover", "--config", str(self.config)],
            log=self.folder / "mover.log",
            env=os.environ,
            stderr=subprocess.PIPE,
        )
        self.cleanup.callback(child.process.stderr.close)
        self.cleanup.callback(child.stop)
        self.process = child.process
        said = child.process.stderr.readline().decode()
        found = re.search(r"https?://[\d.]+:\d+", said)
        if not found:
            raise SandboxError(f"the mover did not start: {said}{child.process.stderr.read().decode()}")
        self.url = found[0]

    def ask(self, path: str) -> Any:
        """What it answers to a GET."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{self.url}{path}", timeout=60) as answer:
            return json.load(answer)


def site_table(name: str, gateway: Gateway) -> str:
    """How mover.toml describes the gateway: its doors, and who the mover is there."""
    settings = {"gateway": gateway.grpc, "webdav_root": WEBDAV_ROOT, "cs3_root": HOME, **LOGIN}
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    doors = json.dumps([f"davs://{gateway.http}{WEBDAV_ROOT}"])
    return "\n".join([f"[sites.{name}]", f"doors = {doors}", "tls = false", *lines, ""])
