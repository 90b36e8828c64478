"""`rucio-cs3 stat` and `checksum`: what the storage knows of files, and whether it is so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rucio_cs3.checksums import ALGORITHMS
from rucio_cs3.cli.listing import NAMES, described, walk
from rucio_cs3.cli.report import on_places
from rucio_cs3.cli.times import clock
from rucio_cs3.errors import Cs3Error, IsDirectory, WrongContent
from rucio_cs3.transfer import bulk, trees
from rucio_cs3.transfer.crew import JOBS, Run
from rucio_cs3.transfer.ends import Local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rucio_cs3.cli.place import Place, Places
    from rucio_cs3.cli.report import Report
    from rucio_cs3.transfer.crew import Result
    from rucio_cs3.transfer.ends import Remote

MOST_JOBS = 256
AT_ONCE = click.option(
    "--jobs", type=click.IntRange(1, MOST_JOBS), default=JOBS, show_default=True, help="How many at once."
)


@click.command()
@NAMES
@AT_ONCE
@on_places
def stat(places: Places, report: Report, names: tuple[str, ...], jobs: int) -> None:
    """Tell all that the storage says of files and folders."""

    def show(result: Result) -> None:
        keys = described(str(result.item), result.value)
        lines = [f"{key + ':':<11}{value}" for key, value in keys.items() if key not in {"mtime", "checksums"}]
        lines.append(f"changed:   {clock(result.value.mtime)}")
        lines += [f"{name + ':':<11}{value}" for name, value in sorted(keys["checksums"].items())]
        report.say("\n".join(lines), **keys)

    items = [places.at(name) for name in names]
    report.take(Run(items, lambda place, _: place.client.files.stat(place.ref), jobs=jobs), str, show)


@click.command()
@NAMES
@click.option("--algorithm", type=click.Choice(list(ALGORITHMS)), help="Which one; by default, what the storage tells.")
@click.option("--read", is_flag=True, help="Read the files and compute it, instead of asking the storage.")
@click.option("--against", metavar="FILE", type=click.Path(exists=True, dir_okay=False), help="Compare with this one.")
@click.option("-r", "--recursive", is_flag=True, help="All files below folders.")
@AT_ONCE
@on_places
def checksum(
    places: Places,
    report: Report,
    names: tuple[str, ...],
    algorithm: str | None,
    read: bool,
    against: str | None,
    recursive: bool,
    jobs: int,
) -> None:
    """Tell the checksums of files."""
    if against and (len(names) > 1 or recursive):
        raise click.UsageError("--against compares one file with one")

    def work(remote: Remote, _: Callable[[int, int], None]) -> dict[str, str]:
        try:
            found = bulk.checksum_of(remote, algorithm, read=read)
        except IsDirectory as error:
            error.hint = "for all files below it, give -r"
            raise
        if against:
            ours = Local(against).checksums(found)
            if ours != found:
                raise WrongContent(f"it is not the same as {against}", path=str(remote), hint="see both with stat")
        return found

    def show(result: Result) -> None:
        for name, value in sorted(result.value.items()):
            same = f" = {against}" if against else ""
            report.say(f"{name} {value}  {result.item}{same}", name=str(result.item), algorithm=name, checksum=value)

    items = (remote for name in names for remote in _files(report, places.at(name), recursive=recursive))
    report.take(Run(items, work, jobs=jobs), str, show)


def _files(report: Report, place: Place, *, recursive: bool) -> Iterator[Remote]:
    if not recursive:
        yield place.remote()
        return
    try:
        for entry in walk(report, place):
            if entry.kind == trees.FILE:
                yield place.remote(entry.below)
    except Cs3Error as error:
        report.failure(str(place), error)
