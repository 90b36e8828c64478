"""A token is taken over TLS, or from this machine alone."""

from __future__ import annotations

import pytest

from rucio_cs3.loopback import is_loopback
from tests.unit.broker.conftest import ELSEWHERE


@pytest.mark.parametrize("address", [ELSEWHERE, "2001:db8::1", "", "10.127.0.0.1"])
def test_from_elsewhere_in_the_clear(serve_to, peer, address):
    broker = serve_to(REMOTE_ADDR=address)
    for answer in (broker.ask(), broker.ask(X_Forwarded_Proto="https"), broker.get("/metrics")):
        assert (answer.status, answer.body["code"]) == (403, "plaintext_refused")
        assert "use https" in answer.body["error"]
    assert peer.seen == []
    assert broker.get("/health").status == 200


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_from_this_machine_in_the_clear(serve_to, address):
    assert serve_to(REMOTE_ADDR=address).ask().status == 200


def test_from_elsewhere_by_tls(serve_to):
    assert serve_to(**{"REMOTE_ADDR": ELSEWHERE, "wsgi.url_scheme": "https"}).ask().status == 200


@pytest.mark.parametrize("header", ["X_Forwarded_For", "X_Forwarded_Proto", "Forwarded"])
def test_a_proxy_on_this_machine_that_nobody_told_us_of(serve_to, header):
    answer = serve_to().ask(**{header: "https"})
    assert (answer.status, answer.body["code"]) == (403, "plaintext_refused")
    assert "behind_proxy = true" in answer.body["error"]


@pytest.mark.parametrize(
    ("said", "status"),
    [("https", 200), ("HTTPS", 200), ("https, https", 200), ("http", 403), ("https,http", 403), ("", 403), (None, 403)],
)
def test_behind_a_proxy_only_what_it_says_counts(serve_to, settings, said, status):
    settings["behind_proxy"] = True
    headers = {} if said is None else {"X_Forwarded_Proto": said}
    assert serve_to(REMOTE_ADDR=ELSEWHERE).ask(**headers).status == status
    assert serve_to().ask(**headers).status == status


def test_what_is_loopback():
    assert all(map(is_loopback, ["127.0.0.1", "localhost", "::1", "[::1]", "::ffff:127.0.0.1"]))
    assert not any(
        map(is_loopback, ["", "0.0.0.0", "::", "localhost.example.org", "127.0.0.1.example.org", "192.0.2.1"])
    )
