"""The embedded CS3 gateway, and the protocol entries by which an operator tells Rucio of a storage."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demo.process import BIN, Child, SandboxError, Service

if TYPE_CHECKING:
    from pathlib import Path

LOGIN = {"auth": "basic", "username": "einstein", "password": "relativity"}  # one of the embedded gateway's users
HOME = "/home"  # the CS3 path that the WebDAV door opens on
WEBDAV_ROOT = "/remote.php/webdav"
EVERYTHING = {
    "wan": {"read": 1, "write": 1, "delete": 1, "third_party_copy_read": 1, "third_party_copy_write": 1},
    "lan": {"read": 1, "write": 1, "delete": 1},
}


class Gateway(Service):
    """The embedded CS3 gateway on a folder: `grpc` and `http` are its addresses, as host:port."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__()
        self.folder = folder
        self.root = folder / "storage"
        self.home = self.root / HOME.strip("/")
        self.options = options
        self.grpc = self.http = ""

    def start(self) -> None:
        """Start it and wait until it says where it listens."""
        self.home.mkdir(parents=True, exist_ok=True)
        grpc, http = (address.rpartition(":")[2] or "0" for address in (self.grpc, self.http))
        self.child = child = Child(
            [
                *(str(BIN / "rucio-cs3"), "gateway", "--root", str(self.root), "--json"),
                *("--port", grpc, "--http-port", http, "--webdav-namespace", HOME, *self.options),
            ],
            log=self.folder / "gateway.log",
            env=os.environ,
            stdout=subprocess.PIPE,
        )
        self.cleanup.callback(child.process.stdout.close)
        self.cleanup.callback(child.stop)
        line = child.process.stdout.readline()
        if not line:
            raise SandboxError(f"the gateway did not start:\n{child.last_words()}")
        ready = json.loads(line)
        self.grpc, self.http = ready["grpc"], ready["http"].partition("//")[2]

    def davs(self, folder: str) -> Protocol:
        """Describe a folder of the user's home by the site's WebDAV address, which every Rucio server can list."""
        host, _, port = self.http.rpartition(":")
        extra = {"gateway": self.grpc, "tls": False, "webdav_root": WEBDAV_ROOT, "cs3_root": HOME}
        return Protocol("davs", host, int(port), f"{WEBDAV_ROOT}/{folder}/", extended_attributes={"cs3": extra})

    def native(self, folder: str) -> Protocol:
        """Describe a folder of the user's home by the gateway's own address, for sites without a WebDAV door."""
        host, _, port = self.grpc.rpartition(":")
        return Protocol("cs3", host, int(port), f"{HOME}/{folder}/")


@dataclass(frozen=True)
class Protocol:
    """One protocol entry of an RSE."""

    scheme: str
    hostname: str
    port: int
    prefix: str
    impl: str = "rucio_cs3.protocol.Default"
    domains: dict[str, dict[str, int]] = field(default_factory=lambda: EVERYTHING)
    extended_attributes: dict[str, object] | None = None

    def as_options(self) -> list[str]:
        """Return the options of `rucio rse protocol add`."""
        options = [*("--scheme", self.scheme, "--hostname", self.hostname, "--port", str(self.port))]
        options += ["--prefix", self.prefix, "--impl", self.impl, "--domain-json", json.dumps(self.domains)]
        if self.extended_attributes:
            options += ["--extended-attributes-json", json.dumps(self.extended_attributes)]
        return options
