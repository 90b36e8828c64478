from __future__ import annotations

import re

import pytest

from rucio_cs3.broker.accounts import Mapping
from rucio_cs3.broker.rucio import Remembered
from rucio_cs3.service.limits import RateLimit

TABLE = {"root": "rucio-svc", "jdoe": "einstein", "post": "mail:marie@example.org", "odd:name": "marie"}


@pytest.mark.parametrize(
    ("template", "only", "account", "user"),
    [
        ("", "(?!)", "root", "rucio-svc"),
        ("", "(?!)", "post", "mail:marie@example.org"),
        ("", "(?!)", "marie", None),
        ("{account}", "[a-z]+", "marie", "marie"),
        ("{account}", "[a-z]+", "jdoe", "einstein"),
        ("{account}", "[a-z]+", "marie2", None),
        ("{account}", "[a-z]+", "xmarie-", None),
        ("{account}", "[a-z]+", "marie\n", None),
        ("u-{account}@example.org", ".*", "marie", "u-marie@example.org"),
        ("{account}", ".*", "mail:marie@example.org", None),
        ("{account}", ".*", "{account}", None),
        ("{account}", ".*", "a" * 300, None),
        ("{account}", ".*", "", None),
        ("{account}" + "x" * 251, ".*", "marie", None),
        ("{account}:x", ".*", "marie", None),
        ("", "(?!)", "odd:name", None),
    ],
)
def test_table_then_template_then_nobody(template, only, account, user):
    assert Mapping(TABLE, template, re.compile(only)).user(account) == user


@pytest.mark.parametrize(
    ("vo", "account", "user"),
    [
        ("def", "jdoe@abc", "marie"),
        ("def", "jdoe@xyz", None),
        ("def", "root@abc", None),
        ("def", "other", "other"),
        ("def", "other@abc", None),
        ("abc", "other@abc", "other"),
        ("abc", "other", None),
        ("abc", "root@abc", "root"),
        ("abc", "root", "rucio-svc"),
        ("abc", "other@", None),
        ("abc", "other@abc@abc", None),
        ("abc", "other@abcd", None),
    ],
)
def test_accounts_of_one_name_in_several_vos(vo, account, user):
    table = {**TABLE, "jdoe@abc": "marie"}
    assert Mapping(table, "{account}", re.compile(".*"), vo).user(account) == user


def test_a_bucket_is_full_at_first_and_fills_evenly():
    limit = RateLimit(3)
    assert [limit.wait("a", 100) for _ in range(3)] == [0, 0, 0]
    assert limit.wait("a", 100) == pytest.approx(20)
    assert limit.wait("b", 100) == 0
    assert limit.wait("a", 119) == pytest.approx(1)
    assert limit.wait("a", 120) == 0
    assert limit.wait("a", 120) == pytest.approx(20)
    assert [limit.wait("a", 1000) for _ in range(4)] == [0, 0, 0, pytest.approx(20)]


def test_a_refusal_costs_nothing():
    limit = RateLimit(1)
    limit.wait("a", 0)
    assert {limit.wait("a", 0) for _ in range(100)} == {60}
    assert limit.wait("a", 60) == 0


def test_few_accounts_are_remembered():
    limit = RateLimit(1, most=10)
    for number in range(1000):
        limit.wait(f"account-{number}", 0)
    assert len(limit._full_at) == 10
    limit.wait("later", 1000)
    assert list(limit._full_at) == ["later"]


def test_few_tokens_are_remembered():
    remembered = Remembered(3, 60)
    for number in range(10):
        remembered.put(bytes([number]), "root")
    assert len(remembered) == 3
    assert (remembered.get(b"\x09"), remembered.get(b"\x00")) == ("root", None)
