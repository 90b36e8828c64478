"""What checks say, and what the table of them is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rucio_cs3.checkup.case import Case
    from rucio_cs3.errors import Cs3Error

PASS, WARN, FAIL, SKIP = "pass", "warn", "fail", "skip"
DEFAULT_REMEDY = "correct it where it stands: rucio-cs3 token explain says where each setting does"


class Finding(NamedTuple):
    """What one check saw. `skip` says why there was nothing to see."""

    outcome: str
    seen: str
    remedy: str = ""


def passed(seen: str) -> Finding:
    return Finding(PASS, seen)


def warned(seen: str, remedy: str) -> Finding:
    return Finding(WARN, seen, remedy)


def failed(seen: str, remedy: str) -> Finding:
    return Finding(FAIL, seen, remedy)


def skipped(seen: str) -> Finding:
    return Finding(SKIP, seen)


def failure(error: Cs3Error, remedy: str = "") -> Finding:
    """An error as it is told everywhere, but with what to do apart."""
    where = f"{error.path}: " if error.path else ""
    status = f" [{error.status}]" if error.status else ""
    return failed(" ".join(f"{where}{error.message}{status}".split()), remedy or error.hint or DEFAULT_REMEDY)


Run = Callable[["Case"], "Iterable[Finding]"]


@dataclass(frozen=True)
class Check:
    """One line of the table."""

    name: str
    title: str
    """what it looks at, while it does"""
    run: Run
    needs: tuple[str, ...] = ()
    """checks without which it would only fail for their cause"""
    unless: Callable[[Case], str] = lambda _: ""
    """why there is nothing for it to look at, if there is not"""


@dataclass(frozen=True)
class Result:
    """What one check saw, by its name."""

    check: str
    outcome: str
    seen: str
    remedy: str = ""
    looked: bool = True
    """False for one that was not taken: `seen` says why"""
