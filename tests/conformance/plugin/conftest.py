from __future__ import annotations

import pytest

pytest.importorskip("rucio.rse", reason="the plugin needs rucio-clients: pip install 'rucio-cs3[rucio]'")

from rucio.common.config import clean_cached_config

from tests.conformance.plugin.rse import pfn, protocol_of


@pytest.fixture
def rucio_cfg(tmp_path_factory, monkeypatch, storage):
    """The user's rucio.cfg. The % would be a trap to who reads it as ConfigParser likes to."""
    file = tmp_path_factory.mktemp("etc") / "rucio.cfg"
    file.write_text(
        f"[client]\nrucio_host = http://localhost\n[cs3:R]\nusername = {storage.user}\npassword = {storage.password}\n"
        "[cs3:WRONG]\nusername = einstein\npassword = 100%wrong\n[cs3:NOUSER]\npassword = x\n"
    )
    monkeypatch.setenv("RUCIO_CONFIG", str(file))
    clean_cached_config()
    yield file
    clean_cached_config()


@pytest.fixture
def protocol(storage, folder, rucio_cfg):
    """Makes connected protocol objects as Rucio does: a new one for every few calls."""

    def make(rse="R", **changes):
        made = protocol_of(storage, folder, rse, **changes)
        made.connect()
        return made

    return make


@pytest.fixture
def local(tmp_path):
    """A folder of the user's with a file to upload."""
    (tmp_path / "file").write_bytes(b"content")
    return tmp_path


@pytest.fixture
def stored(protocol, local):
    """The PFN of a file that is there."""
    protocol().put("file", pfn("scope/stored"), str(local), transfer_timeout=360)
    return pfn("scope/stored")
