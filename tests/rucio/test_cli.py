"""`rucio-cs3 token` and `rucio-cs3 credentials`, told an RSE of a real Rucio."""

from __future__ import annotations

import json
import shutil
import subprocess
from urllib.parse import urlsplit

import pytest
import requests

from demo.process import BIN

CONTENT = b"some bytes\n"


@pytest.fixture
def command(sandbox):
    """Run rucio-cs3 as the user of the sandbox."""

    def call(*arguments, config=None):
        environ = sandbox.user.with_config(config).environ
        argv = [BIN / "rucio-cs3", *arguments]
        return subprocess.run(
            argv, env=environ, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
        )

    return call


def test_explain_and_show(command, site):
    said = json.loads(command("token", "explain", site.rse, "--json").stdout)
    assert (said["site"], said["won"]["username"], said["won"]["method"]) == (site.rse, "einstein", "basic")
    shown = command("token", "show", site.rse).stdout
    assert shown.startswith(f"einstein (Albert Einstein) at {site.rse} (gateway {said['gateway']}) until ")


@pytest.mark.parametrize("section", ["cs3", "cs3:{}"])
def test_explain_says_where_each_setting_stands(command, site, section):
    config = site.config(connect_timeout=7) if "{}" in section else None
    said = json.loads(command("token", "explain", site.rse, "--json", config=config).stdout)
    stands = {each["name"]: (each["value"], each["origin"]) for each in said["settings"]}
    here = f"section [{section.format(site.rse)}] of rucio.cfg"
    assert stands["gateway"] == (said["gateway"], "extended_attributes of the RSE")
    assert (stands["username"], stands["password"]) == (("einstein", here), (None, here))
    assert stands["connect_timeout"] == ((7.0, here) if config else (10.0, "default"))


def test_credentials_name_the_pfn(command, site, make_file, new_name):
    site.upload(make_file(new_name, CONTENT))
    pfn = urlsplit(site.replica(new_name)["rses"][site.rse][0])
    below = str(site.path(new_name).relative_to(site.folder))
    known = json.loads(command("credentials", site.rse, below, "--format", "json").stdout)
    url = urlsplit(known["url"])
    assert (url.netloc, url.path) == (pfn.netloc, pfn.path)
    assert known["path"] == f"/home/{site.folder.name}/{below}"

    answer = requests.get(known["url"], headers=known["headers"], timeout=30)
    if answer.status_code == 404:
        pytest.skip("the embedded gateway has no WebDAV door on /home")
    assert answer.content == CONTENT
    curl = shutil.which("curl")
    if not curl:
        pytest.skip("curl is not installed: apt-get install curl")
    config = command("credentials", site.rse, below, "--format", "curl").stdout
    assert subprocess.check_output([curl, "-sS", "--fail", "-K", "-"], input=config.encode(), timeout=60) == CONTENT


def test_an_app_password_is_for_the_folder_of_the_rse(command, site, make_file, new_name, tmp_path):
    file = tmp_path / "app-password"
    made = command("token", "app-password", "create", site.rse, "--rse", site.rse, "--save", file, "--json")
    assert json.loads(made.stdout)["paths"] == [f"/home/{site.folder.name}"]

    login = site.config(auth="appauth", password=None, app_password_file=file)
    won = json.loads(command("token", "explain", site.rse, "--json", config=login).stdout)["won"]
    assert (won["username"], won["method"], won["limited"]) == ("einstein", "appauth", True)
    site.upload(make_file(new_name, CONTENT), config=login)
    assert site.path(new_name).read_bytes() == CONTENT


def test_mistakes_are_one_line(command, add_site):
    bare = add_site()
    for name, words in (("NOWHERE", "RSE NOWHERE"), (bare.rse, "has no protocol with impl rucio_cs3.protocol.Default")):
        said = command("token", "explain", name)
        assert (said.returncode, said.stdout) == (1, "")
        assert words in said.stderr.splitlines()[-1]
        assert "Traceback" not in said.stderr
