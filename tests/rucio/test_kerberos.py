"""Logins to Rucio by Kerberos: whose ticket opens what. What becomes of their uploads is in test_logins.py."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest
from rucio.common.exception import Duplicate

from demo.process import BIN, run
from tests.rucio.kerberos import REALM

# What the plugin does for the broker, and what Rucio's own client says.
TOKEN = "from rucio_cs3.protocol import rucio_login; login = rucio_login(); print(login.account, login.renew())"
FAILURE = """
from rucio_cs3.protocol import errors, rucio_login
try:
    rucio_login()
except errors.NoLogin as error:
    print(error)
"""


@pytest.fixture
def marie(client):
    with contextlib.suppress(Duplicate):  # other tests know her as well
        client.add_account("marie", "USER", "marie@example.org")
    with contextlib.suppress(Duplicate):
        client.add_identity("marie", f"marie@{REALM}", "GSS", "marie@example.org")
    return "marie"


@pytest.fixture
def home(sandbox, marie, kerberos_login, tmp_path):
    """The configuration of somebody who wants to be marie, without a ticket yet."""
    own = {"account": marie, "username": None, "password": None, "auth_token_file_path": tmp_path / "rucio-token"}
    return sandbox.user.with_config({"client": {**kerberos_login, **own}})


def python(code, environ):
    return subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)


def test_a_ticket_is_a_login(home, realm, tmp_path):
    said = run([BIN / "rucio", "whoami"], env={**home.environ, **realm.ticket("marie", tmp_path)}).stdout
    assert "marie" in said
    assert "ACTIVE" in said


def test_a_rucio_token_that_is_over_is_renewed_by_the_ticket(home, realm, tmp_path):
    environ = {**home.environ, **realm.ticket("marie", tmp_path)}
    (tmp_path / "rucio-token").write_text("over")
    done = python(TOKEN, environ)
    assert done.stdout.startswith(f"marie marie-marie@{REALM}-"), done.stderr


@pytest.mark.parametrize("who", ["stranger", None])
def test_somebody_elses_ticket_or_none_at_all_is_no_login(home, realm, tmp_path, who):
    ticket = realm.ticket(who or "marie", tmp_path)
    if not who:
        (tmp_path / "ticket").unlink()
    done = python(FAILURE, {**home.environ, **ticket})
    [said] = done.stdout.splitlines()
    assert said.startswith("nobody is logged in to Rucio here: "), done.stderr
    assert not (tmp_path / "rucio-token").exists()
