"""docs/orchestration.md: its blocks are used as they stand, but for hosts, files and names."""

from __future__ import annotations

import configparser
import contextlib
import dataclasses
import io
import json
import os
import re
import shlex
import subprocess
import zlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from demo.process import BIN
from rucio_cs3 import Cs3Client, errors
from rucio_cs3.gateway import BEHAVIOURS, Gateway
from rucio_cs3.mover.config import Caller, Limits, MoverConfig
from rucio_cs3.mover.model import Side
from rucio_cs3.mover.reasons import failed
from rucio_cs3.mover.site import _Place
from tests.conformance import daemons, storages
from tests.conformance.programs import SYSTEM, needed
from tests.idp.idp import RUCIO
from tests.rucio.conftest import SCOPE
from tests.rucio.guarded import PASSWORD, Guarded, SecureMover, unique, with_config
from tests.rucio.two_sites.conftest import Orchestra
from tests.unit.cli.command import COMMAND, environment
from tests.unit.mover.conftest import wait_for

pytestmark = pytest.mark.timeout(300)  # several of Rucio's daemons
TOP = Path(__file__).parents[2]
PAGE = (TOP / "docs" / "orchestration.md").read_text(encoding="utf-8")
HOSTS = {"CERNBOX": "127.0.0.1", "SURF": "127.0.0.2"}
FTS, MOVER = "https://fts.example.org:8446", "https://mover.example.org:8446"
CONTENT = os.urandom((2 << 20) + 1)


BLOCKS = {  # by language, and words that are in no other one
    "two sites": ("toml", "[sites.ONE]"),
    "start three": ("sh", "--root one"),
    "ask": ("sh", "curl"),
    "look": ("sh", "cat two"),
    "distance": ("sh", "rse distance set"),
    "conveyor": ("ini", "transfertool"),
    "mover": ("toml", "[sites.CERNBOX]"),
    "start": ("sh", "--check"),
    "rule": ("sh", "rule add"),
    "status": ("sh", "mover status --url"),
    "provider": ("json", "client_secret"),
    "oidc": ("ini", "[oidc]"),
    "tokens": ("sh", "oidc_support"),
    "site": ("toml", "enable_http_tpc"),
    "checksums": ("sh", "verify_checksum"),
    "caller": ("toml", "audience ="),
    "change": ("sh", FTS),
    "by hand": ("sh", "davix-cp"),
}


def block(name):
    language, words = BLOCKS[name]
    [found] = [one for one in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if words in one]
    return found


def test_all_blocks_are_used():
    assert sorted(re.findall(r"```\w+\n(.*?)```", PAGE, re.DOTALL)) == sorted(map(block, BLOCKS))


@pytest.fixture
def terminal(tmp_path):
    """Runs a block, or its lines that stay in the background; returns what the last one says."""
    names = ("19000", "19001", "19010", "19011", "8446")
    ports = dict(zip(names, map(str, daemons.free_ports(len(names)))))
    mover = f"127.0.0.1:{ports['8446']}"
    environ = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "RUCIO_CS3_MOVER": f"http://{mover}"}
    options = {"cwd": tmp_path, "env": environ, "text": True}

    def ours(name):
        return re.sub("|".join(ports), lambda found: ports[found[0]], block(name))

    with contextlib.ExitStack() as stack:

        def begin(line):
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
            process = stack.enter_context(subprocess.Popen(shlex.split(line), **options, **pipes))
            stack.callback(process.terminate)
            while "Ctrl-C" not in (said := process.stdout.readline()):
                assert said, f"{line} has ended"

        def run(name):
            lines = [line for line in ours(name).splitlines() if not line.startswith("pip install")]
            script = "\n".join(line for line in lines if not line.endswith(" &"))
            said = subprocess.run(["sh", "-euc", script], **options, capture_output=True, check=True).stdout
            for line in lines:
                if line.endswith(" &"):
                    begin(line[:-2])
            return said

        (tmp_path / "mover.toml").write_text(f'listen = "{mover}"\n{ours("two sites")}')
        yield run


def test_try_it_on_one_machine(terminal, tmp_path):
    terminal("start three")
    assert set(json.loads(terminal("ask"))) == {"job_id"}
    wait_for((tmp_path / "two" / "new" / "f").exists)
    said = terminal("look")
    assert "FINISHED 1\n" in said
    assert said.endswith("\nhello\n")


TABLES = {"[limits]": Limits, "[callers.NAME]": Caller, "[sites.NAME]": _Place, "the top": MoverConfig}
IN_TABLES = {"limits", "callers", "sites", "site_limits"}


@pytest.mark.parametrize("name", TABLES)
def test_every_setting_is_in_its_table_with_its_default(name):
    [table] = re.findall(rf"\| (?:in|at) `?{re.escape(name)}`? .*?\n\n", PAGE, re.DOTALL)
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.strip().splitlines()[2:]]
    known = {name: row[1].strip("`") for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    fields = {one.name: one.default for one in dataclasses.fields(TABLES[name]) if one.name not in IN_TABLES}
    assert known.keys() == fields.keys()
    for setting, default in fields.items():
        if isinstance(default, (int, float)):
            assert known[setting] == ("false" if default is False else f"{default:g}"), setting
        elif isinstance(default, str) and default and setting not in {"cs3_root", "space"}:
            assert known[setting] == default


def private(path, content):
    path.touch(mode=0o600)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def subject(pem):
    """In the notation of grids."""
    short = {NameOID.COMMON_NAME: "CN", NameOID.ORGANIZATION_NAME: "O", NameOID.ORGANIZATIONAL_UNIT_NAME: "OU"}
    parts = x509.load_pem_x509_certificate(Path(pem).read_bytes()).subject
    return "".join(f"/{short[part.oid]}={part.value}" for part in parts)


class Page:
    """What is written there, with the names that things have here."""

    def __init__(self, sandbox, client):
        self.sandbox = sandbox
        self.orchestra = Orchestra(sandbox, client, None)
        self.names = {}
        self.config = {}

    def __call__(self, text):
        for name, ours in self.names.items():
            text = text.replace(name, ours)
        return text

    def configure(self, ini):
        """Rucio's daemons, beside what they know already."""
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(self(ini))
        for section in parser.sections():
            self.config.setdefault(section, {}).update(parser[section])
        self.orchestra.play = with_config(self.sandbox, self.config).rounds

    def rucio(self, commands):
        """Returns what the last one said."""
        for line in self(commands).strip().splitlines():
            ran = self.sandbox.rucio(*shlex.split(line)[1:])
            assert ran.returncode == 0, ran.stdout
        return ran.stdout


@pytest.fixture(scope="module")
def sites(idp, pki, tmp_path_factory):
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(Guarded(tmp_path_factory.mktemp(name), host, idp, pki))
            for name, host in HOSTS.items()
        }


@pytest.fixture
def rses(sites, sandbox, client):
    return {name: site.rse(unique(name), sandbox, client) for name, site in sites.items()}


@pytest.fixture
def page(sites, rses, sandbox, client, certificates, pki, idp, idpsecrets, tmp_path):
    page = Page(sandbox, client)
    certificate = (certificates / "jdoe.pem").read_bytes() + (certificates / "jdoe.key").read_bytes()
    for name, site in sites.items():
        low = name.lower()
        page.names |= {
            f"[sites.{name}]": f"[sites.{rses[name].rse}]",
            f" {name} ": f" {rses[name].rse} ",
            f"cs3.{low}.example.org:443": site.grpc,
            f"davs://{low}.example.org/": f"davs://{site.http}/",
            f'# ca = "/etc/rucio-cs3/{low}-ca.pem"': f'ca = "{pki / "ca.pem"}"',
            f"/run/secrets/{low}": private(tmp_path / low, PASSWORD),
        }
    page.names |= {
        'listen = "0.0.0.0:8446"': "",
        "/etc/rucio-cs3/mover.pem": str(certificates / "server.pem"),
        "/etc/rucio-cs3/mover.key": str(certificates / "server.key"),
        "/etc/rucio-cs3/authorities.pem": str(certificates / "ca.pem"),
        "/var/lib/rucio-cs3/mover.db": str(tmp_path / "mover.db"),
        "/run/secrets/mover-screen": private(tmp_path / "screen", "only-looks"),
        "/etc/rucio/daemon.pem": private(tmp_path / "daemon.pem", certificate),
        "/opt/rucio/etc/idpsecrets.json": str(idpsecrets),
        "/DC=org/DC=example/CN=rucio": subject(certificates / "jdoe.pem"),
        "/eos/project/r/rucio": "/home/rucio",
        "https://idp.example.org/": idp.url,
        "--rses SURF": f"--rses {rses['SURF'].rse}",
    }
    page.configure(block("conveyor"))
    page.rucio(block("distance"))
    return page


def moved(page, rses, name):
    """A rule of the page's command comes true."""
    page.names["demo:f"] = f"{SCOPE}:{name}"
    rses["CERNBOX"].register(name, CONTENT)
    return lambda rule: page.orchestra.settle(rule.split()[-1]) == ["OK"] and CONTENT in rses["SURF"].stored().values()


def test_without_fts(page, rses, certificates, tmp_path, new_name):
    install, check, start = block("start").splitlines()
    assert 'mover = ["' in (TOP / "pyproject.toml").read_text()
    assert install == "pip install '.[mover]'"
    assert start == "rucio-cs3 mover --config mover.toml"
    looks = {"Authorization": "Bearer only-looks"}
    with SecureMover(tmp_path, {}, page(block("mover")), certificates / "ca.pem", looks) as mover:
        argv = [BIN / word if word == "rucio-cs3" else word for word in shlex.split(check, comments=True)]
        checked = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stdout.count("logged in as")) == (0, 2), checked.stderr
        page.orchestra.mover = mover
        page.names[MOVER] = mover.url
        is_there = moved(page, rses, new_name)
        assert is_there(page.rucio(block("rule")))
        shown = shlex.split(page(block("status")))
        told = subprocess.run(
            [BIN / shown[0], *shown[1:], "--ca", certificates / "ca.pem"],
            env=page.sandbox.user.environ,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert re.search(r"FINISHED\W+1\b", told)


def test_with_fts_and_our_mover_in_its_place(page, sites, rses, certificates, idp, idpsecrets, tmp_path, new_name):
    """With nothing but tokens, of Rucio at FTS, and of the job at the sites."""
    idpsecrets.write_text(page(block("provider")).replace("…", RUCIO.secret))
    assert json.loads(idpsecrets.read_text())["idp"]["client_id"] == RUCIO.id
    page.configure(block("oidc"))
    page.names |= {MOVER: "https://127.0.0.1:1", "mover.example.org": "127.0.0.1"}
    token = idp.token(RUCIO, "client_credentials", scope="fts", audience="127.0.0.1")["access_token"]
    settings = [
        page('tls_cert = "/etc/rucio-cs3/mover.pem"\ntls_key = "/etc/rucio-cs3/mover.key"'),
        page(block("caller")),
    ]
    tables = {rses[name].rse: site.table() for name, site in sites.items()}
    looks = {"Authorization": f"Bearer {token}"}
    with SecureMover(tmp_path, tables, "\n".join(settings), certificates / "ca.pem", looks) as stand_in:
        page.orchestra.mover = stand_in
        page.names[FTS] = stand_in.url
        is_there = moved(page, rses, new_name)
        rule = page.rucio(block("rule"))
        page.rucio(block("tokens"))
        page.rucio(block("checksums"))
        page.rucio(block("change"))
        assert is_there(rule)
    assert page.orchestra.client.list_rse_attributes(rses["CERNBOX"].rse)["verify_checksum"] is False
    scopes = {"CERNBOX": ["storage.read:/rucio/"], "SURF": ["storage.modify:/rucio/", "storage.read:/rucio/"]}
    for name, site in sites.items():
        assert site.tokens.shown() == {(RUCIO.id, HOSTS[name], " ".join(["offline_access", *scopes[name]]))}


def test_what_is_suspicious_is_said_so():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(block("conveyor"))
    patterns = [re.compile(one.strip()) for one in parser["conveyor"]["suspicious_pattern"].split(",")]
    kinds = errors.ChecksumMismatch, errors.NotFound
    reasons = [failed(Side.SOURCE, kind("x"), "davs://a/x").reason for kind in kinds]
    assert [bool(pattern.match(reason)) for pattern, reason in zip(patterns, reasons)] == [True, True]


def test_the_site_is_configured_as_those_of_the_conformance_suite():
    known = (TOP / "docker" / "reva" / "common.toml").read_text()
    known = known.replace("@ISSUER@", "https://idp.example.org/").replace("@COPIES@", "true").splitlines()
    lines = block("site").splitlines()
    assert [line for line in lines[1:] if line and line not in known] == []


@pytest.fixture(params=["embedded", "real"])
def doors(request, idp, tmp_path):
    """Two of them that make third-party copies, with the addresses of their gateways. Real ones do well here, too."""
    behaviour = BEHAVIOURS["reva-local"]
    program = storages.programs(os.environ.get(storages.REVA, "")).get("first")
    if request.param == "real" and not program:
        pytest.skip(f"no daemon of the first line: set {storages.REVA}")
    with contextlib.ExitStack() as stack:

        def start(name, host):
            folder = tmp_path / f"at-{name}"
            folder.mkdir()
            if request.param == "real":
                return stack.enter_context(daemons.running(program, behaviour, folder, idp.url, host, copies=True))
            gateway = stack.enter_context(Gateway(folder, host=host, oidc_issuer=idp.url, tpc="honest"))
            return gateway.address, gateway.webdav_url

        yield {name: start(name, host) for name, host in HOSTS.items()}


@needed("gfal-copy")
@needed("davix-cp")
def test_by_hand(doors, idp, tmp_path):
    login = {"username": "einstein", "password": "relativity", "tls": "false"}
    script = block("by hand").replace('"$(oidc-token mysite)"', idp.login("einstein")["access_token"])
    for name, (address, door) in doors.items():
        script = script.replace(f"https://{name.lower()}.example.org/remote.php/webdav", door)
        script = script.replace(f" {name} ", f" --gateway {address} --webdav-url {door} ")
        script = script.replace(f"{name}:", f"cs3://{address}/rucio/")
        with Cs3Client(gateway=address, **{**login, "tls": False}) as site:
            site.files.mkdir("/rucio")
            if name == "CERNBOX":
                site.upload(io.BytesIO(CONTENT), "/rucio/f")
    ours = f'ours() {{ "{COMMAND[0]}" -c "{COMMAND[-1]}" "$@"; }}\n'
    script = ours + script.replace("rucio-cs3 ", "ours ").replace("gfal-copy", "/usr/bin/gfal-copy")
    environ = {**environment(login), "PATH": SYSTEM}
    ran = subprocess.run(["sh", "-euc", script], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count(f"{zlib.adler32(CONTENT):08x}") == 5, ran.stdout
