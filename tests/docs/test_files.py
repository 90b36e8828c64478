"""docs/files.md: its examples are run as they stand, but for the site, and its tables are what is said."""

from __future__ import annotations

import json
import re

import pytest

from rucio_cs3.gateway import Gateway
from tests.docs.blocks import TOP, block
from tests.docs.shell import shell
from tests.unit.cli.command import called, environment

pytestmark = pytest.mark.slow
PAGE = (TOP / "docs" / "files.md").read_text(encoding="utf-8")
LOGIN = {"username": "einstein", "password": "relativity"}


@pytest.fixture
def gateway(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site").mkdir()
    (tmp_path / "README.md").write_text("first line\n")
    (tmp_path / "results.root").write_bytes(b"results")
    (tmp_path / "run7" / "empty").mkdir(parents=True)
    (tmp_path / "run7" / "f").write_bytes(b"content")
    with Gateway(tmp_path / "site") as gateway:
        yield gateway


def test_the_commands(gateway, tmp_path):
    """Up to where they delete what they made. CERNBOX: is a gateway's address here; with Rucio see tests/rucio."""
    for command in ("cp", "ls", "rm", "stat", "checksum", "du", "find", "mv", "mkdir"):
        assert f"rucio-cs3 {command} " in block("files commands")
    names = {"CERNBOX:": f"cs3://{gateway.address}/"}
    said = shell(block("files commands"), environment(LOGIN), tmp_path, names=names)
    assert re.search(r"^\s*7$", said, re.MULTILINE)  # wc -c
    assert (tmp_path / "copy-of-run7" / "f").read_bytes() == b"content"
    assert (tmp_path / "copy-of-run7" / "empty").is_dir()
    assert sorted(path.name for path in (gateway.root / "data").rglob("*")) == ["2026", "empty", "f", "run7"]


def test_a_gateway_and_its_login_in_the_environment(gateway, tmp_path):
    (tmp_path / ".cs3").touch(mode=0o600)
    (tmp_path / ".cs3").write_text("relativity")
    (gateway.root / "eos" / "user" / "e" / "einstein" / "here").mkdir(parents=True)
    names = {"cs3s://": "cs3://", "cs3.example.org:443": gateway.address}
    environ = environment({"tls": "false"}) | {"HOME": str(tmp_path)}
    assert shell(block("files login"), environ, tmp_path, names=names) == "here/\n"


def test_the_python(gateway, capsys):
    code = block("files python").replace("127.0.0.1:19000", gateway.address)
    exec(compile(code, "files.md", "exec"), {})
    *told, sizes = capsys.readouterr().out.splitlines()
    assert sorted(told) == ["/docs/missing failed LocalSourceMissing", "/docs/readme done NoneType"]
    assert sizes == "[11]"


def test_the_keys(gateway, monkeypatch, capfd):
    """Each key that is said is in the table, in the row of its command."""
    site = f"cs3://{gateway.address}"
    rows = dict(re.findall(r"^\| (`[a-z`, ]+`) \| (.*) \|$", PAGE, re.MULTILINE))
    keys = {
        name: set(re.findall(r"`(\w+)`", row)) for names, row in rows.items() for name in names.strip("`").split("`, `")
    }
    runs = [
        *(("mkdir", f"{site}/d"), ("cp", "-r", "run7", f"{site}/d/"), ("ls", f"{site}/d/run7"), ("find", f"{site}/d")),
        *(("stat", f"{site}/d/run7/f"), ("du", f"{site}/d"), ("checksum", "--read", f"{site}/d/run7/f")),
        *(("mv", f"{site}/d/run7/f", f"{site}/d/g"), ("rm", f"{site}/d/g"), ("rm", f"{site}/nowhere")),
    ]
    assert {command for command, *_ in runs} == set(keys)
    for name, value in LOGIN.items():
        monkeypatch.setenv(f"RUCIO_CS3_{name.upper()}", value)
    for command, *arguments in runs:
        for line in called(monkeypatch, capfd, command, "--json", *arguments)[1].splitlines():
            assert set(json.loads(line)) <= keys[command] | {"error", "message"}, line
