"""How the device flow (RFC 8628) waits for a person, on a clock that nobody has to wait for."""

from __future__ import annotations

import contextlib
import json

import pytest

from rucio_cs3 import deadline
from rucio_cs3.config import Config
from rucio_cs3.credentials.caller import NOBODY
from rucio_cs3.credentials.sources import Sources
from rucio_cs3.errors import DeadlineExceeded, LoginRefused
from tests.unit.broker.conftest import served
from tests.unit.credentials.wrong import KNOWN, Wrong


class Clock:
    """Time goes by when somebody sleeps, and then at once."""

    def __init__(self):
        self.now = 1000.0
        self.pauses = []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


def refusal(code):
    return (400, json.dumps({"error": code}), 0)


PENDING, SLOW_DOWN, DENIED = map(refusal, ("authorization_pending", "slow_down", "access_denied"))
DOWN = (503, "<html>", 0)
AGREED = (200, '{"access_token": "a", "refresh_token": "r"}', 0)
BEGUN = {"device_code": "secret-device-code", "user_code": "AB-CD", "verification_uri": "https://idp.example.org/d"}


@pytest.fixture
def waited():
    """Go through the flow with a provider that begins and answers so; returns the pauses, and what came of it."""
    with contextlib.ExitStack() as stack:

        def wait(begun, *answers):
            token = list(answers)
            device = (200, json.dumps({**BEGUN, **begun}), 0)
            wrong = stack.enter_context(
                served(Wrong({"openid-configuration": KNOWN, "device": device, "token": token}))
            )
            sources = Sources(Config("h:1", issuer=wrong.url, client_id="c"), NOBODY)
            stack.callback(sources.close)
            clock, provider = Clock(), sources.provider()
            try:
                outcome = provider.await_device(provider.begin_device(), clock)
            except (DeadlineExceeded, LoginRefused) as error:
                outcome = error
            assert [path for path, *_ in wrong.seen].count("/token") == len(clock.pauses)
            assert token == []  # it asked as often as it was answered
            return clock.pauses, outcome

        yield wait


AGREEMENTS = {
    "at once": ({"interval": 7}, [AGREED], [7]),
    "as it says": ({"interval": 7}, [PENDING, PENDING, AGREED], [7, 7, 7]),
    "as the RFC says": ({}, [PENDING, AGREED], [5, 5]),
    "never all the time": ({"interval": 0.01}, [PENDING, AGREED], [1, 1]),
    "not by nonsense": ({"interval": "soon", "expires_in": "later"}, [PENDING, AGREED], [5, 5]),
    "slower when told so": ({"interval": 2}, [PENDING, SLOW_DOWN, PENDING, SLOW_DOWN, AGREED], [2, 2, 7, 7, 12]),
    "while it is down": ({"interval": 2}, [PENDING, DOWN, DOWN, AGREED], [2, 2, 2, 2]),
    "to the last second": ({"interval": 5, "expires_in": 12}, [PENDING, PENDING, AGREED], [5, 5, 2]),
}


@pytest.mark.parametrize("case", AGREEMENTS)
def test_it_asks(waited, case):
    begun, answers, pauses = AGREEMENTS[case]
    found, tokens = waited(begun, *answers)
    assert found == pytest.approx(pauses)
    assert tokens["refresh_token"] == "r"


ENDS = {
    "the code is over": ({"interval": 5, "expires_in": 12}, [PENDING] * 3, [5, 5, 2]),
    "slowing down does not outlast it": ({"interval": 5, "expires_in": 12}, [SLOW_DOWN, PENDING], [5, 7]),
    "nothing says when": ({"interval": 100}, [PENDING] * 6, [100] * 6),
}


@pytest.mark.parametrize("case", ENDS)
def test_it_gives_up_when(waited, case):
    begun, answers, pauses = ENDS[case]
    found, error = waited(begun, *answers)
    assert found == pytest.approx(pauses)
    assert isinstance(error, DeadlineExceeded)
    assert "nobody agreed in time; log in again" in str(error)


@pytest.mark.parametrize("code", ["access_denied", "expired_token", "invalid_grant"])
def test_a_refusal_is_the_last_word(waited, code):
    found, error = waited({"interval": 3}, PENDING, refusal(code))
    assert found == [3, 3]
    assert (type(error), error.reason) == (LoginRefused, code)
    assert BEGUN["device_code"] not in str(error)


def test_no_pause_is_longer_than_there_is_time(waited):
    with deadline.within(30):
        found, _ = waited({"interval": 10_000, "expires_in": 20_000}, AGREED)
    assert 0 < found[0] <= 30
