"""What docs/errors.md says of each error that the code knows. `python -m tests.docs.errors` writes it into the page."""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING

from rucio_cs3 import errors
from rucio_cs3.errors import CS3_STATUS, CS3_WORDS, HTTP_STATUS, Cs3Error
from rucio_cs3.mover.reasons import WORDS
from rucio_cs3.protocol import RUCIO_EXCEPTIONS
from rucio_cs3.transfer.retry import DOWNLOAD, UPLOAD, passes
from tests.docs.blocks import TOP

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = TOP / "docs" / "errors.md"
SECTION = re.compile(r"^### (\w+)\n\n((?:- .*\n(?:  .*\n)*)*)\n?", re.MULTILINE)


def kinds(kind: type[Cs3Error] = Cs3Error) -> Iterator[type[Cs3Error]]:
    """All of errors.py, by their codes."""
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from kinds(below)


def facts(kind: type[Cs3Error]) -> str:
    """The list under its heading."""
    bases = [f"`{base.__name__}`" for base in kind.__bases__ if base is not Exception]
    article = "an" if bases and bases[0].strip("`")[0] in "AEIOU" else "a"
    lines = [f"- Python: `{kind.__name__}`{f', {article} ' if bases else ''}{' and '.join(bases)}"]
    if comes_from := [*_statuses(kind), *(f'the words "{words}"' for words, ours in CS3_WORDS.items() if ours is kind)]:
        lines.append(f"- comes from {', '.join(comes_from)}")
    if again := [name for name, of in (("downloads", DOWNLOAD), ("uploads", UPLOAD)) if passes(kind("x"), of)]:
        lines.append(f"- tried again: {' and '.join(again)}")
    theirs = next(theirs for ours, theirs in RUCIO_EXCEPTIONS if issubclass(kind, ours))
    number, words = next((number, words) for ours, number, words in WORDS if issubclass(kind, ours))
    lines.append(f"- Rucio sees `{theirs.__name__}`; the mover says `[{number}] {words}` ({errno.errorcode[number]})")
    return "".join(f"{line}\n" for line in lines)


def _statuses(kind: type[Cs3Error]) -> list[str]:
    cs3 = [f"`{status}`" for status, ours in CS3_STATUS.items() if ours is kind]
    http = [f"HTTP {status}" for status, ours in HTTP_STATUS.items() if ours is kind]
    return [*cs3, *http]


CODES = {kind.code: kind for kind in kinds()}


def written(page: str) -> dict[str, str]:
    """What the page says now."""
    return dict(SECTION.findall(page))


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(SECTION.sub(lambda found: f"### {found[1]}\n\n{facts(CODES[found[1]])}\n", text), encoding="utf-8")
