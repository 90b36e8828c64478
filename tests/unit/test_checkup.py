"""What `rse check` does without a Rucio: its table, its clock, its versions, and what it makes of a port."""

from __future__ import annotations

import time

import pytest

from rucio_cs3 import Config
from rucio_cs3.checkup import clock, network, versions
from rucio_cs3.checkup.case import Case, Wish
from rucio_cs3.checkup.model import Check, failed, passed
from rucio_cs3.checkup.table import CHECKS, examine
from rucio_cs3.errors import Unavailable
from rucio_cs3.gateway import Gateway
from rucio_cs3.gateway.silent import silent_gateway
from rucio_cs3.operate.names import age


def test_checks_need_what_comes_before_them():
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    for place, check in enumerate(CHECKS):
        assert set(check.needs) <= set(names[:place])


def raising(error):
    def run(_):
        raise error

    return run


def test_of_what_fails_the_first_cause_is_told():
    checks = [
        Check("a", "", lambda _: [passed("well")]),
        Check("b", "", raising(Unavailable("down", hint="wait"))),
        Check("c", "", raising(AssertionError), needs=("a", "b")),
        Check("d", "", raising(AssertionError), needs=("c",)),
        Check("e", "", lambda _: [failed("ill", "rest")], needs=("a",), unless=lambda _: "no e here"),
        Check("f", "", raising(KeyError("what")), needs=("e",)),
        Check("g", "", lambda _: [passed("well")], needs=("a",)),
    ]
    told = []
    found = examine(Case("x", Wish()), checks, tell=lambda check: told.append(check.name))
    assert [(one.check, one.outcome, one.seen, one.looked) for one in found] == [
        ("a", "pass", "well", True),
        ("b", "fail", "down", True),
        ("c", "skip", "not reached: b", False),
        ("d", "skip", "not reached: b", False),
        ("e", "skip", "no e here", False),
        ("f", "fail", "KeyError: 'what'", True),
        ("g", "pass", "well", True),
    ]
    assert told == list("abcdefg")


@pytest.mark.parametrize(
    ("said", "outcome"),
    [(100, "pass"), (104, "pass"), (91, "pass"), (75, "warn"), (130, "warn"), (30, "fail"), (400, "fail")],
)
def test_a_clock_is_held_against_both_ends_of_the_question(said, outcome):
    assert clock.compared("the site", said, began=100.0, ended=105.0).outcome == outcome


@pytest.mark.parametrize(
    ("package", "found", "troubled"),
    [
        ("urllib3", "1.25.11", True),
        ("urllib3", "1.26.19", False),
        ("urllib3", "2.8.0", False),
        ("cs3apis", "0.2.20251231.1", True),
        ("cs3apis", "0.2.20260915.5122065", False),
        ("rucio-clients", "34.6.0", True),
        ("rucio-clients", "41.5.1", False),
        ("rucio-clients", "42.0.0rc1", True),
        ("niquests", "3.1", True),
    ],
)
def test_versions_that_are_known_to_be_trouble(package, found, troubled):
    known = [one for one in versions.KNOWN if one.package == package]
    assert any(one.meets(versions.numbers(found)) for one in known) == troubled


def test_the_age_of_a_probe_stands_in_its_name():
    with Case("x", Wish()) as case:
        name = case.new_name()
        case.gone(name)
    assert 0 <= age(name) < 60
    assert age(f".rucio-cs3-check-{int(time.time()) - 7200:x}-ab.part") > 7000
    assert age(".rucio-cs3-check-zz-ab.part") is None
    assert age("theirs") is None


def end(address, wanted=network.GRPC, **settings):
    config = Config(gateway=address, tls=False, **settings)
    host, _, port = address.rpartition(":")
    return network.End("gateway", host, int(port), "gateway", config, ("h2",), wanted)


def test_what_is_spoken_at_a_port(tmp_path):
    with Gateway(tmp_path) as gateway:
        http = gateway.data_url.partition("//")[2]
        [found] = network.security(end(gateway.address))
        assert found.outcome == "pass"
        [found] = network.security(end(http))
        assert "speaks HTTP, and the gateway speaks gRPC" in found.seen


def test_a_port_where_nothing_is_said():
    with silent_gateway() as address:
        [found] = network.security(end(address, connect_timeout=0.5))
    assert "nothing that is known here" in found.seen
