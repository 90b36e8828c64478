"""etc/rucio: what is written there is read by Rucio and by us, and people and daemons work with it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import rucio

from demo.process import BIN, run
from demo.storage import LOGIN
from rucio_cs3 import Cs3Client
from rucio_cs3.config import FIELDS
from tests.rucio.etc.described import ETC, cfg

CONTENT = b"some bytes\n"
NO_LOGIN = dict.fromkeys([*LOGIN, "gateway"])  # takes the sandbox's own out of rucio.cfg
NAMES = ["client", "server", "daemons"]


@pytest.fixture(scope="session")
def sources():
    """Everything that Rucio is made of."""
    return "\n".join(path.read_text(encoding="utf-8") for path in Path(rucio.__path__[0]).rglob("*.py"))


@pytest.mark.parametrize("everything", [False, True], ids=["as it is", "with what is off"])
@pytest.mark.parametrize("name", NAMES)
def test_each_setting_is_known(name, everything, sources):
    for section, options in cfg(name, everything=everything).items():
        for option in options:
            if section.startswith("cs3"):
                assert option in FIELDS
            else:
                assert re.search(rf"""['"]{section}['"], (option=)?['"]{option}['"]""", sources), (section, option)


def test_all_files_are_here():
    assert {path.name for path in (ETC / "rucio").iterdir()} == {*(f"{name}.cfg" for name in NAMES), "rse-accounts.cfg"}


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_text(LOGIN["password"])
    return str(path)


def expired(site, make_file, name, config):
    site.upload(make_file("local", CONTENT), "--lfn", name, config=config)
    assert site.path(name).read_bytes() == CONTENT
    site.expire(name)


def test_a_user_uploads_and_a_daemon_deletes(site, secret, make_file, new_name):
    names = {"[cs3:CERNBOX]": f"[cs3:{site.rse}]"}
    user = cfg("client", {**names, "einstein": LOGIN["username"], "~/.config/rucio-cs3/cernbox": secret})
    daemon = cfg(
        "daemons", {**names, "username = rucio": f"username = {LOGIN['username']}", "/run/secrets/cernbox": secret}
    )
    expired(site, make_file, new_name, {"cs3": NO_LOGIN, **user})
    said = site.reap(config={"cs3": NO_LOGIN, **daemon}).stdout
    assert site.stored() == {}, said


def test_a_daemon_finds_its_login_in_rse_accounts(site, gateway, secret, sandbox, make_file, new_name):
    """In the second entry of the file, which is by an application password."""
    expired(site, make_file, new_name, site.config())
    with Cs3Client(gateway=gateway.grpc, tls=False, **{key: LOGIN[key] for key in ("username", "password")}) as at_site:
        Path(secret).write_text(at_site.apps.create("rucio", paths=[f"/home/{site.folder.name}"]).password)
    text = (ETC / "rucio" / "rse-accounts.cfg").read_text(encoding="utf-8")
    names = {list(json.loads(text))[1]: site.client.get_rse(site.rse)["id"], "/run/secrets/opencloud": secret}
    for theirs, ours in {**names, '"rucio"': f'"{LOGIN["username"]}"'}.items():
        text = text.replace(theirs, ours)
    home = sandbox.operator.with_config({"cs3": NO_LOGIN})
    (home.config.parent / "rse-accounts.cfg").write_text(text)
    reaper = [BIN / "rucio-reaper", "--run-once", "--rses", site.rse, "--delay-seconds", "0"]
    said = run(reaper, env=home.environ, cwd=sandbox.folder).stdout
    assert site.stored() == {}, said


def test_what_rse_accounts_says_is_known():
    text = (ETC / "rucio" / "rse-accounts.cfg").read_text(encoding="utf-8")
    assert {setting for entry in json.loads(text).values() for setting in entry["cs3"]} <= set(FIELDS)
