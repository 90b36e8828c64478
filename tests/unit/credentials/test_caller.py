from __future__ import annotations

import jwt
import pytest

from rucio_cs3.credentials.caller import Caller, RucioLogin, caller
from rucio_cs3.errors import NoLogin


def token(sub, iss="https://idp.example.org", **claims):
    return jwt.encode({"sub": sub, "iss": iss, **claims}, "k" * 32)


def fetch(account="root", shown="opaque"):
    return lambda: RucioLogin(account, shown)


def test_one_caller_for_all_tokens_of_a_person():
    first, again = caller(token("marie"), fetch()), caller(token("marie", n=2), fetch())
    assert first is again
    assert again.shown == token("marie", n=2)
    assert caller(token("einstein"), fetch()) is not first


def test_names_that_look_alike_are_not_one_person():
    assert caller(token("x of y", "z"), fetch()) is not caller(token("x", "y of z"), fetch())


def test_the_account_of_an_oidc_login_is_not_that_of_another_login():
    """A process that is root's by password, and is shown marie's token."""
    marie = Caller("marie", fetch("root"))
    marie.update(token("marie"))
    with pytest.raises(NoLogin, match="account of this OIDC login is not known"):
        _ = marie.account
    own = Caller("marie", fetch("marie", token("marie", n=2)))
    own.update(token("marie"))
    assert own.account == "marie"
