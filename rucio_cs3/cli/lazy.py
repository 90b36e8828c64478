"""A group of commands whose modules are imported when they are used: a shell that completes a word must not wait."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping


class LazyGroup(click.Group):
    """Where each command is: its module, and its name there."""

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in self.table:
            return None
        module, name = self.table[cmd_name]
        try:
            command: click.Command = getattr(import_module(module), name)
        except ModuleNotFoundError as missing:
            if (missing.name or "").startswith("rucio_cs3"):  # that would be our own mistake
                raise
            return _without(cmd_name, str(missing.name))
        return command


def _without(name: str, package: str) -> click.Command:
    """In the place of a command whose extra, which is called like it, is not installed: the list of all is shown."""
    needed = f"{package} is not installed: pip install 'rucio-cs3[{name}]'"

    def tell(_: tuple[str, ...]) -> None:
        raise click.ClickException(needed)

    words = click.Argument(["_"], nargs=-1, type=click.UNPROCESSED)
    return click.Command(name, {"ignore_unknown_options": True}, tell, [words], help=f"{needed}.")
