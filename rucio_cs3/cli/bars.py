"""How far something is, where there is a terminal to draw it on."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rucio_cs3.transfer.crew import Totals

T = TypeVar("T")


@contextlib.contextmanager
def bar(*, wanted: bool) -> Iterator[Callable[[Totals], None] | None]:
    """What is to be told of the totals, or None where no bar is drawn."""
    if not (wanted and sys.stderr.isatty()):
        yield None
        return
    columns = [TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()]
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task("", total=None)

        def show(totals: Totals) -> None:
            ended = totals.done + totals.skipped + totals.failed
            drawn.update(
                task,
                description=f"{ended} of {totals.found} files",
                completed=totals.bytes_done,
                total=max(totals.bytes_found, totals.bytes_done),
            )

        yield show


@contextlib.contextmanager
def spinner(describe: Callable[[T], str], *, wanted: bool) -> Iterator[Callable[[T], None]]:
    """What is to be told how far it is, where nobody knows how much there is."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda _: None
        return
    columns = SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task("", total=None)
        yield lambda told: drawn.update(task, description=describe(told))
