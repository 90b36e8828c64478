"""What the documentation says of the tests is so."""

from __future__ import annotations

import re

import pytest

from rucio_cs3.config import AUTH_METHODS, FIELDS
from tests.docs.blocks import TOP


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


SETTINGS = [
    (re.findall(r"`(\w+)`", names), default)
    for names, default in re.findall(
        r"^\| (`.*?) \| (.*?) \|", (TOP / "docs" / "settings.md").read_text(encoding="utf-8"), re.MULTILINE
    )
]


def test_every_setting_is_in_the_table():
    told = {name for names, _ in SETTINGS for name in names}
    assert [name for name in FIELDS if name not in told and not name.endswith("_file")] == []


def test_no_setting_is_in_the_table_twice():
    told = [name for names, _ in SETTINGS for name in names]
    assert sorted(set(told)) == sorted(told)


def test_every_setting_in_the_table_exists():
    assert [name for names, _ in SETTINGS for name in names if name not in FIELDS] == []


@pytest.mark.parametrize(("names", "default"), [row for row in SETTINGS if row[1][:1].isdigit()], ids=str)
def test_numbers_are_those_of_the_code(names, default):
    assert default.replace("64 MiB", str(64 << 20)) == ", ".join(
        str(FIELDS[name].default).removesuffix(".0") for name in names
    )


def test_every_method_is_in_the_table():
    page = (TOP / "docs" / "credentials.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == sorted(AUTH_METHODS)
