"""`rucio-cs3 rse show`: how an RSE stands in Rucio, and at its site."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from rucio_cs3.cli import rse_screen as shown
from rucio_cs3.cli import site as sites
from rucio_cs3.cli.report import orderly, told
from rucio_cs3.cli.rses import rse_names
from rucio_cs3.cli.screen import console, show_settings, table_of
from rucio_cs3.cli.sizes import human
from rucio_cs3.credentials import who
from rucio_cs3.errors import Cs3Error, NotFound
from rucio_cs3.operate import discovery, entry
from rucio_cs3.operate.catalogue import Catalogue
from rucio_cs3.operate.door import Door
from rucio_cs3.operate.opening import Opening

if TYPE_CHECKING:
    from rucio_cs3.cli.site import Site
    from rucio_cs3.credentials.who import Who
    from rucio_cs3.operate.catalogue import Standing
    from rucio_cs3.operate.discovery import Finding

SETTINGS = ("deterministic", "availability_read", "availability_write", "availability_delete", "verify_checksum")


@click.command()
@click.argument("name", shell_complete=rse_names)
@click.option("--json", "as_json", is_flag=True, help="Say it in JSON.")
@sites.in_one_line
@orderly
def show(name: str, as_json: bool) -> None:
    """Tell how an RSE stands in Rucio and at its site, and where each setting of the plugin comes from.

    Nothing is changed. The exit code is 1 when the site does not let us in, or its folder is not there.
    """
    rucio = Catalogue()
    standing = rucio.standing(name)
    if standing is None:
        raise NotFound(f"Rucio has no RSE {name}", hint="rucio rse list")
    usage, limits = rucio.usage(name), rucio.limits(name)
    if not as_json:
        _show_standing(standing, usage, limits)
    site = sites.of(name, None)
    who_we_are, findings, failure = _at_site(site)
    if as_json:
        at_site = {
            "gateway": site.config.gateway,
            "username": who_we_are.username if who_we_are else None,
            "login": who_we_are.by.method if who_we_are else None,
            "found": [found.told() for found in findings],
            "settings": site.in_force(),
            **({"failure": told(failure)} if failure else {}),
        }
        in_rucio = {**standing.settings, "attributes": standing.attributes, "usage": usage, "limits": limits}
        click.echo(json.dumps({"rse": name, "rucio": entry.shown(in_rucio), "site": at_site}, default=str))
    else:
        _show_site(site, who_we_are, findings)
    if failure and not as_json:
        raise failure
    sys.exit(1 if failure else 0)


def _at_site(site: Site) -> tuple[Who | None, list[Finding], Cs3Error | None]:
    """Who we are there, what is found, and what stopped that."""
    who_we_are = None
    with contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(site.client())
            who_we_are = who.ask(client, site.root)
            root = site.root_at(client)
            root.resolve()
            door = stack.enter_context(Door(site.door, client)) if site.door else None
            opens_on = Opening(door.path, root.place, client.files.stat(root.place), "") if door else None
            view = discovery.View(client, root, door, opens_on)
            return who_we_are, list(discovery.look(view)), None
        except Cs3Error as error:
            return who_we_are, [], error


def _show_standing(standing: Standing, usage: list[dict[str, Any]], limits: dict[str, int]) -> None:
    screen = console()
    screen.print("[bold]In Rucio[/bold]")
    facts = {key: standing.settings[key] for key in SETTINGS}
    attributes = entry.shown(standing.attributes)
    facts |= {f"attribute {key}": value for key, value in sorted(attributes.items()) if key not in facts}
    facts |= {f"limit {key}": value for key, value in sorted(limits.items())}
    table = table_of("what", "value")
    for key, value in facts.items():
        table.add_row(shown.safe(key), shown.safe(value))
    for each in usage:
        used, free = (human(each[key]) if each[key] is not None else "?" for key in ("used", "free"))
        table.add_row(
            f"usage, source {shown.safe(each['source'])}", f"{used} used, {free} free at {each['updated_at']}"
        )
    screen.print(table, soft_wrap=False)
    for protocol in standing.protocols:
        shown.show_protocol(protocol)


def _show_site(site: Site, found: Who | None, findings: list[Finding]) -> None:
    if found:
        by = f"{found.by.method}: {found.by.description}"
        console().print(f"[bold]At {site.config.gateway}[/bold] as {shown.safe(found.username)}, by {shown.safe(by)}")
        shown.show_findings(findings)
    show_settings(site.in_force())
