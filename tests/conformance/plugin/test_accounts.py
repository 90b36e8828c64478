"""Two virtual organisations on one Rucio, each with an RSE of the same name: what tells them apart is the RSE's id."""

from __future__ import annotations

import json

import pytest
from rucio.common import exception

from rucio_cs3.protocol import Default
from tests.conformance.plugin.rse import entry


@pytest.fixture
def connected(storage, rucio_cfg, tmp_path, monkeypatch):
    """Make a connected protocol object for an RSE id, with a login for each id in rse-accounts.cfg."""
    if storage.other_user is None:
        pytest.skip("nobody else to be")
    people = {"id-in-one": (storage.user, storage.password), "id-in-two": storage.other_user}
    accounts = {rse_id: {"cs3": {"username": name, "password": word}} for rse_id, (name, word) in people.items()}
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "rse-accounts.cfg").write_text(json.dumps(accounts))
    monkeypatch.setenv("RUCIO_HOME", str(tmp_path))

    def make(rse_id):
        settings = {"rse": "SAME", "id": rse_id, "deterministic": True, "lfn2pfn_algorithm": "identity"}
        made = Default(entry(storage, storage.home), settings)
        made.connect()
        return made

    return make


def test_each_has_its_own_login(storage, connected):
    if storage.facts.has_spaces:  # the home of one is not seen by the other
        with pytest.raises(exception.ServiceUnavailable, match=f"cannot be seen as {storage.other_user[0]}"):
            connected("id-in-two")
        return
    for _ in range(2):
        for rse_id, user in (("id-in-one", storage.user), ("id-in-two", storage.other_user[0])):
            assert connected(rse_id)._root.client.whoami().username == user
