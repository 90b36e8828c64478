"""docs/architecture.md: a part imports only what stands below it in the table."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.blocks import TOP

PAGE = (TOP / "docs" / "architecture.md").read_text(encoding="utf-8")
ROWS = [re.findall(r"`(\w+)(?:/|\.py)`", row) for row in re.findall(r"^\| (`[^|]*) \|", PAGE, re.MULTILINE)]
FLOOR = {part: number for number, row in enumerate(ROWS) for part in row}
PACKAGE = TOP / "rucio_cs3"
HERE = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
NOT_TOLD = {"__init__", "policy"}  # which import nothing of the others, or all by their names


def imports(node):
    """The parts that are imported to run, and not for types alone."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rucio_cs3":
        _, _, below = node.module.partition(".")
        yield from [below.split(".")[0]] if below else [alias.name for alias in node.names]
    for child in ast.iter_child_nodes(node):
        yield from imports(child)


def test_each_part_has_a_row():
    assert HERE - NOT_TOLD - FLOOR.keys() == set()


def test_each_row_is_of_a_part():
    assert FLOOR.keys() - HERE == set()


@pytest.mark.parametrize("part", sorted(HERE - NOT_TOLD))
def test_it_imports_what_is_below(part):
    files = [PACKAGE / f"{part}.py"] if (PACKAGE / f"{part}.py").exists() else sorted((PACKAGE / part).rglob("*.py"))
    used = {name for file in files for name in imports(ast.parse(file.read_text(encoding="utf-8"))) if name in HERE}
    assert [name for name in used - {part} if FLOOR[name] < FLOOR[part]] == []
