from __future__ import annotations

import pytest

from rucio_cs3 import deadline, errors
from rucio_cs3.transfer import retry as module
from rucio_cs3.transfer.retry import DOWNLOAD, RULES, UPLOAD, passes, retry
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
    "failure",
    [
        *(errors.PermissionDenied, errors.StorageFull, errors.LocalTargetError, errors.Locked, ZeroDivisionError),
        *(errors.WrongContent, errors.Untrusted, errors.TurnedDown),  # although what they are kinds of may pass
    ],
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


def test_every_status_has_a_row_of_its_own():
    kinds = {*errors.CS3_STATUS.values(), *errors.HTTP_STATUS.values(), *errors.CS3_WORDS.values()}
    assert kinds <= set(RULES)
    assert all(rule.why for rule in RULES.values())


def test_every_error_that_means_something_has_a_row():
    """Or is a kind of one that has; these two are only there to be caught."""
    todo, without = [errors.Cs3Error], set()
    while todo:
        kind = todo.pop()
        todo += kind.__subclasses__()
        if not any(above in RULES for above in kind.__mro__):
            without.add(kind)
    assert without == {errors.Cs3Error, errors.TransferError}


@pytest.mark.parametrize(
    ("status", "down", "up"),
    [
        *((401, False, False), (403, False, False), (404, False, True), (409, False, True), (412, False, True)),
        *((416, False, False), (419, True, True), (423, False, False), (425, False, False), (429, True, True)),
        *((500, True, True), (502, True, True), (503, True, True), (504, True, True), (507, False, False)),
        *((206, True, True), (302, False, False), (400, False, False), (501, False, False)),
    ],
)
def test_http(status, down, up):
    error = errors.from_http(status, "")
    assert (passes(error, DOWNLOAD), passes(error, UPLOAD)) == (down, up)


def test_who_gets_further_does_not_fail():
    reached = [0]
    attempts = []

    def operation(attempt):
        attempts.append(attempt)
        if len(attempts) < 6:
            reached[0] += 1
            raise errors.Interrupted("cut")

    retry(operation, UPLOAD, times=1, tokens=given("t"), reached=lambda: reached[0])
    assert len(attempts) == 6
    reached[0] = 0
    attempts.clear()

    def stuck(attempt):
        attempts.append(attempt)
        reached[0] = min(reached[0] + 1, 2)
        raise errors.Interrupted("cut")

    with pytest.raises(errors.Interrupted):
        retry(stuck, UPLOAD, times=1, tokens=given("t"), reached=lambda: reached[0])
    assert len(attempts) == 3


def test_who_gets_further_may_need_another_token_again():
    reached = iter([0, 1, 1, 2, 2])
    failures = [errors.TokenRejected, errors.TokenRejected]

    def operation(attempt):
        if failures:
            raise failures.pop()("expired")
        return attempt

    assert retry(operation, UPLOAD, times=0, tokens=given("t"), reached=lambda: next(reached)) == 0


def busy(wish):
    error = errors.Unavailable("busy")
    error.retry_after = wish
    return lambda _: error


@pytest.fixture
def pauses(monkeypatch):
    found = []
    monkeypatch.setattr(deadline, "sleep", found.append)
    return found


def test_the_server_says_when(pauses):
    assert run(busy(7.0), busy(0.0)) == [0, 1, 2]
    assert pauses == [7.0, 0.0]


@pytest.mark.parametrize(("wish", "patience"), [(10, 5), (301, None)])
def test_nobody_waits_longer_than_there_is_time(pauses, wish, patience):
    with deadline.within(patience), pytest.raises(errors.Unavailable, match=f"asked again in {wish} seconds"):
        run(busy(float(wish)))
    assert pauses == []
