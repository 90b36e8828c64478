"""What file commands say: lines for people, or JSON objects, one a line, and bars where there is a terminal."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shlex
import signal
import sys
from typing import TYPE_CHECKING, Any, Callable, TypeVar

import click

from rucio_cs3 import deadline
from rucio_cs3.cli.place import Places
from rucio_cs3.cli.rses import rse_names
from rucio_cs3.cli.sizes import human
from rucio_cs3.errors import Cs3Error, LocalTargetError
from rucio_cs3.transfer.crew import DONE, FAILED, SKIPPED, STOPPED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rucio_cs3.transfer.crew import Result, Run, Totals

INTERRUPTED = 130
UNREAD = 141  # as a shell has it: whoever reads the output has enough, and nobody is told
SHOWN = 10  # names of what remains
LOOK = 1.0  # seconds for finding out what that is
Command = TypeVar("Command", bound=Callable[..., Any])


class Report:
    """Failures go to stderr and make the exit code 1; with JSON they are objects like all others."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.failed = 0
        self.hint: Callable[[Exception], None] = lambda _: None
        """adds what only the command can know to an error"""

    def say(self, text: str, **keys: Any) -> None:
        """One thing: `text` for people, `keys` for programs."""
        if self.as_json:
            click.echo(json.dumps(keys))
        elif text:
            click.echo(printable(text))

    def failure(self, name: str, error: Exception, **keys: Any) -> None:
        self.failed += 1
        self.hint(error)
        if self.as_json:
            self.say("", name=name, outcome=FAILED, **told(error), **keys)
        else:
            self.aside(f"Error: {error}")

    def aside(self, text: str) -> None:
        """To people only, beside the output."""
        if not self.as_json:
            click.echo(printable(text), err=True)

    def take(self, run: Run, name: Callable[[Any], str], show: Callable[[Result], None]) -> None:
        """All results of a run: `show` those that are done."""

        def tell(result: Result) -> None:
            if result.error:
                self.failure(name(result.item), result.error)
            elif result.outcome == DONE:
                show(result)

        with run:
            try:
                for result in run:
                    tell(result)
            except KeyboardInterrupt:
                left = []
                for result in run.stop():
                    if result.outcome == STOPPED:
                        left.append(name(result.item))
                    else:
                        tell(result)
                with contextlib.suppress(Cs3Error), deadline.within(LOOK):
                    left += map(name, _in_time(run.items))
                raise KeyboardInterrupt(_interrupted(run.totals, left)) from None


def _in_time(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        deadline.check()
        yield item


def _interrupted(totals: Totals, left: list[str]) -> str:
    shown = ", ".join(left[:SHOWN]) + ", …" * (len(left) > SHOWN)
    return f"Interrupted: {totals.done} done, {totals.failed} failed; {len(left)} not done: {shown}"


class Tally:
    """For the summary of a command that changes many things."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys((DONE, SKIPPED, FAILED, STOPPED), 0)
        self.bytes = 0

    def add(self, result: Result) -> None:
        self.counts[result.outcome] += 1
        self.bytes += result.size

    def text(self, seconds: float) -> str:
        parts = [f"{count} {outcome}" for outcome, count in self.counts.items() if count or outcome == DONE]
        return f"{', '.join(parts)}: {human(self.bytes)} in {seconds:.1f} s"


def told(error: Exception) -> dict[str, str]:
    """An error for programs."""
    if isinstance(error, Cs3Error):
        return {"error": error.code, "message": str(error)}
    return {"error": "error", "message": str(error)}


def typed(*more: str) -> str:
    """The command as it was typed, and more of it."""
    return shlex.join(["rucio-cs3", *sys.argv[1:], *more])


def printable(text: str) -> str:
    """Names are the site's word, and a terminal obeys control characters."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else ascii(letter)[1:-1] for letter in text)


def on_places(command: Command) -> Command:
    """For a file command: hand it `places` and a `report`, and end with the exit code that the report says."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
    @click.option("--rse", metavar="RSE", shell_complete=rse_names, help="The RSE whose addresses davs:// names are.")
    @click.option("--door", envvar="RUCIO_CS3_DOOR", metavar="URL=PATH", help="What davs:// names mean without an RSE.")
    @functools.wraps(command)
    def wrapper(as_json: bool, rse: str | None, door: str | None, **options: Any) -> None:
        report = Report(as_json=as_json)
        try:
            with (
                terminated_is_interrupted(),
                Places(rse, door, options.pop("verify", None)) as places,
                _telling(report),
            ):
                report.hint = places.hint
                places.refuse_strangers(options.get("names", ()))  # one name leads to one gateway
                command(places, report, **options)
        except KeyboardInterrupt as interrupt:
            report.aside(str(interrupt) or "Interrupted.")
            sys.exit(INTERRUPTED)
        with _telling(report):
            if sys.stdout:
                sys.stdout.flush()
        sys.exit(1 if report.failed else 0)

    return wrapper  # type: ignore[return-value]


@contextlib.contextmanager
def _telling(report: Report) -> Iterator[None]:
    """Failures of the output are said once, on stderr, and not again by Python when it ends with what is unwritten."""
    try:
        yield
    except (Cs3Error, OSError) as error:
        if isinstance(error.__cause__ if isinstance(error, LocalTargetError) else error, BrokenPipeError):
            _drop_output()
            sys.exit(UNREAD)
        if isinstance(error, Cs3Error):
            report.failure(error.path, error)
            return
        if not report.failed:
            click.echo(f"Error: {LocalTargetError.of(error, error.filename or 'the output')}", err=True)
        report.failed += 1
        _drop_output()


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def orderly(command: Command) -> Command:
    """For a command that cleans up after itself: Ctrl-C and SIGTERM let it, and it says how far it came."""

    @functools.wraps(command)
    def wrapper(*args: Any, **options: Any) -> Any:
        try:
            with terminated_is_interrupted():
                return command(*args, **options)
        except KeyboardInterrupt as interrupt:
            click.echo(printable(str(interrupt)) or "Interrupted.", err=True)
            sys.exit(INTERRUPTED)

    return wrapper  # type: ignore[return-value]


@contextlib.contextmanager
def terminated_is_interrupted() -> Any:
    """A batch system's SIGTERM, or the end of the terminal where nohup does not hide it, are as orderly as Ctrl-C."""
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)
