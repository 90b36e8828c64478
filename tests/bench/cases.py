"""What is measured: one table."""

from __future__ import annotations

from dataclasses import dataclass, field

MIB = 1 << 20
EVERYBODY = ("client", "plugin", "curl", "webdav", "cs3client", "rclone", "davix", "gfal2")
QUEUE = "mover, queue"
WIDTHS = (5, 1000, 20_000)
SMALL = ("client", "plugin", "bare", "curl", "webdav", "cs3client", "rclone", "davix", "gfal2")


@dataclass(frozen=True)
class Case:
    """`count` files of `size` bytes, moved by each of `peers`: up, stat, down, delete, as far as `verbs` says so.

    `of` is what is measured: the client's `files`, the `mover`, its `queue`, or a `dump` of a tree with `wide` files in
    each folder.
    """

    name: str
    size: int
    count: int = 1
    threads: int = 1
    verbs: tuple[str, ...] = ("up", "down")
    peers: tuple[str, ...] = EVERYBODY
    site: str = "plain"  # or tls, or long: 50 ms away
    rounds: int | None = None
    group: str = field(default="")
    of: str = "files"
    wide: int = 0


def table(big: int, small: int, far: int, jobs: int, entries: int, sizes: list[int], counts: list[int]) -> list[Case]:
    """The cases, with the sizes that were asked for."""
    every = ("up", "stat", "down", "delete")
    growth = ("client", "curl")
    return [
        Case("big", big),
        Case("big, TLS", big, site="tls"),
        Case("small", 4096, small, verbs=every, peers=SMALL),
        Case("small, 16 threads", 4096, small, threads=16, verbs=every, peers=SMALL),
        Case("long link", far, site="long"),
        Case("long link, small", 4096, min(small, 20), site="long", peers=SMALL, rounds=1),
        *(Case(f"size {human(size)}", size, peers=growth, rounds=1, group="size") for size in sizes),
        *(
            Case(f"count {count}", 4096, count, threads=16, peers=growth, rounds=1, group="count", verbs=every)
            for count in counts
        ),
        Case("mover, big", big, verbs=("copy",), peers=("mover", "pipe"), of="mover"),
        Case("mover, small", 4096, small, verbs=("copy",), peers=("mover",), site="embedded", of="mover"),
        Case(QUEUE, 0, jobs, peers=("mover",), of="queue"),
        *(
            Case(f"dump, {wide} a folder", 0, entries, verbs=("dump",), peers=("dump",), of="dump", wide=wide)
            for wide in WIDTHS
        ),
    ]


def human(size: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024 or size % 1024:
            return f"{size} {unit}"
        size //= 1024
    return f"{size} GiB"
