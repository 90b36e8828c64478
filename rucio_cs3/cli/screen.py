"""What is shown, and how."""

from __future__ import annotations

import sys

import click
from rich.console import Console

WARNING = "Whoever sees this can do what you can, until it expires:"


def console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def show_secret(text: str) -> None:
    """On stdout, with a warning where it stays on a screen."""
    if sys.stdout.isatty():
        click.echo(WARNING, err=True)
    click.echo(text)
