"""The mover as Rucio meets it, by its REST door, between two sites."""

from __future__ import annotations

import zlib

import pytest

from tests.conformance.test_mover_copy import SMALL, pair  # noqa: F401 - a fixture
from tests.unit.broker.conftest import as_toml
from tests.unit.mover.conftest import commanded, file

pytest.importorskip("gunicorn", reason="pip install rucio-cs3[mover]")
pytest.importorskip("prometheus_client", reason="pip install rucio-cs3[mover]")


@pytest.fixture
def mover(near, far, tmp_path):
    place = tmp_path / "mover.toml"
    place.touch(mode=0o600)
    place.write_text(as_toml({"listen": "127.0.0.1:0", "sites": {end.name: end.table for end in (near, far)}}))
    with commanded(place) as mover:
        yield mover


def test_a_job(mover, near, far):
    near.put("x", SMALL)
    wanted = file(near.url("x"), far.url("y"), filesize=len(SMALL), checksum=f"adler32:{zlib.adler32(SMALL):08x}")
    told = mover.ended(mover.submit(wanted, verify_checksum="both"))
    assert (told["job_state"], told["files"][0]["reason"]) == ("FINISHED", None)
    assert far.content("y") == SMALL
    again = mover.ended(mover.submit(wanted))
    assert "Destination file exists and overwrite is not enabled" in again["files"][0]["reason"]
