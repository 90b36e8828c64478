from __future__ import annotations

import pytest

from rucio_cs3 import deadline, errors
from rucio_cs3.transfer import retry as module
from rucio_cs3.transfer.retry import DOWNLOAD, UPLOAD, retry
from tests.unit.credentials.given import given


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.0)


def run(*failures, on=DOWNLOAD, times=2):
    """The attempts made until one succeeds, with these failures before."""
    attempts = []
    left = list(failures)

    def operation(attempt):
        attempts.append(attempt)
        if left:
            raise left.pop(0)("failed")

    tokens = given("t")
    retry(operation, on, times=times, tokens=tokens)
    return attempts


def test_success_is_not_repeated():
    assert run() == [0]


@pytest.mark.parametrize("failure", UPLOAD)
def test_what_can_pass_is_tried_again(failure):
    assert run(failure, failure, on=UPLOAD) == [0, 1, 2]


@pytest.mark.parametrize(
    "failure", [errors.PermissionDenied, errors.StorageFull, errors.LocalTargetError, ZeroDivisionError]
)
def test_what_will_not_pass_is_not(failure):
    with pytest.raises(failure):
        run(failure)


def test_there_is_an_end():
    with pytest.raises(errors.Interrupted):
        run(*[errors.Interrupted] * 3)


def test_a_refused_token_is_replaced_once_and_costs_no_attempt():
    assert run(errors.TokenRejected) == [0, 0]
    with pytest.raises(errors.TokenRejected):
        run(errors.TokenRejected, errors.TokenRejected)


def test_the_deadline_ends_it():
    with deadline.within(0), pytest.raises(errors.DeadlineExceeded):
        run(errors.Interrupted)
