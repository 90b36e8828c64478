"""Rules between storages of other kinds, real ones among them."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from demo.mover import Mover
from demo.storage import Protocol
from tests.conformance import storages
from tests.conformance.conftest import issuer  # noqa: F401 - a fixture
from tests.rucio.conftest import Site, numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)  # each plays several rounds of Rucio's daemons
SIZES = [0, 1, 70_000, 3_000_001]
KINDS = [
    pair
    for pair in (
        ("reva-local", "opencloud"),
        ("real-reva-local", "real-opencloud"),
        ("real-opencloud", "real-reva-local"),
    )
    if set(pair) <= set(storages.names())
]


@dataclass
class FarSite(Site):
    """A site whose files are not ours to look at but through its gateway; `folder` is a CS3 path."""

    storage: Any

    def put(self, name: str, content: bytes, suffix: str = "") -> Path:
        path = Path(f"{self.path(name)}{suffix}")
        with self.storage.client() as client:
            client.upload(io.BytesIO(content), str(path), overwrite=True)
        return path

    def stored(self) -> dict[str, bytes]:
        with self.storage.client() as client:
            return dict(self._below(client, str(self.folder)))

    def _below(self, client: Any, folder: str) -> Iterator[tuple[str, bytes]]:
        for entry in client.files.list(folder):
            path = f"{folder}/{entry.name}"
            if entry.is_file:
                with client.open_read(path) as file:
                    yield path, file.read()
            else:
                yield from self._below(client, path)

    @property
    def door(self) -> str:
        """The WebDAV address of the user's home."""
        return self.storage.dav.replace("http://", "davs://")

    @property
    def settings(self) -> dict[str, Any]:
        """What both the RSE and the mover are told of the gateway."""
        return {"gateway": self.storage.address, "tls": False, "cs3_root": self.storage.home}

    @property
    def protocol(self) -> Protocol:
        parts = urlsplit(self.door)
        extra = {"cs3": {**self.settings, "webdav_root": parts.path}}
        prefix = f"{parts.path}/{self.folder.name}/"
        return Protocol("davs", parts.hostname, parts.port, prefix, extended_attributes=extra)

    @property
    def table(self) -> dict[str, Any]:
        login = {"username": self.storage.user, "password": self.storage.password}
        return {**self.settings, **login, "doors": [self.door]}


@pytest.fixture(params=KINDS, ids=">".join)
def pair(request, issuer, sandbox, client):  # noqa: F811
    """Two sites of these kinds, with an empty folder for an RSE each."""
    with storages.Fleet(issuer) as fleet:
        yield [_site(fleet.get(name), sandbox, client) for name in request.param]


def _site(storage, sandbox, client) -> FarSite:
    number = next(numbers)
    folder = Path(storage.home, f"site-{number}")
    with storage.client() as at_site:
        at_site.files.mkdir(str(folder))
    site = FarSite(f"SITE-{number}", folder, sandbox, client, storage)
    client.add_rse(site.rse)
    client.set_local_account_limit("root", site.rse, -1)
    site.add_protocol(site.protocol)
    return site


def test_a_rule_between_kinds(pair, orchestra, new_name, tmp_path):
    here, there = pair
    content = random.Random(1).randbytes
    files = {f"{new_name}-{size}": content(size) for size in SIZES}
    with Mover(tmp_path, {site.rse: site.table for site in pair}) as mover:
        orchestra.mover = mover
        for site in pair:
            orchestra.add(site)
        for name, data in files.items():
            here.register(name, data)
        rules = [orchestra.rule(name, there) for name in files]
        assert orchestra.settle(*rules) == ["OK"] * len(files)
    assert {Path(path).name: data for path, data in there.stored().items()} == files
    orchestra.agree()
