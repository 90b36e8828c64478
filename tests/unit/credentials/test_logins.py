from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from rucio_cs3.credentials.logins import Logins
from rucio_cs3.errors import NoLogin


class Slow:
    """A provider that renews a login, and lets something else happen meanwhile."""

    issuer, client_id, identity = "https://idp.example.org", "people", "idp people"

    def __init__(self, meanwhile):
        self.meanwhile = meanwhile

    def refresh(self, _):
        self.meanwhile()
        return "access", "following"


@pytest.mark.parametrize("last", ["logout", "another login"])
def test_a_renewal_under_way_does_not_undo(tmp_path, last):
    logins = Logins(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        begun = []

        def meanwhile():
            act = (lambda: logins.forget(provider)) if last == "logout" else lambda: logins.keep(provider, new)
            begun.append(pool.submit(act))

        provider, new = Slow(meanwhile), {"refresh_token": "of somebody else"}
        logins.keep(provider, {"refresh_token": "first"})
        assert logins.access_token(provider) == "access"
        begun[0].result(20)
    if last == "logout":
        with pytest.raises(NoLogin):
            logins.find(provider)
    else:
        assert json.loads(logins.find(provider))["refresh_token"] == "of somebody else"
