"""`rucio-cs3 cp`: up, down, and from site to site."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

import click

from rucio_cs3.cli.bars import bar
from rucio_cs3.cli.completion import remote_names
from rucio_cs3.cli.inspect import AT_ONCE
from rucio_cs3.cli.place import Place
from rucio_cs3.cli.plan import Plan, refuse_local, refuse_twins
from rucio_cs3.cli.report import Tally, on_places, told, typed
from rucio_cs3.cli.sizes import human
from rucio_cs3.config import VERIFY_MODES
from rucio_cs3.errors import Cs3Error, LocalFileError, NotAuthenticated, StorageFull, Unavailable
from rucio_cs3.transfer import bulk, trees
from rucio_cs3.transfer.crew import DONE, FAILED, NOT_BEGUN, SKIPPED, STOPPED
from rucio_cs3.transfer.ends import Copied
from rucio_cs3.transfer.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.cli.place import AnyPlace, Places
    from rucio_cs3.cli.report import Report
    from rucio_cs3.transfer.bulk import Copy
    from rucio_cs3.transfer.crew import Result, Run
    from rucio_cs3.transfer.ends import Local

HOPELESS = (NotAuthenticated, Unavailable, StorageFull)  # what the next file will meet as well
IN_VAIN = 20  # such failures one after the other; more of them lock accounts, and keep everybody waiting


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="SOURCE... TARGET", shell_complete=remote_names)
@click.option("-r", "--recursive", is_flag=True, help="Folders, with all that is in them.")
@click.option(
    "-L", "--follow", is_flag=True, help="Copy what symbolic links in folders lead to, instead of skipping them."
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@AT_ONCE
@click.option(
    "--journal", "journal_file", metavar="FILE", help="Write down what is done, and go on from there next time."
)
@click.option("--no-check", is_flag=True, help="Trust the journal, and do not look whether what it says is still so.")
@click.option("--verify", type=click.Choice(VERIFY_MODES), help="How uploads are verified, instead of the setting.")
@click.option("--dry-run", is_flag=True, help="Only say what would be copied.")
@on_places
def cp(
    places: Places,
    report: Report,
    names: tuple[str, ...],
    recursive: bool,
    follow: bool,
    journal_file: str | None,
    dry_run: bool,
    **options: Any,
) -> None:
    """Copy files and folders. One side or both are at a site; - is stdin or stdout.

    A file appears under its name whole and verified, or not at all. TARGET is the new name; when it ends in a slash,
    or there are several sources, they go into it under their own names.
    """
    *sources, target = [places.any(name) for name in names]
    if not sources:
        raise click.UsageError("give a source and a target")
    if target is None or None in sources:
        _stream(report, sources, target, overwrite=options["overwrite"])
        return
    tops: Any = sources
    refuse_local(tops, target)
    refuse_twins(tops)
    plan = Plan(tops, target, recursive=recursive, follow=follow, journal=journal_file)
    if dry_run:
        for item in plan:
            _say_planned(report, item)
        return
    with contextlib.ExitStack() as stack:
        if not report.as_json:
            stack.enter_context(_heard(report))
        journal = stack.enter_context(_journal(journal_file, tops, target)) if journal_file else None
        progress = stack.enter_context(bar(wanted=not report.as_json))
        run = stack.enter_context(
            bulk.copy(
                plan,
                overwrite=options["overwrite"],
                jobs=options["jobs"],
                journal=journal,
                check=not options["no_check"],
                progress=progress,
            )
        )
        _follow(report, run, plan, quiet=progress is not None, resumable=bool(journal_file))


@contextlib.contextmanager
def _heard(report: Report) -> Iterator[None]:
    """Let people hear what transfers have to tell, such as that one goes on where it was cut."""
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: report.aside(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("rucio_cs3.transfer")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def _journal(file: str, sources: list[Any], target: Any) -> Journal:
    return Journal(file, {"sources": [_absolute(source) for source in sources], "target": _absolute(target)})


def _absolute(place: Place | Local) -> str:
    return str(place) if isinstance(place, Place) else place.place


def _follow(report: Report, run: Run, plan: Plan, *, quiet: bool, resumable: bool) -> None:
    """Say what comes of each item, and in the end of all."""
    tally, began, in_vain = Tally(), time.monotonic(), 0

    def take(result: Result) -> None:
        if result.item.kind != trees.FOLDER or result.outcome not in {DONE, STOPPED}:
            tally.add(result)
        _say(report, result, quiet=quiet)

    def end() -> str:
        """Now, and say what remains."""
        stopped = run.stop()
        for result in stopped:
            if result.note != NOT_BEGUN:
                take(result)
        if plan.one:
            _summarise(report, tally, began, left=0)
            return _about_one(plan.one, stopped)
        left, known = plan.left()
        left += sum(result.note == NOT_BEGUN and result.item.kind != trees.FOLDER for result in stopped)
        _summarise(report, tally, began, left=left)
        more = f"{left}{'' if known else ' or more'} not begun"
        return f"{tally.text(time.monotonic() - began)}; {more}. To go on: {_again(resumable=resumable)}"

    try:
        for result in run:
            take(result)
            in_vain = in_vain + 1 if isinstance(result.error, HOPELESS) else 0
            if in_vain >= IN_VAIN:
                report.aside(f"Given up, because nothing gets through: {end()}")
                return
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Interrupted: {end()}") from None
    _summarise(report, tally, began)
    if not report.as_json and sum(tally.counts.values()) != 1:
        report.aside(tally.text(time.monotonic() - began))


def _summarise(report: Report, tally: Tally, began: float, **more: int) -> None:
    if report.as_json:
        seconds = round(time.monotonic() - began, 3)
        report.say("", outcome="summary", **tally.counts, bytes=tally.bytes, seconds=seconds, **more)


def _about_one(item: Copy, stopped: list[Result]) -> str:
    """What has become of the only file, which nobody needs a journal for."""
    if any(result.outcome == DONE for result in stopped):
        return f"{item.target} is there, and whole"
    hint = next((result.error.hint for result in stopped if isinstance(result.error, Cs3Error)), "")
    return f"{item.target} is as it was before; {hint or 'run it again'}: {_again(resumable=True)}"


def _again(*, resumable: bool) -> str:
    return typed(*([] if resumable else ["--journal", "FILE"]))


def _say(report: Report, result: Result, *, quiet: bool) -> None:
    item: Copy = result.item
    keys: dict[str, Any] = {
        "source": str(item.source),
        "target": str(item.target),
        "kind": item.kind,
        "outcome": result.outcome,
        "seconds": round(result.seconds, 3),
    }
    if result.outcome == FAILED and result.error:
        report.failed += 1
        report.hint(result.error)
        report.say("", **keys, **told(result.error))
        report.aside(f"Error: {result.error}")
    elif result.outcome == SKIPPED:
        report.say("", **keys, note=result.note)
        if result.note != bulk.DONE_BEFORE:
            report.aside(f"skipped {item.source}: {result.note}")
    elif result.outcome == STOPPED:
        report.say("", **keys)
    elif isinstance(result.value, Copied):
        text = "" if quiet else f"{item.source} -> {item.target}  {human(result.size)}"
        report.say(text, **keys, size=result.size, checksums=dict(result.value.checksums))
    else:
        report.say("", **keys)


def _say_planned(report: Report, item: Copy) -> None:
    source, target = str(item.source), str(item.target)
    if item.error:
        report.failure(source, item.error, target=target)
    elif item.kind in {trees.FILE, trees.FOLDER}:
        slash = "/" * (item.kind == trees.FOLDER)
        keys = {"source": source, "target": target, "kind": item.kind, "outcome": "planned", "size": item.size}
        report.say(f"{source}{slash} -> {target}{slash}", **keys)
    else:
        report.aside(f"would skip {source}: it is a {item.kind}")


def _stream(report: Report, sources: list[AnyPlace], target: AnyPlace, *, overwrite: bool) -> None:
    """From stdin or to stdout, which is one file."""
    [source, *others] = sources
    place = source if target is None else target
    if others or not isinstance(place, Place) or (source is None and target is None):
        raise click.UsageError("- is for one file: cp - TARGET, or cp SOURCE -, where the other is at a site")
    if target is None:
        if report.as_json:
            raise click.UsageError("--json and the file would be mixed on stdout")
        place.client.download(place.ref, _open(sys.stdout, "stdout").buffer)
        return
    if place.folder:
        raise click.UsageError(f"what comes from stdin has no name to have in {place}: name the new file")
    sent = place.client.upload(_open(sys.stdin, "stdin").buffer, place.ref, overwrite=overwrite, root=place.root)
    keys = {"source": "-", "target": str(place), "kind": trees.FILE, "outcome": DONE, "size": sent.size}
    report.say(f"- -> {place}  {human(sent.size)}", **keys, checksums=dict(sent.checksums))


def _open(stream: TextIO | None, name: str) -> TextIO:
    if stream is None:
        raise LocalFileError("it is closed", path=name, hint="give it, or name a file")
    return stream
