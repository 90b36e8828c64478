"""The two sites of a copy, and what is asked of it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import uuid
import zlib
from urllib.parse import quote

import pytest

from rucio_cs3.gateway import Fault
from rucio_cs3.mover.model import Failed
from tests.conformance import storages


class End:
    """One of the two sites, with a folder of its own, as the test looks at it."""

    def __init__(self, name, storage, **settings):
        self.name, self.storage = name, storage
        self.wire = storage.wire()
        self.folder = self.wire.mkdir(f"{storage.home.rstrip('/')}/test-{uuid.uuid4().hex[:12]}")
        self.table = {
            "gateway": storage.address,
            "tls": False,
            "username": storage.user,
            "password": storage.password,
            "doors": [storage.dav],
            "cs3_root": storage.home,
            "retries": 1,
            "processing_timeout": 30,
            **settings,
        }

    def path(self, name):
        return f"{self.folder}/{name}"

    @property
    def below(self):
        return os.path.relpath(self.folder, self.storage.home)

    def url(self, name):
        return f"{self.storage.dav}/{quote(self.below)}/{quote(name)}"

    def put(self, name, content, **options):
        with self.storage.client() as client:
            client.upload(io.BytesIO(content), self.path(name), **options)
        return self.url(name)

    def content(self, name):
        with self.storage.client() as client, client.open_read(self.path(name)) as file:
            return file.read()

    def names(self, below=""):
        with self.storage.client() as client:
            return sorted(entry.name for entry in client.files.list(self.path(below) if below else self.folder))

    def fault(self, **fault):
        if not self.storage.gateway:
            pytest.skip("a real storage does not break on request")
        self.storage.gateway.faults.add(Fault(**fault))


@contextlib.contextmanager
def end(name, storage):
    end = End(name, storage)
    yield end
    end.wire.call("Delete", ref=end.folder)


def pairs(kinds):
    """Parameters for `pair`: those of these pairs that there are, of embedded storages and of real ones."""
    both = [tuple(prefix + name for name in pair) for prefix in ("", "real-") for pair in kinds]
    return [pytest.param(pair, id=">".join(pair)) for pair in both if set(pair) <= set(storages.names())]


def adler(content):
    return f"ADLER32:{zlib.adler32(content):08x}"


def failing(copy, *sources, **wanted):
    """What a copy fails with, which is always one line."""
    with pytest.raises(Failed) as caught:
        copy(*sources, **wanted)
    assert "\n" not in caught.value.reason
    assert re.match(rf"{caught.value.side.value} \[\d+\] ", caught.value.reason)
    return caught.value
