"""Times as people read and write them."""

from __future__ import annotations

import re
import time

import click

UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
NAMES = {"d": "day", "h": "hour", "m": "minute", "s": "second"}


def until(expires: float | None) -> str:
    """In words, and in UTC."""
    if expires is None:
        return "an end that it does not tell"
    left = expires - time.time()
    return f"{clock(expires)} ({f'in {span(left)}' if left > 0 else f'{span(-left)} ago'})"


def clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def span(seconds: float) -> str:
    """The largest unit of which there are two, so that it is never far off."""
    unit = next((unit for unit in NAMES if seconds >= 2 * UNITS[unit]), "s")
    number = round(seconds / UNITS[unit])
    return f"{number} {NAMES[unit]}{'s' * (number != 1)}"


def seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Read 30d, 12h or 90m."""
    if value is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,8})([wdhms])", value.strip())
    if not found:
        raise click.BadParameter(f"{value!r} is not a time such as 30d, 12h or 90m", ctx, param)
    return float(int(found[1]) * UNITS[found[2]])
