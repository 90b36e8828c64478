"""What the documentation says of the tests is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rucio_cs3.broker.config import load

TOP = Path(__file__).parents[2]


def test_the_tests_that_are_named_exist():
    written = "\n".join(file.read_text(encoding="utf-8") for file in (TOP / "tests").rglob("test_*.py"))
    named = {name for file in (TOP / "docs").glob("*.md") for name in re.findall(r"`(test_\w+)`", file.read_text())}
    assert named
    assert [name for name in sorted(named) if f"def {name}(" not in written] == []


HAZARDS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (TOP / "docs" / "hazards.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| \d+ \|", line)
]


def test_every_hazard_has_a_row_and_its_name_is_at_the_top():
    assert [int(row[0]) for row in HAZARDS] == list(range(1, 27))
    top = " ".join((TOP / "docs" / "hazards.md").read_text(encoding="utf-8").split("\n\n")[1].split())
    assert top == f"By name: {'; '.join(' '.join(row[:2]) for row in HAZARDS)}."


@pytest.mark.parametrize("row", HAZARDS, ids=lambda row: row[0])
def test_a_hazard_is_shown_and_survived_or_there_is_a_reason(row):
    """What shows it speaks to the storage on the bare wire; what survives it is our client or plugin."""
    for cell, ours in ((row[4], False), (row[5], True)):
        tests = re.findall(r"`([\w./]+\.py)::(test_\w+)`", cell)
        assert tests or re.match(r"none: \w", cell)
        for file, name in tests:
            assert ("/test_wire_" in f"/{file}") != ours
            written = (TOP / "tests" / "conformance" / file).read_text(encoding="utf-8")
            assert f"def {name}(" in written, f"{file} has no {name}"


def test_the_brokers_example_is_a_configuration(tmp_path):
    [example] = re.findall(r"```toml\n(.*?)```", (TOP / "docs" / "broker.md").read_text(), re.DOTALL)
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text("x")
    (tmp_path / "broker.toml").write_text(example.replace("/run/secrets/cs3", str(secret)))
    site = load(tmp_path / "broker.toml").sites["cs3.example.org:443"]
    assert [site.mapping.user(account) for account in ("jdoe", "marie", "Nobody1")] == ["einstein", "marie", None]
