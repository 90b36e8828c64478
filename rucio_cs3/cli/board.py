"""What a mover is at, as tables that fit a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rucio_cs3.cli.report import printable
from rucio_cs3.cli.sizes import human

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console, RenderableType

WIDE = 100  # columns, from which on everything has a place
LEVELS = "▁▂▃▄▅▆▇█"
BAR = 16
FURNITURE = 3  # lines of a table that are no rows: an empty one, the head, and how many are left out


class Column(NamedTuple):
    title: str
    show: Callable[[Any], RenderableType]
    wide: bool = False
    """left out where there is no place for it"""
    fixed: bool = False
    """keeps its width where others have to give way"""
    justify: Literal["left", "right"] = "left"


def board(told: dict[str, Any], console: Console, *, fit: bool = False) -> Group:
    """What `/status.json` told; with `fit` no higher than the screen."""
    parts = [part for part in (_banned(told), _running(told), _links(told), _Failures(told["failures"])) if part.rows]
    head = [_title(told), _queue(told), *_throughput(told, console)]
    shares: Sequence[int | None] = [None] * len(parts)
    if fit:
        taken = sum(len(console.render_lines(line)) for line in head) + FURNITURE * len(parts) + 1
        shares = _shares([part.lines(console) for part in parts], console.height - taken)
    tables = [part.drawn(console, share) for part, share in zip(parts, shares)]
    return Group(*head, *(line for table in tables for line in ("", table)))


def _shares(wanted: Sequence[int], places: int) -> list[int]:
    """Equal ones, but that what one does not need goes to others."""
    shares = [min(1, each) for each in wanted]
    while sum(shares) < min(places, sum(wanted)):
        least = min(range(len(wanted)), key=lambda n: (shares[n] >= wanted[n], shares[n]))
        shares[least] += 1
    return shares


class _Part(NamedTuple):
    columns: Sequence[Column]
    """the first has the title of all"""
    rows: Sequence[Any]

    def lines(self, _: Console) -> int:
        """That all rows take, where each has one."""
        return len(self.rows)

    def drawn(self, console: Console, most: int | None) -> RenderableType:
        """With `most` rows, each of one line, or with all."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold underline")
        for column in self._columns(console):
            table.add_column(
                _on_a_line(Text(column.title), most),
                justify=column.justify,
                no_wrap=column.fixed,
                overflow="fold",
            )
        for row in self.rows[:most]:
            table.add_row(*(_on_a_line(column.show(row), most) for column in self._columns(console)))
        if most is not None and len(self.rows) > most:
            table.caption, table.caption_justify = f"and {len(self.rows) - most:,} more", "left"
        return table

    def _columns(self, console: Console) -> list[Column]:
        return [column for column in self.columns if not column.wide or console.width >= WIDE]


class _Failures(NamedTuple):
    """Their reasons are long, and no use in part: each has as many lines as it needs."""

    rows: Sequence[Any]

    def lines(self, console: Console) -> int:
        return sum(len(self._wrapped(console, failure)) for failure in self.rows)

    def drawn(self, console: Console, most: int | None) -> RenderableType:
        shown: list[Text] = []
        for n, failure in enumerate(self.rows):
            wrapped = self._wrapped(console, failure)
            if most is not None and shown and len(shown) + len(wrapped) > most:
                more = Text(f"and {len(self.rows) - n:,} more", style="italic dim")
                break
            shown += wrapped[:most]
        else:
            more = None
        return Group(Text("Last failures", style="bold underline"), *shown, *([more] if more else []))

    @staticmethod
    def _wrapped(console: Console, failure: dict[str, Any]) -> list[Text]:
        when, reason = failure["time"].replace("T", " "), printable(failure["reason"] or "")
        said = Text.assemble((f"{when} UTC  job {printable(failure['job'])}", "dim"), f"\n{reason}")
        return list(said.wrap(console, console.width, overflow="fold"))


def _on_a_line(cell: RenderableType, most: int | None) -> RenderableType:
    if most is None or not isinstance(cell, Text):
        return cell
    cell.no_wrap, cell.overflow = True, "ellipsis"
    return cell


def _title(told: dict[str, Any]) -> Text:
    return Text.assemble(("Mover ", "bold"), printable(told["mover"]), f"  {told['time'].replace('T', ' ')} UTC")


def _queue(told: dict[str, Any]) -> Text:
    colours = {"ACTIVE": "cyan", "FINISHED": "green", "FAILED": "red"}
    counts = [
        Text.assemble((state, colours.get(state, "")), f" {count:,}") for state, count in told["files"].items() if count
    ]
    return Text("   ").join(counts) if counts else Text("No files", style="dim")


def _throughput(told: dict[str, Any], console: Console) -> list[Text]:
    flow = told["flow"]
    rates, most = flow["rates"], max(flow["rates"])
    if not (flow["bytes"] or most):
        return []
    words = f"{human(rates[-1])}/s now, {human(most)}/s at most, {human(flow['bytes'])} copied in the last hour"
    if console.options.ascii_only or not most:
        return [Text(words)]
    across = max(min(console.width, 120) // 2, 1)
    lines = [rates[n * len(rates) // across : (n + 1) * len(rates) // across] for n in range(across)]
    levels = (round(max(some, default=0) / most * (len(LEVELS) - 1)) for some in lines)
    return [Text("".join(LEVELS[level] for level in levels), style="cyan"), Text(words)]


def _banned(told: dict[str, Any]) -> _Part:
    columns = (
        Column("Banned sites", lambda ban: _text(ban["se"])),
        Column("since (UTC)", lambda ban: _time(ban["addition_time"]), wide=True, fixed=True),
        Column("why", lambda ban: _text(ban["message"] or "")),
    )
    return _Part(columns, told["banned"])


def _running(told: dict[str, Any]) -> _Part:
    columns = (
        Column("Copies that run", lambda copy: _text(_last(copy["file"]))),
        Column("from", lambda copy: _text(copy["source"]), wide=True),
        Column("to", lambda copy: _text(copy["destination"]), wide=True),
        Column("", _bar, wide=True, fixed=True),
        Column("bytes", lambda copy: _unless_none(copy["bytes"], human), fixed=True, justify="right"),
        Column("of", lambda copy: "?" if copy["size"] is None else human(copy["size"]), fixed=True, justify="right"),
        Column("rate", _rate, wide=True, fixed=True, justify="right"),
        Column("time", lambda copy: f"{copy['seconds']:.0f} s", fixed=True, justify="right"),
    )
    return _Part(columns, told["running"])


def _links(told: dict[str, Any]) -> _Part:
    columns = (
        Column("Links from", lambda link: _text(link["source"])),
        Column("to", lambda link: _text(link["destination"])),
        Column("active", lambda link: _unless_none(link["active"], "{:,}".format), fixed=True, justify="right"),
        Column("waiting", lambda link: _unless_none(link["waiting"], "{:,}".format), fixed=True, justify="right"),
        Column("rate", lambda link: _unless_none(link["rate"], _per_second), fixed=True, justify="right"),
    )
    return _Part(columns, told["links"])


def _bar(copy: dict[str, Any]) -> RenderableType:
    return ProgressBar(copy["size"], copy["bytes"], width=BAR) if copy["size"] else ""


def _rate(copy: dict[str, Any]) -> str:
    return _unless_none(copy["bytes"] / max(copy["seconds"], 0.1), _per_second)


def _per_second(count: float) -> str:
    return f"{human(count)}/s"


def _unless_none(count: float, show: Callable[[float], str]) -> str:
    return show(count) if count else ""


def _last(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


def _time(utc: str) -> Text:
    return Text(utc.replace("T", " "))


def _text(value: Any) -> Text:
    """Without markup: a file may be named [bold]."""
    return Text(printable(str(value)))
