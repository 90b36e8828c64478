"""Versions of what we stand on that are known to be trouble: one table."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, NamedTuple

from rucio_cs3.checkup.case import asking_rucio
from rucio_cs3.checkup.model import FAIL, WARN, Finding, passed, skipped, warned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.checkup.case import Case
    from rucio_cs3.operate.catalogue import Catalogue

Version = tuple[int, ...]


class Known(NamedTuple):
    """Trouble with a package below a version, or from one on."""

    package: str
    outcome: str
    why: str
    below: Version = ()
    since: Version = ()

    def meets(self, found: Version) -> bool:
        return (not self.below or found < self.below) and (not self.since or found >= self.since)


KNOWN = (
    Known("cs3apis", WARN, "its ListContainer has no pages: large folders cannot be listed", below=(0, 2, 20260915)),
    Known("grpcio", FAIL, "cs3apis' own code does not load with it", below=(1, 62)),
    Known("protobuf", FAIL, "cs3apis' own code does not load with it", below=(4, 25)),
    Known("requests", WARN, "nobody has tried it", below=(2, 28)),
    Known("urllib3", FAIL, "nobody has tried it, and uploads depend on how it breaks off", below=(1, 26)),
    Known("rucio-clients", FAIL, "its protocol entries have no third_party_copy_read and _write", below=(35,)),
    Known("rucio-clients", WARN, "nobody has tried it yet: its scheme and plugin tables may differ", since=(42,)),
    Known("niquests", WARN, "it takes urllib3's place for the whole environment", since=(0,)),
)


def packages(_: Case) -> Iterator[Finding]:
    """Of this environment."""
    clean, seen = True, []
    for known in KNOWN:
        found = _installed(known.package)
        if found is None:
            continue
        seen.append(f"{known.package} {found}")
        if known.meets(numbers(found)):
            clean = False
            yield Finding(known.outcome, f"{known.package} {found}: {known.why}", f"pip install {_wanted(known)}")
    if clean:
        yield passed(", ".join(dict.fromkeys(seen)))


@asking_rucio
def server(_: Case, rucio: Catalogue) -> Iterator[Finding]:
    """Rucio's server, and the client here."""
    theirs, ours = rucio.version(), _installed("rucio-clients") or ""
    if numbers(theirs) < RUCIO:
        yield warned(f"Rucio's server is {theirs}: {RUCIO[0]} is the first that is known to work", "update it")
    elif numbers(theirs)[:1] != numbers(ours)[:1]:
        yield warned(f"Rucio's server is {theirs}, and the client {ours}", "have them of one major version")
    else:
        yield passed(f"Rucio's server is {theirs}, the client {ours}")


RUCIO: Version = (35,)

# What is known of the two lines of Reva, which no call tells apart: their root folders do.
FIRST = "Reva v3: it takes cut uploads for whole ones, and computes no checksums; the plugin looks itself"
SECOND = "Reva of oCIS and OpenCloud: its third-party copies leave empty files (docs/hazards.md, 19)"


def reva(case: Case) -> Iterator[Finding]:
    """By what a file of its looks like, as it does not tell."""
    info = case.probe.info if case.probe else None
    if info is None:
        yield skipped("no file of its was seen")
    elif not info.checksums:
        yield passed(f"like {FIRST}")
    elif case.wish.other:
        yield warned(f"like {SECOND}", "use rucio-cs3 mover, which looks, and carries files itself")
    else:
        yield passed(f"like {SECOND}")


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _wanted(known: Known) -> str:
    if known.below:
        return f"'{known.package}>={'.'.join(map(str, known.below))}'"
    return f"'{known.package}<{'.'.join(map(str, known.since))}'" if any(known.since) else f"…: remove {known.package}"


def numbers(text: str) -> Version:
    """As many as there are at its beginning."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else ()
