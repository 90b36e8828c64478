"""Sizes and numbers as people read and write them."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

STEP = 1024
UNITS = "KMGTPE"


def human(size: float) -> str:
    """Such as 1.5M, in powers of 1024 as ls -h has it."""
    if size < STEP:
        return f"{size:.0f}B"
    power = 0
    while size >= STEP - 0.5 and power < len(UNITS):
        size /= STEP
        power += 1
    return f"{size:.1f}{UNITS[power - 1]}"


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def condition(ctx: click.Context, param: click.Parameter, value: str | None) -> Callable[[int], bool] | None:
    """Read +10M (more), -1K (less) or 17 (exactly)."""
    if value is None:
        return None
    found = re.fullmatch(rf"([+-]?)(\d+)([{UNITS}]?)", value.strip().upper())
    if not found:
        raise click.BadParameter(f"{value!r} is not a size such as +10M, -1K or 17", ctx, param)
    bound = int(found[2]) * STEP ** (UNITS.index(found[3]) + 1 if found[3] else 0)
    compare = {"+": operator.gt, "-": operator.lt, "": operator.eq}[found[1]]
    return lambda size: bool(compare(size, bound))
