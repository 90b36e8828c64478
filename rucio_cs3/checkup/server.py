"""What Rucio's server makes of the RSE: its PFNs, its protocols, and how copies are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import urllib3

from rucio_cs3.checkup.case import asking_rucio
from rucio_cs3.checkup.configuration import priority
from rucio_cs3.checkup.model import failed, failure, passed, skipped, warned
from rucio_cs3.errors import Cs3Error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rucio_cs3.checkup.case import Case
    from rucio_cs3.checkup.model import Finding
    from rucio_cs3.operate.catalogue import Catalogue

LFN = {"scope": "check", "name": "a name #1"}  # which no two implementations spell alike
TPC = ("third_party_copy_read", "third_party_copy_write")
NEEDED = ("read", "write", "delete")
AGAIN = "rucio-cs3 rse add does so when it is run again"
SECONDS = 10.0
LETS_NOBODY_IN = (401, 403)  # without a certificate, which only the conveyor has
PLUGIN = "install rucio-cs3 where Rucio's server runs, and restart it; until then its lists of PFNs are empty"
SCHEME = "use davs; or have the server run with [policy] package = rucio_cs3.policy"


def unasked(case: Case) -> str:
    return "" if case.rucio else "at a daemon's place no server is asked: do it from a user's place"


@asking_rucio
def plugin(case: Case, rucio: Catalogue) -> Iterator[Finding]:
    """The server can import it, and makes the PFNs that we make."""
    from rucio_cs3.protocol import Default  # noqa: PLC0415 - Rucio may be missing

    if not case.settings.get("deterministic", True):
        yield skipped("PFNs of an RSE that is not deterministic are not made by the server")
        return
    did = f"{LFN['scope']}:{LFN['name']}"
    ours = Default({**case.entry, "auth_token": None}, case.settings).lfns2pfns([LFN])[did]
    operation = next((each for each in NEEDED if priority(case.entry, "wan", each) is not None), NEEDED[0])
    try:
        theirs = rucio.pfn(case.name, did, operation, case.entry["scheme"])
    except Cs3Error as error:
        yield failure(error, PLUGIN)
        return
    if theirs != ours:
        yield failed(f"the server says {theirs}, and we say {ours}", f"is it another version there? {PLUGIN}")
        return
    yield passed("the server makes the PFNs that we make")


def scheme(case: Case) -> Iterator[Finding]:
    """The server's list of replicas, and the conveyor, leave out what they do not know."""
    from rucio.common.constants import SUPPORTED_PROTOCOLS  # noqa: PLC0415 - Rucio may be missing

    ours = case.entry["scheme"]
    if ours in SUPPORTED_PROTOCOLS:
        yield passed(f"{ours} is a scheme that a stock server knows")
    else:
        yield failed(f"a stock server does not know scheme {ours}: downloads and rules find no source", SCHEME)


def domains(case: Case) -> Iterator[Finding]:
    """Which protocol entry Rucio takes for what."""
    entries = case.settings["protocols"]
    wanted = NEEDED[:1] if case.read_only else NEEDED
    for operation in wanted:
        if not _ranked(entries, operation):
            remedy = f"give it a priority in domains of the protocol entry: wan, {operation}"
            yield failed(f"no protocol entry is for {operation} in wan", remedy)
            return
    for operation in wanted:
        best, place = _ranked(entries, operation)[0]
        if priority(case.entry, "wan", operation) != best:
            others = entries[place]["impl"]
            yield warned(f"for {operation} in wan Rucio prefers {others}", "change the priorities in domains")
            return
    firsts = [
        f"{what} in {area}" for area, ranks in case.entry["domains"].items() for what in ranks if ranks[what] == 0
    ]
    missing = [operation for operation in TPC if priority(case.entry, "wan", operation) is None]
    if firsts:
        remedy = f"put null for what is never to be done, else 1: {AGAIN}"
        yield warned(f"priority 0 is the first choice, and does not forbid {', '.join(firsts)}", remedy)
    elif missing:
        yield skipped(f"no {' and no '.join(missing)} in wan: rules cannot copy {_way(missing)}")
    else:
        yield passed(f"{', '.join(wanted)} and third-party copies in wan are for this entry")


def _ranked(entries: Sequence[Mapping[str, Any]], operation: str) -> list[tuple[int, int]]:
    """The priorities of those that do it from afar, best first, each with the entry's place."""
    ranks = [(priority(entry, "wan", operation), place) for place, entry in enumerate(entries)]
    return sorted((rank, place) for rank, place in ranks if rank is not None)


def _way(missing: list[str]) -> str:
    return "to and from it" if len(missing) == len(TPC) else "from it" if missing[0] == TPC[0] else "to it"


@asking_rucio
def limit(case: Case, rucio: Catalogue) -> Iterator[Finding]:
    """Of the account that asks: without one its uploads fail, and leave what looks like a copy on its way."""
    account = rucio.account
    if rucio.own_limit(case.name):
        yield passed(f"account {account} has a limit here")
    elif rucio.shared_limits():
        yield passed(f"account {account} has none of its own here, but limits for several RSEs")
    else:
        remedy = f"rucio account limit set {account} --rse {case.name} --bytes infinity"
        yield warned(f"account {account} may not upload here: it has no limit", remedy)


@asking_rucio
def distance(case: Case, rucio: Catalogue) -> Iterator[Finding]:
    """Without one the conveyor never copies."""
    other = str(case.wish.other)
    ways = [(case.name, other), (other, case.name)]
    missing = [f"from {source} to {target}" for source, target in ways if rucio.distance(source, target) is None]
    if missing:
        remedy = f"rucio rse distance set {case.name} {other} --distance 1 --bidirectional"
        yield failed(f"no distance is set {' or '.join(missing)}: rules never copy that way", remedy)
    else:
        yield passed(f"it is set to and from {other}")


@asking_rucio
def fts(case: Case, rucio: Catalogue) -> Iterator[Finding]:
    """Where the conveyor asks for copies to this RSE."""
    url = rucio.attributes(case.name).get("fts")
    if not url:
        if case.wish.other:
            remedy = f"rucio rse attribute set {case.name} --key fts --value https://…"
            yield failed("the RSE has no attribute fts, so no rule copies to it", remedy)
        else:
            yield skipped("the RSE has no attribute fts: rules cannot copy to it")
        return
    asked = str(url).split(",", 1)[0]  # the conveyor takes the first
    remedy = f"start it, or correct it: rucio rse attribute set {case.name} --key fts --value …"
    pool = urllib3.PoolManager(cert_reqs="CERT_NONE", timeout=SECONDS)  # the conveyor does not verify it either
    try:
        answer = pool.request("GET", asked, retries=False, redirect=False)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        yield failed(f"fts = {asked} does not answer: {_reason(error)}", remedy)
    else:
        if answer.status in LETS_NOBODY_IN or b'"api"' in answer.data:
            yield passed(f"{asked} answers [HTTP {answer.status}]")
        else:
            yield failed(f"fts = {asked} answers [HTTP {answer.status}], and not as FTS does", remedy)
    finally:
        pool.clear()


def _reason(error: Exception) -> str:
    return str(error).rpartition(": ")[2]
