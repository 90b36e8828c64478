"""The `rucio-cs3` command. Each group of commands is a module of its own, imported when it is used."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

# A command, and where it is: module and name in it.
COMMANDS = {
    "broker": ("rucio_cs3.cli.broker", "broker"),
    "checksum": ("rucio_cs3.cli.inspect", "checksum"),
    "completion": ("rucio_cs3.cli.completion", "completion"),
    "cp": ("rucio_cs3.cli.copy", "cp"),
    "credentials": ("rucio_cs3.cli.credentials", "credentials"),
    "du": ("rucio_cs3.cli.listing", "du"),
    "dump": ("rucio_cs3.cli.dump", "dump"),
    "find": ("rucio_cs3.cli.listing", "find"),
    "gateway": ("rucio_cs3.cli.gateway", "gateway"),
    "ls": ("rucio_cs3.cli.listing", "ls"),
    "mkdir": ("rucio_cs3.cli.change", "mkdir"),
    "mover": ("rucio_cs3.cli.mover", "mover"),
    "mv": ("rucio_cs3.cli.change", "mv"),
    "rm": ("rucio_cs3.cli.change", "rm"),
    "rse": ("rucio_cs3.cli.rse", "rse"),
    "stat": ("rucio_cs3.cli.inspect", "stat"),
    "token": ("rucio_cs3.cli.token", "token"),
}
SERVICES = ("broker", "gateway", "mover")
COMPLETING = "_RUCIO_CS3_COMPLETE"  # click's


def main() -> None:
    """Run `rucio-cs3`."""
    try:
        import click  # noqa: F401, PLC0415 - it comes with an extra, which may be missing
        import rich  # noqa: F401, PLC0415
    except ModuleNotFoundError as missing:
        sys.exit(f"rucio-cs3: {missing.name} is not installed: pip install 'rucio-cs3[gateway]'")
    from rucio_cs3 import observe  # noqa: PLC0415

    name = next((word for word in sys.argv[1:] if word in COMMANDS), "")
    if COMPLETING in os.environ:  # who types a word waits for no collector, counts nothing, and reads no log
        observe.keep_off()
        logging.disable()
    if name in SERVICES:  # which are no piece of work that ends
        _group()(prog_name="rucio-cs3")
        return
    observe.begin_program(observe.SERVICE)
    with observe.work(f"rucio-cs3 {name}".rstrip()):
        _group()(prog_name="rucio-cs3")


def _group() -> click.Group:
    import click  # noqa: PLC0415

    from rucio_cs3.cli.lazy import LazyGroup  # noqa: PLC0415

    @click.group(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(package_name="rucio-cs3", prog_name="rucio-cs3")
    @click.option("--log-json", is_flag=True, help="Log to stderr, one JSON object a line; as RUCIO_CS3_LOG=json does.")
    def rucio_cs3(log_json: bool) -> None:
        """Work with files on CS3 storages, make RSEs of them in Rucio, and run the services for both."""
        if log_json or "RUCIO_CS3_LOG" in os.environ:
            from rucio_cs3.errors import ConfigError  # noqa: PLC0415
            from rucio_cs3.observe import logs  # noqa: PLC0415

            try:
                logs.begin(logs.JSON if log_json else None)
            except ConfigError as error:
                raise click.ClickException(str(error)) from error

    return rucio_cs3
