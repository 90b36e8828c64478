"""docs/errors.md has each code, and says of it what the code does."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("rucio", reason="what Rucio sees: pip install rucio-cs3[rucio]")

from rucio_cs3.service.refusals import SILENCE, STATUS
from tests.docs.errors import CODES, PAGE, facts, written

TEXT = PAGE.read_text(encoding="utf-8")


def test_each_code_has_a_section_and_no_other_has():
    assert sorted(written(TEXT)) == sorted(CODES)


@pytest.mark.parametrize("code", CODES)
def test_the_facts_are_as_in_the_code(code):
    assert written(TEXT)[code] == facts(CODES[code]), "python -m tests.docs.errors writes them"


@pytest.mark.parametrize("code", CODES)
def test_there_is_a_remedy_or_it_is_a_base(code):
    [said] = re.findall(rf"^### {code}\n(.*?)(?=^##|\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert "**Remedy**:" in said or "does not come by itself" in said


def test_the_services_codes():
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+)(?:, silent \d+)? \|", TEXT, re.MULTILINE))
    assert {code: int(status) for code, status in rows.items()} == STATUS
    assert set(re.findall(r"silent (\d+) \|", TEXT)) == {str(SILENCE)}
