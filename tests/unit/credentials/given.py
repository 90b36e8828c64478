"""Tokens that are given, for tests of what uses them."""

from __future__ import annotations

from rucio_cs3.credentials.sources import RevaToken, Source
from rucio_cs3.credentials.store import Store
from rucio_cs3.credentials.tokens import Tokens


def tokens_of(*sources, authenticate=str, store=None):
    return Tokens("cs3.example.org:443", lambda: sources, authenticate, store or Store(None))


def given(value):
    """`value` is a token, or finds one."""
    find = value if callable(value) else lambda: value
    return tokens_of(Source("token", "given", find, lambda: RevaToken(find()), kept=False))
