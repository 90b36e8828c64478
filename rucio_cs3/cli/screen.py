"""What is shown, and how."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

WARNING = "Whoever sees this can do what you can, until it expires:"


def console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def show_secret(text: str) -> None:
    """On stdout, with a warning where it stays on a screen."""
    if sys.stdout.isatty():
        click.echo(WARNING, err=True)
    click.echo(text)


def table_of(*columns: str) -> Table:
    """In which long words are broken, and none is cut: what is shown can be copied."""
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def show_settings(in_force: Iterable[dict[str, Any]]) -> None:
    """Those of a site, without the secret ones' values."""
    table = table_of("setting", "value", "where it stands")
    for setting in in_force:
        value = "[dim]not shown[/dim]" if setting["secret"] else escape(str(setting["value"]))
        table.add_row(setting["name"], value, escape(setting["origin"]))
    console().print(table, soft_wrap=False)
