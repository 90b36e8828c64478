"""Our client."""

from __future__ import annotations

from rucio_cs3.client import Cs3Client


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
