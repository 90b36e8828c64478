"""Our client."""

from __future__ import annotations

from rucio_cs3.client import Cs3Client
from rucio_cs3.transfer import bulk


class Driver:
    shared = True

    def __init__(self, job):
        site = job["site"]
        login = {"username": site["user"], "password": site["password"], "cache": "off"}
        self.client = Cs3Client(gateway=site["grpc"], tls=bool(site["ca"]), ca=site["ca"], **login)
        self.client.whoami()
        self.local, self.remote = job["local"], job["remote"]
        self.known = job["adler32"]  # where the storage has no checksum, ours is compared all the same

    def up(self, name):
        self.client.upload(f"{self.local}/{name}", f"{self.remote}/{name}")

    def down(self, name):
        checksums = {"adler32": self.known[name]}
        self.client.download(f"{self.remote}/{name}", f"{self.local}/{name}", checksums=checksums)

    def stat(self, name):
        self.client.files.stat(f"{self.remote}/{name}")

    def delete(self, name):
        self.client.files.delete(f"{self.remote}/{name}")

    def together(self, verb, names, threads):
        """As users do it with many files."""
        there = (f"{self.remote}/{name}" for name in names)
        here = (f"{self.local}/{name}" for name in names)
        items = {"up": zip(here, there), "down": zip(there, here)}.get(verb, there)
        act = {"up": bulk.upload, "down": bulk.download, "stat": bulk.stat, "delete": bulk.delete}[verb]
        with act(self.client, items, jobs=threads) as run:
            for result in run:
                if result.error:
                    raise result.error
