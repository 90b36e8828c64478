"""What the documentation says of the tests is so."""

from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).parents[2]


def test_the_tests_that_are_named_exist():
    written = "\n".join(file.read_text(encoding="utf-8") for file in (TOP / "tests").rglob("test_*.py"))
    named = {name for file in (TOP / "docs").glob("*.md") for name in re.findall(r"`(test_\w+)`", file.read_text())}
    assert named
    assert [name for name in sorted(named) if f"def {name}(" not in written] == []
