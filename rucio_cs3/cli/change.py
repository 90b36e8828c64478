"""`rucio-cs3 rm`, `mv` and `mkdir`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from rucio_cs3.cli.completion import remote_names
from rucio_cs3.cli.inspect import AT_ONCE
from rucio_cs3.cli.listing import NAMES
from rucio_cs3.cli.report import on_places, printable
from rucio_cs3.errors import Cs3Error, InvalidRequest, IsDirectory, NotFound
from rucio_cs3.transfer import bulk
from rucio_cs3.transfer.crew import Run

if TYPE_CHECKING:
    from rucio_cs3.cli.place import Place, Places
    from rucio_cs3.cli.report import Report
    from rucio_cs3.transfer.crew import Result


@click.command()
@NAMES
@click.option("-r", "--recursive", is_flag=True, help="Folders, and all that is in them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@AT_ONCE
@on_places
def rm(places: Places, report: Report, names: tuple[str, ...], recursive: bool, yes: bool, jobs: int) -> None:
    """Delete files, and with -r folders; on a terminal that asks first. A root folder is never deleted."""
    items = [places.at(name) for name in names]
    if recursive and not yes and sys.stdin and sys.stdin.isatty():
        shown = printable(", ".join(map(str, items)))
        click.confirm(f"Delete {shown} and all that is in there?", abort=True, err=True)

    def work(place: Place, _: object) -> None:
        _refuse_root(place)
        try:
            bulk.remove(place.client, place.ref, recursive=recursive)
        except IsDirectory as error:
            error.hint = "delete it with -r"
            raise

    def show(result: Result) -> None:
        report.say(f"deleted {result.item}", name=str(result.item), outcome=result.outcome)

    run = Run(items, work, jobs=jobs)
    report.take(run, str, show)
    if run.totals.failed and len(items) > 1:
        report.aside(f"{run.totals.done} deleted, {run.totals.failed} failed")


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="SOURCE... TARGET", shell_complete=remote_names)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@on_places
def mv(places: Places, report: Report, names: tuple[str, ...], overwrite: bool) -> None:
    """Rename, at one site. A TARGET that is a folder, or ends in a slash, is what it is moved into."""
    *sources, target = [places.at(name) for name in names]
    if not sources:
        raise click.UsageError("give a source and a target")
    into = len(sources) > 1 or _is_folder(target)
    for source in sources:
        new = target / source.path.rpartition("/")[2] if into else target
        try:
            _move(source, new, overwrite=overwrite)
        except Cs3Error as error:
            report.failure(str(source), error, target=str(new))
        else:
            report.say(f"{source} -> {new}", name=str(source), target=str(new), outcome="done")


@click.command()
@NAMES
@click.option("-p", "--parents", is_flag=True, help="With what is missing above; one that is there is all right.")
@on_places
def mkdir(places: Places, report: Report, names: tuple[str, ...], parents: bool) -> None:
    """Make folders."""
    for name in names:
        place = places.at(name)
        try:
            place.client.files.mkdir(place.ref, parents=parents, exist_ok=parents)
        except Cs3Error as error:
            report.failure(str(place), error)
        else:
            report.say(f"made {place}", name=str(place), outcome="done")


def _move(source: Place, new: Place, *, overwrite: bool) -> None:
    _refuse_root(source)
    if (source.client, source.base) != (new.client, new.base):
        raise InvalidRequest(
            f"it cannot be moved to {new}, which is named in another way or at another site",
            path=str(source),
            hint="name both alike, or copy it with cp and then remove it",
        )
    files = source.client.files
    if overwrite and files.stat(source.ref).is_directory and files.exists(new.ref):
        raise IsDirectory(f"a folder does not replace {new}", path=str(source), hint="remove that first")
    files.move(source.ref, new.ref, overwrite=overwrite)


def _refuse_root(place: Place) -> None:
    if not place.path:
        raise InvalidRequest("it is a root folder, which stays", path=str(place), hint="name what is in it")


def _is_folder(place: Place) -> bool:
    if place.folder:
        return True
    try:
        return place.client.files.stat(place.ref).is_directory
    except NotFound:
        return False
