"""`rucio-cs3 rse`: RSEs on CS3 storages, for those who operate them."""

from __future__ import annotations

import click

from rucio_cs3.cli.lazy import LazyGroup

COMMANDS = {
    "add": ("rucio_cs3.cli.rse_add", "add"),
    "check": ("rucio_cs3.cli.rse_check", "check"),
    "doctor": ("rucio_cs3.cli.rse_check", "check"),
    "rotate": ("rucio_cs3.cli.rse_rotate", "rotate"),
    "settings": ("rucio_cs3.cli.rse_settings", "settings"),
    "show": ("rucio_cs3.cli.rse_show", "show"),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def rse() -> None:
    """Set up RSEs on CS3 storages, and find out why one does not work."""
