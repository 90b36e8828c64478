"""`rucio-cs3 token app-password`: passwords for programs, which open no more than they need."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from rucio_cs3.cli import site as sites
from rucio_cs3.cli.rses import rse_names
from rucio_cs3.cli.screen import console, show_secret
from rucio_cs3.cli.times import clock, seconds, until
from rucio_cs3.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rucio_cs3.cli.site import Site
    from rucio_cs3.model import AppPassword

RSE = click.option("--rse", metavar="RSE", shell_complete=rse_names, help="The RSE whose site is meant.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Say it in JSON.")


@click.group("app-password")
def app_password() -> None:
    """Passwords for programs such as Rucio's daemons: good for some paths, and ended without touching your own."""


@app_password.command()
@click.argument("label")
@RSE
@sites.takes_gateway
@click.option(
    "--path",
    "paths",
    multiple=True,
    metavar="PATH",
    help="What it opens: a CS3 path, or one below the RSE's root folder when it has no slash in front. Can be repeated."
    " By default the RSE's root folder; with --gateway everything (/).",
)
@click.option("--read-only", is_flag=True, help="Let it read, and not write.")
@click.option("--expires", callback=seconds, metavar="TIME", help="When it ends, such as 30d or 12h; without, never.")
@click.option("--save", type=click.Path(path_type=Path), help="Write it to this new file, for app_password_file.")
@AS_JSON
@sites.in_one_line
def create(label: str, rse: str | None, gateway: str | None, **options: Any) -> None:
    """Make one. It is told only now: on stdout, or into the file that --save names, which only you can read.

    Reva compares paths as they are spelt: a password for /data opens /data2 as well. It keeps a program from mistakes,
    and not a thief from your files.
    """
    site = sites.of(rse, gateway)
    expires = time.time() + options["expires"] if options["expires"] else None
    with site.client() as client, _new_file(options["save"]) as save:
        username = client.whoami().username
        paths = _paths(site, options["paths"])
        made = client.apps.create(label, paths=paths, read_only=options["read_only"], expires=expires)
        save(made.password)
    if options["as_json"]:
        secret = {} if options["save"] else {"password": made.password}
        click.echo(json.dumps({**_described(made), "username": username, **secret}))
        return
    click.echo(f"{label}: handle {made.handle}, opens {', '.join(made.paths)}, until {_end(made)}", err=True)
    if options["save"]:
        click.echo(f"username = {username}\napp_password_file = {options['save'].absolute()}")
    else:
        click.echo(f"For user {username}; it is not told again:", err=True)
        show_secret(made.password)


@app_password.command("list")
@RSE
@sites.takes_gateway
@AS_JSON
@sites.in_one_line
def show(rse: str | None, gateway: str | None, as_json: bool) -> None:
    """Those that you have made at the site, without the passwords."""
    with sites.of(rse, gateway).client() as client:
        found = client.apps.list()
    if as_json:
        click.echo(json.dumps([_described(each) for each in found]))
        return
    table = Table("handle", "label", "opens", "may", "made", "until")
    for each in found:
        cells = [each.handle, each.label, ", ".join(each.paths) or "nothing", "read" if each.read_only else "write"]
        table.add_row(*map(escape, cells), clock(each.created), _end(each))
    console().print(table, soft_wrap=False)


@app_password.command()
@click.argument("handle")
@RSE
@sites.takes_gateway
@sites.in_one_line
def revoke(handle: str, rse: str | None, gateway: str | None) -> None:
    """End one of them, by its handle in the list. Tokens that were made with it live on until they expire."""
    with sites.of(rse, gateway).client() as client:
        client.apps.revoke(handle)
    click.echo(f"Revoked: {handle}")


def _paths(site: Site, given: tuple[str, ...]) -> tuple[str, ...]:
    root = site.root
    if root is None or all(path.startswith("/") for path in given or ("",)):
        return given or ("/",)
    if root.id is not None:
        raise ConfigError(f"RSE {site.name} is a space, of which no path is known", hint="give --path /...")
    return tuple(path if path.startswith("/") else str(root / path) for path in given or ("",))


@contextlib.contextmanager
def _new_file(path: Path | None) -> Iterator[Callable[[str], None]]:
    """Made before anything is asked of the site, and gone again when that fails."""
    if path is None:
        yield lambda _: None
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"cannot make {path}: {error.strerror}", hint="--save wants a new file") from error
    with open(fd, "w", encoding="utf-8") as file:  # noqa: PTH123 - a file descriptor

        def save(password: str) -> None:
            file.write(password)
            file.flush()

        try:
            yield save
        except BaseException:
            if not file.tell():
                path.unlink()
            raise


def _end(known: AppPassword) -> str:
    return until(known.expires) if known.expires else "you revoke it"


def _described(known: AppPassword) -> dict[str, Any]:
    return {key: value for key, value in vars(known).items() if key != "password"}
