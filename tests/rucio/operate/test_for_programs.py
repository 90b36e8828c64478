"""What shells and scripts ask of `rucio-cs3 rse`."""

from __future__ import annotations

import json
import logging
import re
import subprocess
from pathlib import Path

import pytest

from demo.process import BIN
from rucio_cs3 import observe
from tests.rucio.front import RefusingFront
from tests.rucio.operate.conftest import told
from tests.unit.cli.command import called

TAKES_AN_RSE = [
    *("rse add", "rse check", "rse check --with", "rse rotate", "rse settings", "rse show"),
    *("token show", "token explain", "token app-password list --rse", "credentials", "dump", "ls --rse"),
]


@pytest.fixture
def _as_before(monkeypatch):
    """Whoever completes words watches and logs nothing any more, and here others are to come."""
    monkeypatch.setattr(observe, "_missed", set())
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize("words", TAKES_AN_RSE)
def test_names_are_completed(words, client, rse, monkeypatch, capfd):
    """As bash asks, with the beginning of one typed."""

    def completed(begun):
        monkeypatch.setenv("_RUCIO_CS3_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", f"rucio-cs3 {words} {begun}")
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) + 1))
        return called(monkeypatch, capfd)[1].split()

    assert f"plain,{rse}" in completed(rse[:4])
    assert completed("no-such") == []


@pytest.fixture
def typed(sandbox, tmp_path):
    """What a shell is told in a folder with some files, by processes of a user whose Rucio goes away, if asked to."""
    with RefusingFront(sandbox.url) as front:
        home = sandbox.user.with_config({"client": {"rucio_host": front.url}})

        def typed(word, cache="cache", *, gone=False):
            if gone:
                front.stop()
            line = {"COMP_WORDS": f"rucio-cs3 ls {word}", "COMP_CWORD": "2", "_RUCIO_CS3_COMPLETE": "bash_complete"}
            environ = {**home.environ, "XDG_CACHE_HOME": str(tmp_path / cache), **line}
            pipes = {"capture_output": True, "text": True, "timeout": 60}
            ran = subprocess.run([BIN / "rucio-cs3"], env=environ, cwd=tmp_path, check=False, **pipes)
            assert ran.stderr == ""
            return ran.stdout.splitlines()

        yield typed


def test_names_of_files_begin_with_an_rse_and_local_ones_do_not(typed, rse, tmp_path):
    for name in (f"{rse}-notes", f"{rse} notes", "other"):
        (tmp_path / name).touch()
    (tmp_path / f"{rse}-runs").mkdir()
    found = typed(rse)
    assert {f"plain,{rse}:", f"plain,{rse}-notes", f"plain,{rse}-runs/"} <= set(found)
    assert {word[:6] for word in found} == {"plain,"}
    assert not [word for word in found if " " in word or "other" in word]
    assert typed("oth") == ["file,oth"]
    assert typed("./") == ["file,./"]
    assert f"plain,{rse}:" in typed("")


def test_rses_are_known_for_a_while_and_nobody_is_told_that_rucio_is_gone(typed, rse):
    assert f"plain,{rse}:" in typed(rse)
    assert f"plain,{rse}:" in typed(rse, gone=True)
    assert typed(rse, "another cache") == [f"file,{rse}"]


OPERATORS = (Path(__file__).parents[3] / "docs" / "operators.md").read_text(encoding="utf-8")


def documented(command):
    """The keys that the page tells of."""
    [row] = re.findall(rf"^\| `rse {command}` \| (.*) \|$", OPERATORS, re.MULTILINE)
    return set(re.findall(r"`(\w+)`", row))


def test_what_is_said_in_json_is_documented(command, rse, options):
    said = {
        "add": [told(command("add", rse, *options, "--json"))],
        "show": [shown := json.loads(command("show", rse, "--json").stdout), shown["site"]],
        "check": [checked := json.loads(command("check", rse, "--json").stdout), *checked["checks"]],
        "settings": [json.loads(command("settings", rse, "--json").stdout)],
    }
    for name, objects in said.items():
        assert {key for each in objects for key in each} <= documented(name), name
