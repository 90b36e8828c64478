"""What `rucio-cs3 credentials` prints, and that real programs understand it."""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import shlex
import shutil
import subprocess

import pytest
import requests

from rucio_cs3 import Cs3Client
from rucio_cs3.cli.credentials import FORMATS, PLAIN, Grant
from rucio_cs3.errors import ConfigError
from rucio_cs3.gateway import Gateway
from tests.unit.cli.command import refused, run

pytestmark = pytest.mark.slow
FOLDER = "rse"
NAME = "a b%.txt"  # which a URL cannot hold as it is
CONTENT = os.urandom(70_000)
SECONDS = 60


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("site"), "reva-localhome") as gateway:
        folder = gateway.root / "einstein" / FOLDER
        (folder / "sub").mkdir(parents=True)
        (folder / NAME).write_bytes(CONTENT)
        yield gateway


@pytest.fixture
def site(gateway):
    login = {"username": "einstein", "password": "relativity"}
    return {"gateway": gateway.address, "tls": "false", **login}


@pytest.fixture
def url(gateway):
    return f"{gateway.data_url}/remote.php/webdav/{FOLDER}/"


@pytest.fixture
def printed(site, url):
    def call(form, *arguments):
        ran = run("credentials", "--format", form, "--webdav-url", url, *arguments, **site)
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout

    return call


def sections(text):
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string(text)
    return parser


def test_json_holds_all_that_is_known(gateway, printed, url):
    known = json.loads(printed("json"))
    token = known["headers"]["X-Access-Token"]
    with Cs3Client(gateway=gateway.address, tls=False, token=token) as client:
        assert client.whoami().username == "einstein"
    assert (known["gateway"], known["url"], known["username"]) == (gateway.address, url, "einstein")
    assert known["expires"] > 0


def test_env_is_for_eval(printed, url):
    show = 'printf "%s\\n" "$CS3_WEBDAV_URL" "$CS3_USERNAME" "$CS3_ACCESS_TOKEN"'
    argv = ["sh", "-euc", f'eval "$0"; {show}', printed("env")]
    address, user, token = subprocess.check_output(argv, text=True).splitlines()
    assert (address, user, token.count(".")) == (url, "einstein", 2)
    assert "BEARER_TOKEN" not in printed("env")


@pytest.mark.parametrize("hostile", ["a;b", "$(id)", 'a"b', "a'b", "a\\b", "a,b", "*", "a#b"])
def test_a_token_of_odd_characters_is_never_taken_for_syntax(hostile):
    assert not PLAIN.fullmatch(hostile)


def test_mc_style(printed, url):
    (alias,) = json.loads(printed("mc-style-config"))["aliases"].values()
    assert (alias["url"], alias["accessKey"], alias["secretKey"].count(".")) == (url, "einstein", 2)


def test_gfal2_sends_it_to_this_host_only(printed):
    parsed = sections(printed("gfal2"))
    assert parsed.sections() == ["DAV:127.0.0.1", "HTTP:127.0.0.1"]
    assert all(parsed[section]["HEADERS"].startswith("X-Access-Token:ey") for section in parsed.sections())


@pytest.mark.parametrize("form", ["curl", "rclone", "gfal2", "mc-style-config"])
def test_without_an_address_it_says_so(site, form):
    assert "give it with --webdav-url" in refused("credentials", "--format", form, **site)
    assert "give it with --webdav-url" in run("credentials", "--format", "json", **site).stderr


def test_a_path_cannot_leave_the_folder(site, url):
    said = refused("credentials", "", "../other", "--webdav-url", url, **site)
    assert "'..' is not allowed" in said


def known_of(ran):
    assert ran.returncode == 0, ran.stderr
    known = json.loads(ran.stdout)
    return known["path"], known["url"]


def test_a_path_at_a_gateway(gateway, site, url):
    """Of which nobody says where its files are at the WebDAV door."""
    login = {name: value for name, value in site.items() if name != "gateway"}
    named = ["--gateway", gateway.address]
    cs3, encoded = f"/home/{FOLDER}/{NAME}", f"{url}{NAME.replace(' ', '%20').replace('%.', '%25.')}"
    for words, settings in ((named, {**login, "gateway": gateway.address}), ([], site)):
        assert known_of(run("credentials", cs3, *words, **settings)) == (cs3, None)
        assert known_of(run("credentials", *words, **settings)) == (None, None)
        assert known_of(run("credentials", *words, "--webdav-url", url, **settings)) == (None, url)
    assert known_of(run("credentials", NAME, *named, "--webdav-url", url, **site)) == (None, encoded)
    with Cs3Client(gateway=gateway.address, tls=False, username="einstein", password="relativity") as client:
        assert client.files.stat(cs3).size == len(CONTENT)
    assert requests.get(encoded, auth=("einstein", "relativity"), timeout=SECONDS).content == CONTENT


WRONG_PATHS = {
    "a CS3 path at a WebDAV door": (["/home/f", "--webdav-url", "https://x/dav"], "nobody says where CS3 path /home/f"),
    "below nothing": (["data/f"], "nobody says what data/f is below of; give a CS3 path with a slash in front"),
    "upwards": (["/home/../f"], "'..' is not allowed"),
    "a format that wants the door": (["/home/f", "--format", "curl"], "does not tell the address of /home/f"),
}


@pytest.mark.parametrize("case", WRONG_PATHS)
def test_a_path_that_cannot_be_told(gateway, site, case):
    words, told = WRONG_PATHS[case]
    assert told in refused("credentials", *words, "--gateway", gateway.address, **site)


def test_an_rse_and_a_gateway_are_one_too_many(site):
    for words in (["RSE", "path", "--gateway", site["gateway"]], ["a", "b", "c"]):
        assert run("credentials", *words, **site).returncode == 2


# Programs of other people's


@pytest.fixture
def program(gateway, site, url, printed):
    """Run a program that is installed, on a gateway that has a WebDAV door."""
    token = json.loads(printed("json"))["headers"]["X-Access-Token"]
    answer = requests.request("PROPFIND", url, headers={"X-Access-Token": token, "Depth": "0"}, timeout=SECONDS)
    if answer.status_code != 207:
        pytest.skip("the embedded gateway has no WebDAV door")

    def call(name, *arguments, **options):
        if not shutil.which(name):
            pytest.skip(f"{name} is not installed: apt-get install {PACKAGES[name]}")
        argv = [name, *map(str, arguments)]
        ran = subprocess.run(argv, capture_output=True, timeout=SECONDS, check=False, **options)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return call


PACKAGES = {
    "curl": "curl",
    "rclone": "rclone",
    "davix-get": "davix",
    "davix-put": "davix",
    "gfal-copy": "gfal2-util-scripts gfal2-plugin-http",
}


@pytest.fixture
def stored(gateway):
    return gateway.root / "einstein" / FOLDER


@pytest.fixture
def local(tmp_path):
    file = tmp_path / f"new-{tmp_path.name}"
    file.write_bytes(CONTENT[::-1])
    return file


def test_curl(program, printed, stored, local):
    """The token comes on stdin: nobody sees it in the list of processes."""
    assert program("curl", "-sS", "--fail", "-K", "-", input=printed("curl", "", NAME).encode()) == CONTENT
    config = printed("curl", "", f"sub/{local.name}").encode()
    program("curl", "-sS", "--fail", "-K", "-", "-T", local, input=config)
    assert (stored / "sub" / local.name).read_bytes() == local.read_bytes()


def test_rclone(program, printed, stored, local, tmp_path):
    config = tmp_path / "rclone.conf"
    config.write_text(printed("rclone"))
    (remote,) = sections(config.read_text()).sections()
    rclone = ["rclone", "--config", config]
    assert {NAME, "sub/"} <= set(program(*rclone, "lsf", f"{remote}:").decode().splitlines())
    assert program(*rclone, "cat", f"{remote}:{NAME}") == CONTENT
    program(*rclone, "copyto", local, f"{remote}:sub/{local.name}")
    assert (stored / "sub" / local.name).read_bytes() == local.read_bytes()
    program(*rclone, "moveto", f"{remote}:sub/{local.name}", f"{remote}:{local.name}")
    assert (stored / local.name).exists()
    program(*rclone, "deletefile", f"{remote}:{local.name}")
    assert not (stored / local.name).exists()


def test_davix(program, printed, stored, local, url, tmp_path):
    """Not davix-ls: it asks for properties in a way that Reva answers with 400, and so does gfal-ls."""
    options = shlex.split(printed("davix"))
    address = json.loads(printed("json", "", NAME))["url"]
    program("davix-get", *options, address, tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == CONTENT
    program("davix-put", *options, local, f"{url}sub/{local.name}")
    assert (stored / "sub" / local.name).read_bytes() == local.read_bytes()


def test_gfal2(program, printed, stored, local, url, tmp_path):
    if not os.path.isdir("/etc/gfal2.d"):
        pytest.skip("gfal2 is not installed")
    shutil.copytree("/etc/gfal2.d", tmp_path / "gfal2.d")
    (tmp_path / "gfal2.d" / "cs3.conf").write_text(printed("gfal2"))
    environ = {**os.environ, "GFAL_CONFIG_DIR": str(tmp_path / "gfal2.d"), "GFAL_PYTHONBIN": "/usr/bin/python3"}
    environ.pop("PYTHONPATH", None)
    address = f"{url.replace('http:', 'dav:')}sub/{local.name}"
    program("gfal-copy", local, address, env=environ)
    assert (stored / "sub" / local.name).read_bytes() == local.read_bytes()
    program("gfal-copy", address, tmp_path / "down", env=environ)
    assert hashlib.md5((tmp_path / "down").read_bytes()).digest() == hashlib.md5(local.read_bytes()).digest()


def test_every_format_is_in_the_help():
    said = run("credentials", "--help").stdout
    assert not [name for name in FORMATS if f"\n  {name}" not in said]


@pytest.mark.parametrize("url", ["http://far.example.org/dav", "ftp://127.0.0.1/", 'https://x/a"b', "https://x/a\\b"])
def test_an_address_that_would_give_the_token_away_is_refused(url):
    with pytest.raises(ConfigError):
        _ = grant(url=url).webdav


@pytest.mark.parametrize("form", ["curl", "rclone", "gfal2"])
def test_a_name_that_a_gateway_tells_is_only_a_name(form):
    written = FORMATS[form](grant(username='eve\noutput = "/victim"\n#'))
    assert not [line for line in written.splitlines() if line.startswith("output")]


def grant(**changes):
    known = {"site": "S", "gateway": "h:1", "path": None, "url": "https://x/dav", "username": "einstein"}
    return Grant(**{**known, "expires": None, "ca": None, "token": "t", **changes})
