"""What is said of sites when the mover starts, also of those that say or do what nobody thought of."""

from __future__ import annotations

import logging

import pytest

from rucio_cs3.errors import PermissionDenied
from rucio_cs3.mover import checks
from rucio_cs3.mover.site import Site
from rucio_cs3.mover.sites import Sites

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyIjoiZWluc3RlaW4ifQ.c2lnbmF0dXJl"
TABLE = {"gateway": "127.0.0.1:9", "tls": False, "username": "einstein", "password": "relativity"}


class Breaking(Sites):
    """Logging in does not come to its end."""

    def __init__(self, error):
        super().__init__(Site.of("A", TABLE), Site.of("B", TABLE))
        self.error = error

    def login(self, *_):
        raise self.error


def findings(sites):
    found = []
    for thread in checks.begin(sites, found.append):
        thread.join()
    return sorted(found, key=lambda finding: finding.text)


def test_a_token_that_a_site_repeats_is_not_told():
    found = findings(Breaking(PermissionDenied(f"{TOKEN} may not\x1b[2J", hint="")))
    assert [finding.text for finding in found] == ["A: … may not\\x1b[2J", "B: … may not\\x1b[2J"]


@pytest.mark.parametrize("error", [RuntimeError("relativity"), OSError("relativity")])
def test_a_site_that_could_not_be_looked_at_is_not_said_to_work(error):
    found = findings(Breaking(error))
    said = f"it could not be looked at ({type(error).__name__})"
    assert found == [(logging.ERROR, f"{name}: {said}") for name in "AB"]
