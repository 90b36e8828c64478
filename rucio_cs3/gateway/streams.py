"""What faults do to a body on its way, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rucio_cs3.gateway.faults import Fault, Faults, Struck

    Blocks = Iterator[bytes]

TICKS = 20  # pieces that a slow body comes in, per second


class BodyCut(Exception):
    """The connection ended before the body did."""


class Dropped(BodyCut):
    """It is we who end it, with a reset or without."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__("reset" if reset else "closed")
        self.reset = reset


def disturb(blocks: Blocks, struck: Struck) -> Blocks:
    """The body as the faults leave it. Raises Dropped where one of them ends the connection."""
    for fault in struck:
        if fault.kind in FILTERS:
            blocks = FILTERS[fault.kind](blocks, fault, struck.faults)
    return blocks


def told_length(size: int, struck: Struck) -> int:
    """The Content-Length of a disturbed body: honest about a short or long one, but not about a cut."""
    short, long = struck.get("short"), struck.get("long")
    return (min(size, short.after) if short else size) + (long.after if long else 0)


def until(blocks: Blocks, count: int) -> Blocks:
    """The first `count` bytes."""
    for block in blocks:
        if len(block) >= count:
            yield block[:count]
            return
        count -= len(block)
        yield block


def _cut(blocks: Blocks, fault: Fault, _: Faults) -> Blocks:
    yield from until(blocks, fault.after)
    raise Dropped(reset=fault.kind == "reset")


def _short(blocks: Blocks, fault: Fault, _: Faults) -> Blocks:
    yield from until(blocks, fault.after)
    for _block in blocks:  # the rest is taken and forgotten
        pass


def _long(blocks: Blocks, fault: Fault, _: Faults) -> Blocks:
    yield from blocks
    yield bytes(fault.after)


def _stall(blocks: Blocks, fault: Fault, faults: Faults) -> Blocks:
    seen = 0
    waited = not fault.after  # then it was at the very beginning
    for block in blocks:
        if not waited and seen + len(block) > fault.after:
            yield block[: fault.after - seen]
            faults.wait(fault.seconds)
            waited = True
            yield block[fault.after - seen :]
        else:
            yield block
        seen += len(block)


def _slow(blocks: Blocks, fault: Fault, faults: Faults) -> Blocks:
    piece = max(fault.rate // TICKS, 1)
    for block in blocks:
        for start in range(0, len(block), piece):
            faults.wait(piece / fault.rate)
            yield block[start : start + piece]


def _wrong_byte(blocks: Blocks, fault: Fault, _: Faults) -> Blocks:
    seen = 0
    for block in blocks:
        index = fault.after - seen
        seen += len(block)
        if 0 <= index < len(block):
            yield block[:index] + bytes([block[index] ^ 0xFF]) + block[index + 1 :]
        else:
            yield block


FILTERS: dict[str, Callable[[Blocks, Fault, Faults], Blocks]] = {
    "cut": _cut,
    "reset": _cut,
    "short": _short,
    "long": _long,
    "stall": _stall,
    "slow": _slow,
    "wrong_byte": _wrong_byte,
}
