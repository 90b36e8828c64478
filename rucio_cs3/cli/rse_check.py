"""`rucio-cs3 rse check`: why an RSE does not work, or that it does."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape

from rucio_cs3.checkup.case import Case, Wish
from rucio_cs3.checkup.model import FAIL, PASS, SKIP, WARN
from rucio_cs3.checkup.table import CHECKS, examine
from rucio_cs3.cli import site as sites
from rucio_cs3.cli.bars import spinner
from rucio_cs3.cli.report import orderly, printable
from rucio_cs3.cli.rses import rse_names
from rucio_cs3.cli.screen import table_of
from rucio_cs3.model import Ref
from rucio_cs3.rse import Rse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rucio_cs3.checkup.model import Check, Result

COLOURS = {PASS: "green", WARN: "yellow", FAIL: "red", SKIP: "dim"}
USER, DAEMON = "user", "daemon"


@click.command(epilog="\b\nThe checks, in their order:\n" + "\n".join(f"  {one.name:16}{one.title}" for one in CHECKS))
@click.argument("name", required=False, metavar="[RSE]", shell_complete=rse_names)
@click.option("--as", "place", type=click.Choice([USER, DAEMON]), default=USER, show_default=True, help="Whose place.")
@click.option(
    "--with",
    "other",
    metavar="RSE",
    shell_complete=rse_names,
    help="Also copy from and to this one, from door to door.",
)
@click.option("--read-only", is_flag=True, help="Write nothing at the site.")
@click.option("--gateway", metavar="HOST:PORT", help="A site without a Rucio, instead of an RSE; needs --path.")
@click.option("--path", metavar="PATH", help="The CS3 path of a folder there.")
@click.option("--webdav", metavar="URL", help="The address of that folder at the site's WebDAV door.")
@click.option("--json", "as_json", is_flag=True, help="Say it in JSON.")
@sites.in_one_line
@orderly
def check(as_json: bool, **options: Any) -> None:
    """Find out whether an RSE works, and if not why, and what is to be done.

    It goes the way that a transfer goes: settings, network, TLS, logins, then a file of its own is written, read,
    renamed and deleted. What cannot be reached because of something before it is not a failure of its own. Nothing is
    left at the site; a file .rucio-cs3-check-… that a killed check has left there is removed by a later one, after an
    hour.

    Run it where the trouble is: at a user's place, or with --as daemon on the host of Rucio's daemons, which have no
    login to Rucio to show, but rucio.cfg and rse-accounts.cfg. With --with, each of the two sites is shown your token
    of the other one.

    The exit code is 0 when all is well or only worth a warning, 1 when something failed, and 130 after Ctrl-C.
    """
    case = _case(**options)
    results: list[Result] = []
    with case:
        try:
            with spinner(_named, wanted=not as_json) as tell:
                results += examine(case, tell=tell)
        except KeyboardInterrupt:
            left = ", ".join(case.tidy()) or "nothing"
            raise KeyboardInterrupt(f"Interrupted. Left at the site: {left}.") from None
    (_tell_script if as_json else _tell_human)(case, results)
    sys.exit(1 if any(result.outcome == FAIL for result in results) else 0)


def _case(
    name: str | None,
    place: str,
    other: str | None,
    read_only: bool,
    gateway: str | None,
    path: str | None,
    webdav: str | None,
) -> Case:
    wish = Wish(name, as_daemon=place == DAEMON, read_only=read_only, other=other)
    if name:
        if gateway or path or webdav:
            raise click.UsageError("give an RSE, or --gateway with --path, not both")
        if other == name:
            raise click.UsageError(f"--with {other} is the RSE itself: name another one")
        return Case(name, wish)
    if not (gateway and path):
        raise click.UsageError("name an RSE, or a site by --gateway and --path")
    if other:
        raise click.UsageError("--with is for two RSEs")
    site = sites.of(None, gateway)
    case = Case(gateway, wish)
    case.site, case.caller, case.remedy = Rse(gateway, site.config, Ref(path), site.origins), site.caller, site.remedy
    case.door_url = f"{webdav.rstrip('/')}/" if webdav else None
    return case


def _named(one: Check) -> str:
    return f"{one.name}: {one.title}"


def _tell_script(case: Case, results: Sequence[Result]) -> None:
    checks = [{"check": one.check, "outcome": one.outcome, "seen": one.seen, "remedy": one.remedy} for one in results]
    said = {"name": case.name, "as": _place(case), "verdict": _verdict(results), "checks": checks}
    click.echo(json.dumps(said, indent=2))


def _tell_human(case: Case, results: Sequence[Result]) -> None:
    table = table_of("check", "outcome", "what was seen", "what to do")
    left_out: dict[str, list[str]] = {}
    for result in results:
        if not result.looked:
            left_out.setdefault(result.seen, []).append(result.check)
            continue
        colour = COLOURS[result.outcome]
        seen, remedy = (escape(printable(text)) for text in (result.seen, result.remedy))
        style = "dim" if result.outcome == SKIP else ""
        table.add_row(result.check, f"[{colour}]{result.outcome}[/{colour}]", seen, remedy, style=style)
    screen = Console(highlight=False)
    screen.print(table)
    for reason, names in left_out.items():
        screen.print(f"[dim]{escape(reason)} ({', '.join(names)})[/dim]", soft_wrap=True)
    counts = Counter(result.outcome for result in results)
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in COLOURS if counts[outcome])
    verdict = _verdict(results)
    screen.print(f"[{COLOURS[verdict]}]{case.name}: {verdict}[/] ({told}; as {_place(case)})", soft_wrap=True)
    for result in results:
        if result.outcome in {FAIL, WARN}:  # once more, in lines that can be copied
            line = f"{result.check}: {result.seen}; {result.remedy}"
            screen.print(escape(printable(line)), soft_wrap=True)


def _verdict(results: Sequence[Result]) -> str:
    return next((bad for bad in (FAIL, WARN) if any(result.outcome == bad for result in results)), PASS)


def _place(case: Case) -> str:
    return DAEMON if case.wish.as_daemon else USER
