from __future__ import annotations

import base64
import json

import pytest

from rucio_cs3.credentials.jwt import claims, expiry, is_jwt


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("token", "result"),
    [
        (f"{part({'alg': 'RS256'})}.{part({})}.sig", True),
        ("root-/DC=ch.cern/CN=some.body-123", False),
        (f"{part({'alg': 'RS256'})}.{part({})}", False),
        (f"{part([])}.x.y", False),
        (f"{part(7)}.x.y", False),
        ("é.b.c", False),
        ("", False),
        (None, False),
    ],
)
def test_only_a_jwt_is_a_jwt(token, result):
    assert is_jwt(token) is result


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "..", "a.e30.c", "a.eyJleHAiOiAieCJ9.c", "a.ÿ.c", "a.b.c.d", None])
def test_what_is_no_jwt_does_not_end(token):
    assert expiry(token) is None


def test_what_a_jwt_says():
    assert claims(f"{part({'alg': 'RS256'})}.{part({'sub': 'einstein'})}.sig") == {"sub": "einstein"}
