"""`rucio-cs3 ls`, `du` and `find`: what is there."""

from __future__ import annotations

import datetime as dt
import fnmatch
import time
from typing import TYPE_CHECKING, Any

import click

from rucio_cs3.cli import times
from rucio_cs3.cli.completion import remote_names
from rucio_cs3.cli.report import on_places
from rucio_cs3.cli.sizes import condition, human
from rucio_cs3.errors import Cs3Error
from rucio_cs3.transfer import trees

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rucio_cs3.cli.place import Place, Places
    from rucio_cs3.cli.report import Report
    from rucio_cs3.model import Info
    from rucio_cs3.transfer.trees import Entry

NAMES = click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=remote_names)
HUMAN = click.option("-h", "--human", "in_units", is_flag=True, help="Sizes such as 1.5M.")
HELP = {"help_option_names": ["--help"]}  # -h is for sizes, as everywhere
KINDS = {"f": "file", "d": "directory"}


def described(name: str, info: Info) -> dict[str, Any]:
    """What `--json` tells of a file or folder."""
    known = {"kind": info.kind, "size": info.size, "mtime": info.mtime, "etag": info.etag, "id": str(info.id)}
    return {"name": name, **known, "checksums": dict(info.checksums)}


@click.command(context_settings=HELP)
@NAMES
@click.option("-l", "--long", is_flag=True, help="With kind, size and time (UTC).")
@HUMAN
@click.option("-R", "--recursive", is_flag=True, help="And all that is below.")
@on_places
def ls(places: Places, report: Report, names: tuple[str, ...], long: bool, in_units: bool, recursive: bool) -> None:
    """List folders, sorted by name."""

    def show(found: list[tuple[str, str, Info]]) -> None:
        sizes = [human(info.size) if in_units else str(info.size) for _, _, info in found]
        width = max(map(len, sizes), default=0)
        for (name, shown, info), size in zip(found, sizes):
            moment = time.strftime("%Y-%m-%d %H:%M", time.gmtime(info.mtime))
            detail = f"{info.kind[0]} {size:>{width}} {moment} " if long else ""
            report.say(f"{detail}{shown}{'/' * info.is_directory}", **described(name, info))

    def entries(place: Place) -> list[Entry]:
        found = list(trees.remote(place.client.files, place.ref, depth=1))
        for entry in found:
            if entry.error:
                report.failure(place.name(entry.below), entry.error)
        return [entry for entry in found if entry.info and not entry.error]

    def folder(place: Place, titled: bool) -> None:
        found = entries(place)
        if titled and not report.as_json:
            report.say(f"{place}:")
        show([(place.name(entry.below), entry.below, entry.info) for entry in found if entry.info])
        for entry in found:
            if recursive and entry.kind == trees.FOLDER:
                _each(report, place / entry.below, lambda below: folder(below, titled=True))

    def one(place: Place) -> None:
        info = place.client.files.stat(place.ref)
        if info.is_directory:
            folder(place, titled=recursive or len(names) > 1)
        else:
            show([(str(place), str(place), info)])

    for name in names:
        _each(report, places.at(name), one)


@click.command(context_settings=HELP)
@NAMES
@click.option("-s", "--summarize", is_flag=True, help="Only the sum for each name.")
@HUMAN
@on_places
def du(places: Places, report: Report, names: tuple[str, ...], summarize: bool, in_units: bool) -> None:
    """Add up the sizes of files, for each folder with all that is below."""

    def one(place: Place) -> None:
        sums: dict[str, list[int]] = {"": [0, 0]}
        for entry in walk(report, place):
            if entry.kind == trees.FOLDER and not summarize:
                sums[entry.below] = [0, 0]
            elif entry.kind == trees.FILE:
                for folder in _above(entry.below) if not summarize else ("",):
                    sums[folder][0] += entry.size
                    sums[folder][1] += 1
        for below, (size, files) in sums.items():
            shown = human(size) if in_units else str(size)
            report.say(f"{shown}\t{place.name(below)}", name=place.name(below), size=size, files=files)

    for name in names:
        _each(report, places.at(name), one)


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Read 12h, or a date and perhaps a time, in UTC unless it says otherwise."""
    if value is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        return time.time() - (times.seconds(ctx, param, value) or 0)
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.timezone.utc)).timestamp()


@click.command()
@NAMES
@click.option("--name", "pattern", metavar="PATTERN", help="Names like this, such as '*.root'.")
@click.option("--type", "kind", type=click.Choice(list(KINDS)), help="Files or folders (directories) only.")
@click.option(
    "--newer",
    metavar="TIME",
    callback=_moment,
    help="Changed in the last 12h or 30d, or since a date such as 2026-01-31.",
)
@click.option("--size", "fits", metavar="[+-]N[KMGT]", callback=condition, help="More (+), less (-) or exactly so big.")
@on_places
def find(places: Places, report: Report, names: tuple[str, ...], **wanted: Any) -> None:
    """Name what is below folders and fits."""
    tests = _tests(**wanted)

    def one(place: Place) -> None:
        for entry in walk(report, place):
            if entry.info and all(test(entry.info) for test in tests):
                name = place.name(entry.below)
                report.say(name, **described(name, entry.info))

    for name in names:
        _each(report, places.at(name), one)


def _tests(
    pattern: str | None, kind: str | None, newer: float | None, fits: Callable[[int], bool] | None
) -> list[Callable[[Info], bool]]:
    tests: list[Callable[[Info], bool]] = []
    if pattern is not None:
        tests.append(lambda info: fnmatch.fnmatchcase(info.name, pattern))
    if kind is not None:
        tests.append(lambda info: info.kind == KINDS[kind])
    if newer is not None:
        tests.append(lambda info: info.mtime >= newer)
    if fits is not None:
        tests.append(lambda info: info.is_file and fits(info.size))
    return tests


def walk(report: Report, place: Place) -> Iterator[Entry]:
    """All below a folder, or a file itself; what cannot be listed is told."""
    info = place.client.files.stat(place.ref)
    if not info.is_directory:
        yield trees.Entry("", info.kind, info.size, info)
        return
    for entry in trees.remote(place.client.files, place.ref):
        if entry.error:
            report.failure(place.name(entry.below), entry.error)
        else:
            yield entry


def _above(below: str) -> Iterator[str]:
    """The folders that a path lies in, from the top, which is empty."""
    parts = below.split("/")
    for depth in range(len(parts)):
        yield "/".join(parts[:depth])


def _each(report: Report, place: Place, act: Callable[[Place], None]) -> None:
    """A name that fails does not stop the next."""
    try:
        act(place)
    except Cs3Error as error:
        report.failure(str(place), error)
