"""Third-party copies between the doors of two RSEs, judged by what is there afterwards and not by what is said."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rucio_cs3.checkup import configuration
from rucio_cs3.checkup.case import Case, Wish
from rucio_cs3.checkup.model import FAIL, failed, failure, passed, warned
from rucio_cs3.errors import Cs3Error, NotFound
from rucio_cs3.mover import tpc
from rucio_cs3.mover.addresses import Address
from rucio_cs3.mover.model import Side
from rucio_cs3.mover.site import Site
from rucio_cs3.mover.sites import End
from rucio_cs3.transfer.ends import Remote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.checkup.model import Finding, Run

ALONE = "give --with OTHER-RSE to see third-party copies and distances"
CARRIED = "rucio-cs3 mover carries such files itself; FTS cannot: have both sites switch on copies by HTTP"
LIES = "do not trust FTS with this pair: rucio-cs3 mover looks at what is there, and carries it itself"


def alone(case: Case) -> str:
    return "" if case.wish.other else ALONE


def impossible(case: Case) -> str:
    """Why there is nothing to copy."""
    if case.other and case.other.read_only:
        return f"nothing may be written at {case.other.name}"
    return alone(case) or ("nothing may be written" if case.read_only else "")


def other(case: Case) -> Iterator[Finding]:
    """The other RSE, as far as copies need it."""
    name = str(case.wish.other)
    there = case.other = case.enter(Case(name, Wish(name, as_daemon=case.wish.as_daemon)))
    there.rucio = case.rucio
    for look in (configuration.rse, configuration.settings, configuration.secrets):
        for found in look(there):
            if found.outcome == FAIL:
                yield failed(f"{name}: {found.seen}", found.remedy)
                return
    try:
        there.root.resolve()
        if not there.door:
            yield failed(f"{name} has no WebDAV door", "copies go from door to door: set webdav_root")
            return
    except Cs3Error as error:
        yield failure(error, f"rucio-cs3 rse check {name}")
        return
    yield passed(f"{name} lets us in")


def by(way: str) -> Run:
    """The door of the RSE pulls from the other one, or pushes to it."""

    def run(case: Case) -> Iterator[Finding]:
        assert case.other
        source, target = (case.other, case) if way == "pull" else (case, case.other)
        sent, name = source.new_probe(), target.new_name()
        place = source.root.resolve()
        source.client.upload(io.BytesIO(sent.content), source.ref(sent.name), temporary=True, root=place)
        Remote(source.client, source.ref(sent.name)).settled()
        said = _said(way, _end(Side.SOURCE, source, sent.name), _end(Side.TARGET, target, name))
        there = _content(target, name)
        yield from _judged(f"{way} from {source.name} to {target.name}", said, there, sent.content)

    return run


def _end(side: Side, case: Case, name: str) -> End:
    url = case.url(name)
    address = Address.of(case.url())
    site = Site(case.name, case.site.config, case.site.root, (address,), lends=True)
    return End(side, site, url, address, case.root, name, case.pools)


def _said(way: str, source: End, target: End) -> str:
    """Empty for success."""
    try:
        tpc.copy(way, source, target, lambda _: None)
    except tpc.NotDone as why:
        return str(why)
    except Cs3Error as error:
        return f"{way}: {error.message}"
    return ""


def _content(case: Case, name: str) -> bytes | None:
    try:
        Remote(case.client, case.ref(name)).settled()
    except NotFound:
        return None
    return case.content(name)


def _judged(what: str, said: str, there: bytes | None, sent: bytes) -> Iterator[Finding]:
    found = "nothing is there" if there is None else f"{len(there)} of {len(sent)} bytes are there"
    if there == sent:
        yield passed(f"{what}: all bytes are there") if not said else warned(f"all bytes are there, and {said}", LIES)
    elif not said:
        yield failed(f"{what}: success was said, and {found}", LIES)
    else:
        yield warned(f"{said}; {found}", CARRIED)
