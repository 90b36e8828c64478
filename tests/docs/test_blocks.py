"""No block of the documentation is forgotten: it is run by a test, or says why not."""

from __future__ import annotations

import pytest

from tests.docs.blocks import BLOCKS, TOP, USES, WHOLE_PAGES

ROWS = [(test, name, what) for test, uses in USES.items() for name, what in uses.items()]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page} {block.text.splitlines()[0][:40]}")
def test_it_is_run_once_or_says_why_not(block):
    ran = [name for _, name, what in ROWS if block.is_what(*what)] + [block.page] * (block.page in WHOLE_PAGES)
    assert len(ran) == (0 if block.why_not else 1), f"name it in tests/docs/blocks.py, or say why not:\n{block.text}"


@pytest.mark.parametrize(("test", "name", "what"), ROWS, ids=lambda cell: cell if isinstance(cell, str) else "")
def test_what_is_in_the_table_exists_and_is_taken(test, name, what):
    assert len([block for block in BLOCKS if block.is_what(*what)]) == 1
    assert f'"{name}"' in (TOP / test).read_text(encoding="utf-8")


def test_names_are_names_of_one():
    names = [name for _, name, _ in ROWS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(("page", "test"), WHOLE_PAGES.items())
def test_a_page_that_is_run_as_a_whole_has_a_test_that_says_so(page, test):
    written = (TOP / test).read_text(encoding="utf-8")
    assert "def test_all_blocks_are_used" in written
    assert page.partition("/")[2] in written
