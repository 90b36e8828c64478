"""The picture: speeds side by side, and how time and memory grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.cases import MIB
from tests.bench.peers import PEERS

if TYPE_CHECKING:
    from pathlib import Path


def write(found: dict, path: Path) -> None:
    """Does nothing but say so where matplotlib is not installed."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra
    except ImportError:
        print("no picture: pip install '.[bench]'")
        return
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    rows = [row for row in found["medians"] if "bad" not in row]
    bars = list(dict.fromkeys((row["case"], row["verb"]) for row in rows if not row["group"] and row["peer"] in PEERS))
    growing = [group for group in ("size", "count") if any(row["group"] == group for row in rows)]
    cells = len(bars) + 2 * len(growing)
    if not cells:
        return
    columns = 4
    lines = -(-cells // columns)
    figure, grid = plt.subplots(lines, columns, figsize=(4.2 * columns, 2.7 * lines), squeeze=False)
    axes = iter(grid.flat)
    for case, verb in bars:
        _bars(next(axes), f"{case}: {verb}", [row for row in rows if (row["case"], row["verb"]) == (case, verb)])
    for group in growing:
        some = [row for row in rows if row["group"] == group]
        _curves(next(axes), some, group, "seconds")
        _curves(next(axes), some, group, "peak_mib")
    for rest in axes:
        rest.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _bars(axis, title: str, rows: list[dict]) -> None:
    rows = sorted(rows, key=lambda row: row["seconds"], reverse=True)
    one_big = rows[0]["count"] == 1 and rows[0]["bytes"] >= MIB
    speeds = [(row["bytes"] / MIB if one_big else row["count"]) / row["seconds"] for row in rows]
    colours = ["tab:orange" if row["peer"] in ("client", "plugin") else "tab:gray" for row in rows]
    bars = axis.barh([row["peer"] for row in rows], speeds, color=colours)
    axis.bar_label(bars, fmt=_figure, padding=2, fontsize=7)
    axis.margins(x=0.15)
    axis.set_title(title, fontsize=9)
    axis.set_xlabel("MiB/s" if one_big else "files/s", fontsize=8)
    axis.tick_params(labelsize=8)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _curves(axis, rows: list[dict], group: str, what: str) -> None:
    of = "bytes" if group == "size" else "count"
    for peer, verb in dict.fromkeys((row["peer"], row["verb"]) for row in rows):
        points = sorted((row[of], row[what]) for row in rows if (row["peer"], row["verb"]) == (peer, verb))
        axis.plot(*zip(*points), marker=".", label=f"{peer} {verb}")
    axis.set_xscale("log", base=2 if group == "size" else 10)
    axis.set_yscale("log" if what == "seconds" else "linear")
    axis.set_title(f"{what.replace('peak_mib', 'peak MiB')} by {group}", fontsize=9)
    axis.set_xlabel("bytes" if group == "size" else "files of 4 KiB", fontsize=8)
    axis.legend(fontsize=6)
    axis.tick_params(labelsize=8)
