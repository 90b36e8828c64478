"""The `rucio-cs3` command. Each group of commands is a module of its own, imported when it is used."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

# A command, and where it is: module and name in it.
COMMANDS = {
    "broker": ("rucio_cs3.cli.broker", "broker"),
    "credentials": ("rucio_cs3.cli.credentials", "credentials"),
    "gateway": ("rucio_cs3.cli.gateway", "gateway"),
    "token": ("rucio_cs3.cli.token", "token"),
}


def main() -> None:
    """Run `rucio-cs3`."""
    try:
        import click  # noqa: F401, PLC0415 - it comes with an extra, which may be missing
        import rich  # noqa: F401, PLC0415
    except ModuleNotFoundError as missing:
        sys.exit(f"rucio-cs3: {missing.name} is not installed: pip install 'rucio-cs3[gateway]'")
    _group()(prog_name="rucio-cs3")


def _group() -> click.Group:
    import click  # noqa: PLC0415

    class Commands(click.Group):
        def list_commands(self, ctx: click.Context) -> list[str]:
            del ctx
            return sorted(COMMANDS)

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            del ctx
            if cmd_name not in COMMANDS:
                return None
            module, name = COMMANDS[cmd_name]
            command: click.Command = getattr(import_module(module), name)
            return command

    @click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(package_name="rucio-cs3", prog_name="rucio-cs3")
    def rucio_cs3() -> None:
        """CS3 storages for Rucio."""

    return rucio_cs3
