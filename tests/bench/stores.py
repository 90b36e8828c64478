"""What is in the storage, past the peers: put there for them to fetch, and looked at when they have put something."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from rucio_cs3.client import Cs3Client
from rucio_cs3.transfer import bulk
from tests.conformance.wire import Wire

if TYPE_CHECKING:
    from tests.bench.measure import Files


def store_of(site: dict) -> OnDisk | OverWire:
    return OnDisk(Path(site["local"])) if site["local"] else OverWire(site)


class OnDisk:
    """A storage that keeps files as they are, in folders with their names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, name: str) -> None:
        (self._folder / name).mkdir()

    def fill(self, name: str, files: Files) -> None:
        for one in files.names:
            os.link(files.folder / one, self._folder / name / one)

    def wrong(self, name: str, files: Files) -> str | None:
        return files.wrong(self._folder / name)

    def left(self, name: str) -> int:
        return len(os.listdir(self._folder / name))

    def remove(self, name: str) -> None:
        shutil.rmtree(self._folder / name, ignore_errors=True)


class OverWire:
    """One that keeps them in a form of its own, and tells the checksums that it has computed."""

    def __init__(self, site: dict) -> None:
        login = {"username": site["user"], "password": site["password"], "cache": "off"}
        self._client = Cs3Client(gateway=site["grpc"], tls=bool(site["ca"]), ca=site["ca"], **login)
        self._wire = Wire(site["grpc"], site["token"], ca=site["ca"])
        self._home = site["home"]

    def make(self, name: str) -> None:
        self._client.files.mkdir(self._at(name))

    def fill(self, name: str, files: Files) -> None:
        pairs = ((files.folder / one, f"{self._at(name)}/{one}") for one in files.names)
        with bulk.upload(self._client, pairs) as run:
            failed = [result.error for result in run if result.error]
        if failed:
            raise failed[0]

    def wrong(self, name: str, files: Files) -> str | None:
        return files.differ(
            {
                info.name: f"{info.size}:{info.checksums.get('adler32')}"
                for info in self._client.files.list(self._at(name))
            }
        )

    def left(self, name: str) -> int:
        return len(list(self._client.files.list(self._at(name))))

    def remove(self, name: str) -> None:
        self._client.files.delete(self._at(name), recursive=True)
        self._wire.ok("PurgeRecycle", ref=self._home)  # what is in the bin takes room

    def _at(self, name: str) -> str:
        return f"{self._home}/bench/{name}"
