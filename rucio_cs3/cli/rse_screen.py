"""What the commands of `rucio-cs3 rse` show alike."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from rucio_cs3.cli.report import printable
from rucio_cs3.cli.screen import console, table_of
from rucio_cs3.operate import entry
from rucio_cs3.operate.steps import SO_ALREADY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rucio_cs3.operate.discovery import Finding
    from rucio_cs3.operate.steps import Step

MARKS = {True: "[green]ok[/green]", False: "[red]no[/red]", None: "-"}


def safe(text: object) -> str:
    """What sites say, without what a terminal or rich would obey."""
    return escape(printable(str(text)))


def show_findings(findings: Iterable[Finding]) -> None:
    table = table_of("", "what", "found", "how it is known")
    for found in findings:
        table.add_row(MARKS[found.works], safe(found.what), safe(found.said), found.how)
    console().print(table, soft_wrap=False)


def show_protocol(protocol: Mapping[str, Any]) -> None:
    screen = console()
    screen.print("[bold]Protocol entry[/bold]")
    screen.print(safe(json.dumps(entry.shown(protocol), indent=2)))


def show_steps(steps: Iterable[Step]) -> None:
    """Each with the commands that do the same by hand."""
    screen = console()
    screen.print("[bold]Steps[/bold]")
    for number, step in enumerate(steps, 1):
        state = f"[dim]{step.state}[/dim]" if step.state == SO_ALREADY else step.state
        screen.print(f"{number:>3} {safe(step.what)}: {state}")
        for change in step.changes:
            screen.print(f"      {safe(change)}")
        for words in step.commands:
            screen.print(f"      [bold]{safe(shlex.join(words))}[/bold]")
