from __future__ import annotations

import random

import pytest

from rucio_cs3.transfer import retry
from tests.unit.transfer.liar import MIB, Liar, Site

CONTENT = random.Random(1).randbytes(3 * MIB + 17)


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.0)


@pytest.fixture
def liar():
    liar = Liar(CONTENT)
    yield liar
    liar.stop()


@pytest.fixture
def site(liar, no_pause):
    """With the settings of `site.again(…)` where it matters."""
    sites = []

    def make(**settings):
        sites.append(Site(liar, **settings))
        return sites[-1]

    made = make()
    made.again = make
    yield made
    for one in sites:
        one.servers.close()
