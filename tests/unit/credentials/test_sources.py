from __future__ import annotations

import pytest

from rucio_cs3.config import Config
from rucio_cs3.credentials.sources import Login, RevaToken, source_of
from rucio_cs3.errors import ConfigError

SECRET = "hunter2-very-secret"


@pytest.mark.parametrize(
    ("settings", "credential"),
    [
        ({"token": SECRET}, RevaToken(SECRET)),
        ({"bearer_token": SECRET}, Login("bearer", "", SECRET)),
        ({"username": "einstein", "app_password": SECRET}, Login("appauth", "einstein", SECRET)),
        ({"username": "einstein", "app_password": SECRET, "password": "p"}, Login("appauth", "einstein", SECRET)),
        ({"username": "einstein", "password": SECRET}, Login("basic", "einstein", SECRET)),
        ({"username": "rucio", "machine_secret": SECRET}, Login("machine", "rucio", SECRET)),
        ({"username": "e", "password": SECRET, "bearer_token": "b"}, Login("bearer", "", "b")),
        ({"auth": "basic", "username": "e", "password": SECRET, "token": "t"}, Login("basic", "e", SECRET)),
    ],
)
def test_what_is_set_implies_the_login(settings, credential):
    source = source_of(Config("host:1", **settings))
    assert source.obtain() == credential
    assert SECRET not in repr(source) + repr(credential) + source.description


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "no credentials are configured for host:1"),
        ({"auth": "basic", "username": "e"}, "auth = basic needs password or password_file"),
        ({"auth": "basic", "password": SECRET}, "auth = basic needs username"),
        ({"auth": "machine", "username": "e"}, "needs machine_secret"),
        ({"auth": "appauth", "username": "e"}, "auth = appauth needs app_password or app_password_file"),
        ({"app_password": SECRET}, "auth = appauth needs username"),
        ({"auth": "token"}, "needs token or token_file"),
        ({"auth": "bearer"}, "needs bearer_token"),
    ],
)
def test_what_is_missing_is_named(settings, words):
    with pytest.raises(ConfigError) as caught:
        source_of(Config("host:1", **settings)).obtain()
    assert words in str(caught.value)
