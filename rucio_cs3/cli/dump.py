"""`rucio-cs3 dump`: what is on a storage element, for Rucio's auditor."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rucio_cs3 import memory
from rucio_cs3.catalog.dump import JOBS, Dump, Wanted
from rucio_cs3.cli import times
from rucio_cs3.cli.bars import spinner
from rucio_cs3.cli.inspect import MOST_JOBS
from rucio_cs3.cli.place import RSE, kind_of
from rucio_cs3.cli.report import on_places, typed
from rucio_cs3.cli.rses import rse_names
from rucio_cs3.cli.sizes import counted, human
from rucio_cs3.model import Ref
from rucio_cs3.root import Root

if TYPE_CHECKING:
    from rucio_cs3.catalog.dump import Counts
    from rucio_cs3.cli.place import Places
    from rucio_cs3.cli.report import Report

NAME = "dump_%Y%m%d"  # as Rucio's auditor is mostly told to look for it
LEFT_OUT = {
    "unfinished": "left behind by uploads",
    "newer": "changed too lately",
    "unwritable": "with control characters in their names",
    "other": "neither files nor folders",
}


@click.command()
@click.argument("name", metavar="RSE|cs3s://HOST:PORT/PATH", shell_complete=rse_names)
@click.option(
    "-o",
    "--output",
    show_default=f"RSE_{NAME}",
    help="The file to write; %Y, %m and %d are of today, in UTC.",
)
@click.option("--all", "everything", is_flag=True, help="Also what uploads left behind, such as .rucio-cs3-….part.")
@click.option(
    "--details",
    is_flag=True,
    help="After each path a tab and its size, time and checksums, as far as the storage tells. Not for the auditor.",
)
@click.option(
    "--older-than",
    metavar="TIME",
    callback=times.seconds,
    help="Leave out what changed in the last 12h or 3d. Only to look for dark files: what is left out would look lost.",
)
@click.option("--jobs", type=click.IntRange(1, MOST_JOBS), default=JOBS, show_default=True, help="Folders at once.")
@on_places
def dump(places: Places, report: Report, name: str, output: str | None, jobs: int, **wanted: Any) -> None:
    """Write the paths of all files of an RSE, or below a path at a gateway, one a line, in no order.

    Rucio's auditor compares them with its catalogue. The file has its name when it is whole; until then it is called
    FILE.incomplete. After whatever ended it, the same command goes on, within a day.
    """
    memory.one_heap()
    told, files, root, top = _opened(places, name)
    path = Path(time.strftime(output or _usual(name), time.gmtime()))
    began = time.monotonic()
    with Dump(files, root, top, path, Wanted(**wanted), jobs=jobs) as dumped:
        if dumped.went_on:
            report.aside(f"Going on with {dumped.incomplete}, which holds {_files(dumped.counts)}")
        try:
            with spinner(_files, wanted=not report.as_json) as show:
                for folder, error in dumped:
                    if error:
                        report.failure(f"{told}{folder}", error)
                    show(dumped.counts)
        except KeyboardInterrupt:
            again = f"{_again(path)}, within a day"
            raise KeyboardInterrupt(
                f"Interrupted: {_files(dumped.counts)} so far in {dumped.incomplete}. To go on: {again}"
            ) from None
        left, whole = dumped.left(), dumped.finish()
        _summarise(report, dumped, left, whole=whole, seconds=time.monotonic() - began)


def _usual(name: str) -> str:
    """Of a gateway, no RSE is known."""
    return NAME if ":" in name else f"{name}_{NAME}"


def _opened(places: Places, name: str) -> tuple[str, Any, Any, str]:
    """How names there begin, whom to ask, for what, and how lines begin. What is to be dumped is there."""
    if ":" not in name:
        client, root, site = places.rse(name)
        return f"{name}:", client.files, root, site.prefix
    if kind_of(name) == RSE:
        raise click.UsageError("a dump is of a whole RSE: to Rucio, what is missing from it is lost")
    place = places.at(name)
    Root(place.client, place.ref).resolve()
    top = Ref(place.ref.path, place.ref.id)  # not as people call it: lines are paths
    return place.name().rstrip("/") + "/", place.client.files, top, str(top)


def _summarise(report: Report, dumped: Dump, left: int, *, whole: bool, seconds: float) -> None:
    counts = dumped.counts
    path = dumped.output if whole else dumped.incomplete
    report.say(
        f"{path}: {_files(counts)}, {human(counts.bytes)}, in {seconds:.1f} s",
        outcome="summary",
        file=str(path),
        complete=whole,
        **asdict(counts),
        not_listed=left,
        seconds=round(seconds, 3),
    )
    for key, what in LEFT_OUT.items():
        if count := getattr(counts, key):
            report.aside(f"Left out: {count:,} {what}")
    if not whole:
        why = ", and given up because nothing gets through" if dumped.given_up else ""
        report.failed += not report.failed
        again = f"To try again what is missing: {_again(dumped.output)}"
        report.aside(f"INCOMPLETE: {counted(left, 'folder')} not listed{why}. {again}")


def _files(counts: Counts) -> str:
    return f"{counted(counts.files, 'file')} in {counted(counts.folders, 'folder')}"


def _again(path: Path) -> str:
    """The same command, even tomorrow."""
    return typed(*([] if str(path) in sys.argv else ["--output", str(path)]))
