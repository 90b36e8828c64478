"""What users and operators are told to paste, pasted: only the example hosts and names are exchanged for ours."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys

import pytest

from demo.storage import LOGIN, Gateway
from rucio_cs3 import Cs3Client
from rucio_cs3.gateway import DEMO_USERS
from tests.docs.blocks import block
from tests.docs.shell import exchanged, shell, without_installing
from tests.rucio.conftest import SCOPE, Site
from tests.rucio.guarded import unique, with_config

pytestmark = pytest.mark.timeout(300)  # each waits for several commands of Rucio's
CONTENT = b"some bytes\n"
[EINSTEIN] = [user for user in DEMO_USERS if user.username == "einstein"]
KNOWS = "from rucio.common.constants import SUPPORTED_PROTOCOLS; assert 'cs3s' in SUPPORTED_PROTOCOLS"
SECRET = "machine-secret-of-the-site"


def sections(name, **names):
    """A block of rucio.cfg, as Rucio's own parser reads it."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(exchanged(block(name), names))
    return {section: dict(parser[section]) for section in parser.sections()}


def without_login(site):
    """What takes the sandbox's own login out of rucio.cfg."""
    return {"cs3": site.config()["cs3"]}


@pytest.fixture
def names(site, new_name):
    return {"CERNBOX": site.rse, "user.jdoe": SCOPE, "results.root": new_name}


@pytest.fixture
def folder(tmp_path, new_name):
    """Where the user works."""
    (tmp_path / new_name).write_bytes(CONTENT)
    return tmp_path


@pytest.fixture
def says(site, names, folder):
    """Run a block as a user with this rucio.cfg."""

    def says(name, home, stdin=""):
        return shell(block(name), home.environ, folder, names=names, stdin=stdin)

    return says


def test_quick_start(says, site, sandbox, folder, new_name):
    user = sandbox.user.with_config(without_login(site) | sections("quickstart login", CERNBOX=site.rse))
    says("quickstart secret", user, stdin=f"{EINSTEIN.password}\n")
    assert (user.folder / ".config" / "rucio-cs3" / "cernbox").stat().st_mode & 0o077 == 0
    assert "einstein (Albert Einstein)" in says("quickstart explain", user)
    says("quickstart rucio", user)
    assert site.path(new_name).read_bytes() == CONTENT
    assert (folder / SCOPE / new_name).read_bytes() == CONTENT
    assert new_name in says("quickstart files", user)
    assert (site.folder / "data" / new_name).read_bytes() == CONTENT


def test_the_readme_for_users(says, site, sandbox, folder, new_name):
    user = sandbox.user.with_config(without_login(site) | sections("readme login", CERNBOX=site.rse))
    says("quickstart secret", user, stdin=f"{EINSTEIN.password}\n")
    assert "einstein (Albert Einstein)" in says("readme use", user)
    assert site.path(new_name).read_bytes() == CONTENT
    assert (folder / SCOPE / new_name).read_bytes() == CONTENT


def test_what_is_to_be_installed_is_there():
    for name in ("readme install", "quickstart install", "operators install"):
        assert without_installing(block(name)) == ""


def test_an_empty_file_is_stored_without_a_wait(site, make_file, new_name):
    """With what this sandbox has for all tests, or they would take a minute for each."""
    config = sections("quickstart empty")
    assert config == {"client": {"protocol_stat_retries": "0"}}
    site.upload(make_file("empty", b""), "--lfn", new_name, config=config)
    assert site.path(new_name).read_bytes() == b""


def test_the_order_of_logins(sandbox, site, names, folder):
    user = sandbox.user.with_config(without_login(site) | sections("credentials order", CERNBOX=site.rse))
    secret = user.folder / ".config" / "rucio-cs3" / "cernbox"
    secret.parent.mkdir(parents=True)
    secret.touch(0o600)
    secret.write_text(EINSTEIN.password)
    said = json.loads(shell("rucio-cs3 token explain CERNBOX --json", user.environ, folder, names=names))
    assert [source["method"] for source in said["sources"]] == ["rucio", "broker", "basic"]
    assert said["won"]["method"] == "basic"


def test_the_commands_for_credentials(says, site, sandbox):
    said = says("credentials commands", sandbox.user)
    assert "einstein (Albert Einstein)" in said
    assert "app_password_file" in said
    assert "type = webdav" in said
    assert "Forgotten: " in said
    assert (sandbox.user.folder / "cernbox").read_text().strip()


@pytest.fixture
def new_site(gateway, sandbox, client):
    """A folder of which Rucio does not know yet."""
    site = Site(unique("DOCS"), gateway.home / unique("docs"), sandbox, client)
    site.folder.mkdir()
    return site


@pytest.fixture
def operates(new_site, gateway, tmp_path):
    """Run a block as the operator with this rucio.cfg, about the new site."""
    host, _, port = gateway.http.partition(":")
    names = {
        "CERNBOX": new_site.rse,
        "--hostname cernbox.example.org": f"--hostname {host}",
        "--port 443": f"--port {port}",
        "https://cernbox.example.org/": f"http://{gateway.http}/",
        "cs3.example.org:443": gateway.grpc,
        "--gateway cs3.example.org:443": f"--gateway {gateway.grpc} --no-tls",
        "/remote.php/webdav/rucio/": f"/remote.php/webdav/{new_site.folder.name}/",
        "/eos/project/r/rucio": f"/home/{new_site.folder.name}",
        '"/eos/project/r"': '"/home"',
        '{"cs3": {': '{"cs3": {"tls": false, ',
        " jdoe ": " root ",
    }
    return lambda name, home: shell(block(name), home.environ, tmp_path, names=names)


def test_the_same_by_hand_makes_a_working_rse(operates, new_site, sandbox, make_file, new_name):
    operates("operators by hand", sandbox.user)
    operates("operators limit", sandbox.user)
    new_site.upload(make_file("local", CONTENT), "--lfn", new_name)
    assert new_site.path(new_name).read_bytes() == CONTENT


def test_an_operator(operates, new_site, sandbox, client, make_file, new_name):
    login = sections("operators login", CERNBOX=new_site.rse)
    login[f"cs3:{new_site.rse}"]["username"] = EINSTEIN.username
    operator = sandbox.user.with_config(without_login(new_site) | login)
    secret = operator.folder / ".config" / "rucio-cs3" / "cernbox"
    secret.parent.mkdir(parents=True)
    secret.touch(0o600)
    secret.write_text(EINSTEIN.password)

    assert "rucio rse protocol add" in operates("operators look", operator)
    assert new_site.rse not in [each["rse"] for each in client.list_rses()]
    operates("operators add", operator)
    operates("operators limit", operator)
    assert f"{new_site.rse}: " in operates("operators check", operator)
    assert "einstein" in operates("operators show", operator)
    new_site.upload(make_file("local", CONTENT), "--lfn", new_name)
    assert new_site.path(new_name).read_bytes() == CONTENT
    operates("operators space", operator)


def test_the_readme_for_operators(operates, new_site, sandbox, client):
    operates("readme operators", sandbox.user)
    assert new_site.rse in [each["rse"] for each in client.list_rses()]


def test_a_secret_is_exchanged(operates, new_site, gateway, sandbox):
    file = sandbox.user.folder / f"{new_site.rse}.secret"
    with Cs3Client(gateway=gateway.grpc, tls=False, **LOGIN) as einstein:
        made = einstein.apps.create("daemons", paths=[f"/home/{new_site.folder.name}"])
    file.touch(0o600)
    file.write_text(made.password)
    operates("operators by hand", sandbox.user)
    login = {**LOGIN, "auth": "appauth", "password": None, "app_password_file": file}
    operates("operators rotate", sandbox.user.with_config({f"cs3:{new_site.rse}": login}))
    assert file.read_text().strip() not in {"", made.password}


def test_the_policy_package_knows_the_scheme():
    """What comes of that is in tests/rucio/etc/test_policy.py."""
    package = sections("operators policy")["policy"]["package"]
    subprocess.run([sys.executable, "-c", f"import {package}; {KNOWS}"], check=True)


@pytest.fixture(scope="module")
def with_secret(tmp_path_factory):
    folder = tmp_path_factory.mktemp("machine")
    (folder / "secret").touch(mode=0o600)
    (folder / "secret").write_text(SECRET)
    with Gateway(folder, "--machine-secret-file", str(folder / "secret")) as gateway:
        yield gateway


@pytest.mark.parametrize("kind", ["rucio.cfg", "rse-accounts.cfg"])
def test_a_login_for_daemons(kind, with_secret, add_site, sandbox, client, new_name):
    site = add_site(with_secret)
    site.add_protocol(with_secret.davs(site.folder.name))
    site.register(new_name, CONTENT)
    names = {
        "CERNBOX": site.rse,
        "<RSE id>": client.get_rse(site.rse)["id"],
        "username = rucio": f"username = {EINSTEIN.username}",
        '"username": "rucio"': f'"username": "{EINSTEIN.username}"',
        "/run/secrets/reva": str(with_secret.folder / "secret"),
    }
    said = sections("operators daemons", **names) if kind == "rucio.cfg" else {}
    site.sandbox = with_config(sandbox, without_login(site) | said)
    if not said:
        accounts = site.sandbox.operator.folder / "etc" / "rse-accounts.cfg"
        accounts.write_text(exchanged(block("operators accounts"), names))
    reaped = site.reap().stdout
    assert site.stored() == {}, reaped
    assert site.replica(new_name) is None


def test_dumps(says, site, sandbox, folder, new_name):
    site.register(new_name, CONTENT)
    before = set(folder.iterdir())
    says("consistency dump", sandbox.user)
    made = {path.name: path.read_text() for path in set(folder.iterdir()) - before}
    assert len(made) == 2
    assert any(re.fullmatch(rf"{site.rse}_dump_\d{{8}}", name) for name in made)
    assert all(str(site.path(new_name).relative_to(site.folder)) in text for text in made.values())


def test_where_the_auditor_finds_them():
    told = configparser.RawConfigParser()  # as Rucio's own reader is
    told.read_string(block("consistency auditor"))
    assert dict(told["CERNBOX"]) == {"cernbox": "https://dumps.example.org/CERNBOX_dump_%Y%m%d"}
