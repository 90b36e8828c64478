"""Third-party copies between the doors of two RSEs, judged by what is there afterwards and not by what is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rucio_cs3.checkup import configuration, door
from rucio_cs3.checkup.case import Case, Wish
from rucio_cs3.checkup.model import FAIL, failed, failure, passed, warned
from rucio_cs3.errors import Cs3Error
from rucio_cs3.mover.model import Side
from rucio_cs3.operate import trial

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.checkup.model import Finding, Run
    from rucio_cs3.mover.sites import End
    from rucio_cs3.operate.trial import Trial

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
        closed = door.closed(there)
        if closed:
            yield failed(f"{name}: {closed}", "copies go from door to door: set webdav_root, and leave tls on")
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
        source.write(sent)
        tried = trial.copied(way, _end(Side.SOURCE, source, sent.name), _end(Side.TARGET, target, name), sent.content)
        yield _judged(f"{way} from {source.name} to {target.name}", tried)

    return run


def _end(side: Side, case: Case, name: str) -> End:
    return case.door.end(side, case.root, case.door.top, name)


def _judged(what: str, tried: Trial) -> Finding:
    if tried.worked:
        said = tried.refusal
        return warned(f"{tried.seen}, and {said}", LIES) if said else passed(f"{what}: {tried.seen}")
    if tried.refusal:
        return warned(f"{tried.refusal}; {tried.seen}", CARRIED)
    return failed(f"{what}: success was said, and {tried.seen}", LIES)
