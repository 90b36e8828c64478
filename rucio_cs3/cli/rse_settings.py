"""`rucio-cs3 rse settings`: keep what Rucio knows of free space true. For cron."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from rucio_cs3.cli import site as sites
from rucio_cs3.cli.report import Report, orderly
from rucio_cs3.cli.rses import rse_names
from rucio_cs3.cli.sizes import STEP, UNITS, human
from rucio_cs3.errors import Cs3Error
from rucio_cs3.operate import usage
from rucio_cs3.operate.catalogue import Catalogue
from rucio_cs3.transfer.crew import Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rucio_cs3.cli.site import Site
    from rucio_cs3.model import Quota
    from rucio_cs3.operate.usage import Told
    from rucio_cs3.transfer.crew import Result

JOBS = 8  # sites at once


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    found = re.fullmatch(rf"(\d+)([{UNITS}]?)", value.strip().upper())
    if not found:
        raise click.BadParameter(f"{value!r} is not a size such as 500G", ctx, param)
    power = UNITS.index(found[2]) + 1 if found[2] else 0
    return int(found[1]) * int(STEP**power)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=rse_names)
@click.option("--all", "everywhere", is_flag=True, help="All RSEs that have a protocol of ours.")
@click.option("--min-free", callback=_size, metavar="SIZE", help="Have the reaper keep so much free, such as 500G.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each RSE.")
@sites.in_one_line
@orderly
def settings(names: tuple[str, ...], everywhere: bool, min_free: int | None, as_json: bool) -> None:
    """Tell Rucio how much room there is, by the quotas of the RSEs' root folders.

    It sets the usage with source `storage`, which Rucio's reaper goes by, and with --min-free the limit MinFreeSpace,
    below which it makes room. Where a storage sets no quota, that is said and nothing is set. The exit code is 1 if an
    RSE failed; the others are done all the same.

    \b
      */30 * * * *  rucio-cs3 rse settings --all
    """  # noqa: D301 - click wants the character
    if bool(names) == everywhere:
        raise click.UsageError("name RSEs, or give --all")
    rucio, report = Catalogue(), Report(as_json=as_json)
    known = _opened(report, _ours(report, rucio) if everywhere else names)

    def show(result: Result) -> None:
        name = result.item.name
        try:
            told = usage.tell(rucio, name, result.value, min_free=min_free)
        except Cs3Error as error:
            report.failure(name, _named(name, error))
        else:
            _show(report, name, told)

    report.take(Run(known, lambda site, _: _quota(site), jobs=JOBS), lambda site: str(site.name), show)
    sys.exit(1 if report.failed else 0)


def _ours(report: Report, rucio: Catalogue) -> Iterator[str]:
    for name in rucio.names():
        try:
            standing = rucio.standing(name)
        except Cs3Error as error:
            report.failure(name, _named(name, error))
        else:
            if standing and standing.ours:
                yield name


def _opened(report: Report, names: Iterable[str]) -> list[Site]:
    found = []
    for name in names:
        try:
            found.append(sites.of(name, None))
        except Cs3Error as error:
            report.failure(name, _named(name, error))
    return found


def _quota(site: Site) -> Quota:
    try:
        with site.client() as client:
            return client.files.quota(site.root_at(client).resolve())
    except Cs3Error as error:
        raise _named(site.name, error) from error


def _named(name: str, error: Cs3Error) -> Cs3Error:
    """In a log of cron one wants to see which one it was."""
    if name not in f"{error.path} {error.message}":
        error.message = f"RSE {name}: {error.message}"
    return error


def _show(report: Report, name: str, told: Told) -> None:
    free, total = told.free, told.quota.total
    said = f"{human(free)} of {human(total)} are free" if free is not None else "nothing is set"
    keep = f", {human(told.min_free)} are kept free" if told.min_free else ""
    report.say(
        f"{name}: {said}{keep}",
        name=name,
        outcome="done" if free is not None else "skipped",
        total=total or None,
        free=free,
        min_free=told.min_free,
        notes=list(told.notes),
    )
    for note in told.notes:
        report.aside(f"{name}: {note}")
