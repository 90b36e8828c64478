from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rucio_cs3 import deadline, errors
from rucio_cs3.client import Cs3Client
from rucio_cs3.flight import Flight
from rucio_cs3.gateway import silent_gateway
from rucio_cs3.model import Ref
from rucio_cs3.root import Root

THREADS = 8
PATIENCE = 60  # seconds


class Fetch:
    """Counts, and ends when it is told to, in the way that it is told to."""

    def __init__(self):
        self.calls = 0
        self.begun = threading.Event()
        self.end = threading.Event()
        self.failure = None

    def __call__(self):
        self.calls += 1
        self.begun.set()
        assert self.end.wait(PATIENCE)
        if self.failure:
            raise self.failure
        return self.calls


def waiting(flight, fetch, pool, count):
    """Futures of threads that all wait for the fetch that is under way."""
    arrived = threading.Semaphore(0)
    awaited = flight._under_way
    result = awaited.result

    def arrive(timeout):
        arrived.release()
        return result(timeout)

    awaited.result = arrive
    found = [pool.submit(flight.share, fetch) for _ in range(count)]
    for _ in found:
        assert arrived.acquire(timeout=PATIENCE)
    return found


@pytest.fixture
def pool():
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool


def test_one_fetches_for_all(pool):
    flight, fetch = Flight(), Fetch()
    first = pool.submit(flight.share, fetch)
    assert fetch.begun.wait(PATIENCE)
    others = waiting(flight, fetch, pool, THREADS - 1)
    fetch.end.set()
    assert first.result(PATIENCE) == 1
    assert {other.result(PATIENCE) for other in others} == {1}
    assert fetch.calls == 1


def test_a_failure_is_shared(pool):
    flight, fetch = Flight(), Fetch()
    fetch.failure = errors.Unavailable("down")
    first = pool.submit(flight.share, fetch)
    assert fetch.begun.wait(PATIENCE)
    others = waiting(flight, fetch, pool, THREADS - 1)
    fetch.end.set()
    for one in (first, *others):
        assert isinstance(one.exception(PATIENCE), errors.Unavailable)
    with pytest.raises(errors.Unavailable):
        flight.share(fetch)  # it is not remembered


@pytest.mark.parametrize("failure", [KeyboardInterrupt, SystemExit])
def test_what_stops_one_stops_no_other(pool, failure):
    flight, fetch = Flight(), Fetch()
    fetch.failure = failure()

    def interrupted():
        with pytest.raises(failure):
            flight.share(fetch)

    first = pool.submit(interrupted)
    assert fetch.begun.wait(PATIENCE)
    other = waiting(flight, lambda: "fetched again", pool, 1)[0]
    fetch.end.set()
    first.result(PATIENCE)
    assert other.result(PATIENCE) == "fetched again"


def test_the_time_of_one_is_not_the_time_of_others(pool):
    flight, fetch = Flight(), Fetch()

    def in_a_hurry():
        with deadline.within(0), pytest.raises(errors.DeadlineExceeded):
            flight.share(lambda: fetch() and deadline.check())

    first = pool.submit(in_a_hurry)
    assert fetch.begun.wait(PATIENCE)
    other = waiting(flight, lambda: "fetched again", pool, 1)[0]
    fetch.end.set()
    first.result(PATIENCE)
    assert other.result(PATIENCE) == "fetched again"


def test_who_waits_waits_no_longer_than_its_time(pool):
    flight, fetch = Flight(), Fetch()
    first = pool.submit(flight.share, fetch)
    assert fetch.begun.wait(PATIENCE)
    with deadline.within(0.1), pytest.raises(errors.DeadlineExceeded):
        flight.share(fetch)
    fetch.end.set()
    assert first.result(PATIENCE) == 1


@pytest.mark.parametrize("action", ["login", "root"])
def test_threads_that_meet_a_silent_site_fail_together(pool, action):
    with silent_gateway() as address:
        login = {"username": "einstein", "password": "relativity", "call_timeout": 2}
        with Cs3Client(gateway=address, tls=False, **login) as client:
            act = client.whoami if action == "login" else Root(client, Ref("/rucio")).resolve
            began = time.monotonic()
            found = [pool.submit(act) for _ in range(THREADS)]
            assert all(isinstance(one.exception(PATIENCE), errors.Cs3Error) for one in found)
            assert time.monotonic() - began < 2 * THREADS  # which it takes if each waits for itself


def test_an_interrupt_at_the_worst_moment_leaves_nobody_waiting(pool):
    """Between the fetch and telling of it."""
    flight, fetch = Flight(), Fetch()
    first = pool.submit(pytest.raises, KeyboardInterrupt, flight.share, fetch)
    assert fetch.begun.wait(PATIENCE)

    def interrupted(_):
        raise KeyboardInterrupt

    flight._under_way.set_result = interrupted
    other = waiting(flight, lambda: "fetched again", pool, 1)[0]
    fetch.end.set()
    first.result(PATIENCE)
    assert other.result(PATIENCE) == "fetched again"
