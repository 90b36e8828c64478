"""What shells and scripts ask of `rucio-cs3 rse`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.rucio.operate.conftest import told
from tests.unit.cli.command import called

TAKES_AN_RSE = [
    *("rse add", "rse check", "rse check --with", "rse rotate", "rse settings", "rse show"),
    *("token show", "token explain", "token app-password list --rse", "credentials", "dump", "ls --rse"),
]


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
