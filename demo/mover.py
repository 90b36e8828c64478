"""`rucio-cs3 mover` between embedded gateways, as an operator runs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from demo.process import BIN, Child, SandboxError, Service
from demo.sandbox import get
from demo.storage import HOME, LOGIN, WEBDAV_ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from demo.storage import Gateway

    Table = Mapping[str, object]

PATIENCE = 90  # seconds; a busy machine is slow
UNDER_WAY = ("SUBMITTED", "WAITING", "ACTIVE")


class Mover(Service):
    """The mover for these sites: `url` is what the RSE attribute fts wants. `settings` go before the sites' tables."""

    def __init__(self, folder: Path, sites: Mapping[str, Table], settings: str = "") -> None:
        super().__init__()
        self.folder = folder
        self.config = folder / "mover.toml"
        self.sites = sites
        self.settings = settings
        self.url = ""

    def start(self) -> None:
        """Write its configuration, start it and wait until it says where it listens."""
        bind = self.url.partition("//")[2] or "127.0.0.1:0"
        tables = [toml(name, table) for name, table in self.sites.items()]
        self.config.touch(mode=0o600)
        self.config.write_text("\n".join([f'listen = "{bind}"', self.settings, *tables]))
        self.child = child = Child(
            [str(BIN / "rucio-cs3"), "mover", "--config", str(self.config)],
            log=self.folder / "mover.log",
            env=os.environ,
            stderr=subprocess.PIPE,
        )
        self.cleanup.callback(child.stop)
        said = child.process.stderr.readline().decode()
        found = re.search(r"https?://[\d.]+:\d+", said)
        threading.Thread(target=self._keep_log, args=[child], daemon=True).start()
        if not found:
            child.process.wait()
            raise SandboxError(f"the mover did not start: {said}{child.last_words()}")
        self.url = found[0]

    def wait(self) -> None:
        """Wait until it has done all that it was asked for."""
        end = time.monotonic() + PATIENCE
        while not self.is_idle():
            if time.monotonic() > end:
                raise SandboxError(f"the mover is not done: {self.ask('/status.json')}")
            time.sleep(0.05)  # nothing tells us, as nothing tells Rucio

    def is_idle(self) -> bool:
        """Whether nothing is being copied, and nothing waits."""
        status = self.ask("/status.json")
        return not status["running"] and not any(status["files"][state] for state in UNDER_WAY)

    def _keep_log(self, child: Child) -> None:
        """Nobody else reads what it says, and it would wait for somebody to do."""
        with child.process.stderr as said, child.log.open("ab") as log:
            shutil.copyfileobj(said, log)

    def ask(self, path: str) -> Any:
        """What it answers to a GET."""
        return json.loads(get(f"{self.url}{path}", timeout=60))


def site_of(gateway: Gateway) -> Table:
    """Describe the gateway for mover.toml: its doors, and who the mover is there."""
    door = f"davs://{gateway.http}{WEBDAV_ROOT}"
    return {"gateway": gateway.grpc, "tls": False, "doors": [door], "cs3_root": HOME, **LOGIN}


def toml(name: str, table: Table) -> str:
    """Write a table; JSON's values are TOML's, too."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    return "\n".join([f"[sites.{name}]", *lines, ""])
