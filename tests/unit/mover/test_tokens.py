"""Callers who show tokens of an OpenID Connect provider: of a real one, and of one that does what it should not."""

from __future__ import annotations

import time

import pytest

from rucio_cs3.mover.tokens import ASKED
from tests.conformance.issuer import Issuer
from tests.idp.idp import AUDIENCE, PEOPLE, RUCIO
from tests.unit.mover.conftest import file

MOVER = "mover.example.org"  # the host that the RSE attribute fts names
SOURCE, TARGET = "davs://a.example/x", "davs://b.example/x"


def whoami(mover, token):
    answer = mover.ask("GET", "/whoami", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.json().get("user_dn")


@pytest.fixture
def mover(start, settings, idp):
    callers = {
        "rucio": {"issuer": idp.url, "audience": MOVER, "client_id": RUCIO.id},
        "other": {"issuer": idp.url, "audience": "other.example.org", "vo": "other"},
        "client": {"issuer": idp.url, "audience": AUDIENCE, "client_id": RUCIO.id},
    }
    return start({**settings, "callers": callers})


@pytest.fixture
def token(idp):
    """What Rucio gets when it asks."""

    def get(audience=MOVER, scope="fts"):
        return idp.token(RUCIO, "client_credentials", scope=scope, audience=audience)["access_token"]

    return get


def test_a_token_of_a_provider(mover, token):
    assert whoami(mover, token()) == (200, "rucio")
    assert whoami(mover, token("other.example.org")) == (200, "other")
    assert mover.ask("GET", "/status.json").status_code == 403


def test_what_they_submit_is_theirs(mover, token, put):
    mine, others = ({"Authorization": f"Bearer {token(audience)}"} for audience in (MOVER, "other.example.org"))
    wanted = {"files": [file(put(SOURCE), TARGET)]}
    job = mover.ask("POST", "/jobs", json=wanted, headers=mine).json()["job_id"]
    assert mover.ask("GET", f"/jobs/{job}", headers=mine).status_code == 200
    assert mover.ask("GET", f"/jobs/{job}", headers=others).status_code == 404


def test_a_token_that_is_for_something_else(mover, token):
    assert whoami(mover, token("elsewhere.example.org"))[0] == 403
    assert whoami(mover, token(scope="storage.read:/"))[0] == 403


def test_a_token_that_was_given_to_another_client(mover, idp):
    tokens = idp.login("marie", "openid fts"), idp.login("marie", "openid fts", app=RUCIO)
    assert [whoami(mover, token["access_token"]) for token in tokens] == [(403, None), (200, "client")]
    assert PEOPLE.id != RUCIO.id


def test_a_token_whose_time_is_over(mover, idp, token):
    with idp.short_lived(-3600):
        over = token()
    assert whoami(mover, over)[0] == 403


class Counting(Issuer):
    """Knows how often it was asked."""

    asked = 0

    @property
    def pages(self):
        self.asked += 1
        return super().pages


@pytest.fixture
def issuer():
    issuer = Counting()
    yield issuer
    issuer.stop()


@pytest.fixture
def wary(start, settings, issuer):
    return start({**settings, "callers": {"rucio": {"issuer": issuer.url, "audience": MOVER}}})


def good(issuer, **changes):
    return issuer.token("rucio", **{"aud": MOVER, "scope": "fts", **changes})


WRONG = {
    "forged": {"signed_by": "forger"},
    "unsigned": {"algorithm": "none"},
    "keyed with what is public": {"algorithm": "HS256"},
    "an algorithm that is not announced": {"algorithm": "RS512"},
    "no audience": {"aud": None},
    "an audience that is none": {"aud": {"x": MOVER}},
    "part of an audience": {"aud": MOVER[:-1]},
    "no end": {"exp": None},
    "an end that is none": {"exp": "tomorrow"},
    "over": {"exp": int(time.time()) - 3600},
    "not yet": {"nbf": int(time.time()) + 36000},
    "no scope": {"scope": None},
    "a scope that is none": {"scope": ["fts"]},
    "part of a scope": {"scope": "fts-not openid"},
    "another issuer": {"iss": "https://elsewhere.example.org"},
    "an issuer that is none": {"iss": ["x"]},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_wrong_token(wary, issuer, change):
    assert whoami(wary, good(issuer, **change))[0] == 403


@pytest.mark.parametrize("change", [{}, {"aud": ["x", MOVER]}, {"scope": "openid fts"}, {"kid": None}])
def test_a_right_token(wary, issuer, change):
    assert whoami(wary, good(issuer, **change)) == (200, "rucio")


def test_keys_are_kept_and_new_ones_fetched(wary, issuer):
    for _ in range(5):
        assert whoami(wary, good(issuer)) == (200, "rucio")
    assert issuer.asked == 2  # its discovery document, and its keys
    issuer.rotate()
    assert whoami(wary, good(issuer)) == (200, "rucio")
    assert issuer.asked == 3


def test_who_guesses_does_not_have_the_issuer_asked_each_time(wary, issuer):
    assert whoami(wary, good(issuer))[0] == 200
    guesses = 10 * ASKED
    assert {whoami(wary, good(issuer, kid=f"guess-{n}"))[0] for n in range(guesses)} == {403}
    assert issuer.asked < guesses
    assert whoami(wary, good(issuer)) == (200, "rucio")


def test_an_issuer_that_is_down_for_a_while(wary, issuer):
    issuer.broken = {"/jwks": None}
    answer = wary.ask("GET", "/whoami", headers={"Authorization": f"Bearer {good(issuer)}"})
    assert answer.status_code == 503
    assert "cannot be asked for its keys" in answer.json()["message"]
    issuer.broken = {}
    assert whoami(wary, good(issuer)) == (200, "rucio")
