"""Parts over TLS: connections of their own, each with its own session, and every one of them verified."""

from __future__ import annotations

import os
import ssl

import pytest
import trustme

from rucio_cs3 import errors
from tests.unit.transfer.liar import MIB, cut, says
from tests.unit.transfer.test_parallel import (
    CONTENT,
    PARTS,
    fetched,
    go_far_away,
    once,
    woken_when_another_part_fails_for_good,
)

SHUTS = {"cut": cut(MIB // 2), "reset": cut(MIB // 2, "reset"), "refused": says(503)}


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def secured(authority, tmp_path_factory):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    pem = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(pem))
    return context, {"tls": True, "ca": str(pem)}


@pytest.fixture
def liar(liar, monkeypatch):
    go_far_away(liar, monkeypatch)
    return liar


def test_a_long_link_is_shared(site, liar, tmp_path):
    assert liar.url.startswith("https://")
    assert fetched(site, tmp_path) == CONTENT
    assert sorted(liar.starts[2:]) == PARTS
    assert 1 < liar.busiest <= 4


@pytest.mark.parametrize("how", SHUTS)
def test_a_part_that_breaks_is_asked_for_again_alone(site, liar, tmp_path, how):
    liar.always = once(SHUTS[how], 5 * MIB)
    assert fetched(site, tmp_path) == CONTENT
    assert len(liar.starts[2:]) == len(PARTS) + 1
    assert liar.starts.count(None) == 1


@pytest.mark.timeout(60)
def test_who_waits_for_bytes_is_woken_when_another_part_fails_for_good(site, liar, tmp_path):
    assert woken_when_another_part_fails_for_good(site, liar, tmp_path)


def test_no_part_comes_from_a_server_that_nobody_vouches_for(site, liar, tmp_path):
    """It took the address over after the first answer."""
    stranger = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(stranger)

    def take_over(reply):
        liar.tls = stranger
        return reply

    liar.lies = [take_over]
    with pytest.raises(errors.Untrusted):
        site.downloads.to_path("/f", str(tmp_path / "got"))
    assert os.listdir(tmp_path) == []
