"""Our dump of a tree."""

from __future__ import annotations

from pathlib import Path

from rucio_cs3 import memory
from rucio_cs3.catalog.dump import Dump, Wanted
from rucio_cs3.client import Cs3Client
from rucio_cs3.model import Ref


class Driver:
    def __init__(self, job):
        memory.one_heap()  # as the command does
        site = job["site"]
        self.client = Cs3Client(gateway=site["grpc"], tls=False, token=site["token"], cache="off")
        self.root = site["root"]
        self.client.files.stat(self.root)

    def dump(self, output):
        with Dump(self.client.files, Ref(self.root), self.root, Path(output), Wanted()) as dump:
            errors = [error for _, error in dump if error]
            assert not errors, errors[0]
            assert dump.finish()
