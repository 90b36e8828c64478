"""Each source of logins in its order, and how long the token that came of it is good for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rucio_cs3.checkup import clock
from rucio_cs3.checkup.model import failed, failure, passed, skipped, warned
from rucio_cs3.credentials import jwt, who
from rucio_cs3.errors import Cs3Error, TokenRejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rucio_cs3.checkup.case import Case
    from rucio_cs3.checkup.model import Finding
    from rucio_cs3.credentials.tokens import Tried

SOON = 600.0  # seconds; a large file takes longer
GIVEN = {"token", "bearer", "wlcg"}  # nobody here can renew these
DAY = 86_400.0


def login(case: Case) -> Iterator[Finding]:
    """Who we are there, and by which source; or why by none."""
    client = case.client
    try:
        found = who.ask(client, case.site.root)
    except Cs3Error as error:
        yield from _tried([each for each in client.tokens.tried if each.outcome != "won"], decided=False)
        yield _explained(error, client.tokens.held)
        return
    yield from _tried(client.tokens.tried, decided=True)
    case.limited = found.limited
    limited = ", for some paths only" if found.limited else ""
    kept = ", by a token kept from an earlier run" if found.by.kept else ""
    yield passed(f"{found.username}{limited} by {found.by.method}: {found.by.description}{kept}")


def _tried(tried: Sequence[Tried], *, decided: bool) -> Iterator[Finding]:
    for each in tried:
        seen = f"{each.method} ({each.description}): {each.reason}"
        if each.outcome == "nothing":
            yield skipped(seen)
        elif each.outcome == "failed" and decided:
            yield warned(seen, "another login took its place: take it out of auth, or mend it")


def _explained(error: Cs3Error, token: str | None) -> Finding:
    """A site calls a token bad that is over; we can see that it is."""
    ends = jwt.expiry(token)
    if isinstance(error, TokenRejected) and ends is not None and ends < time.time():
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(ends))
        return failed(f"the token expired at {when}: {error.message}", "get another one, or set a login that renews it")
    return failure(error)


def token(case: Case) -> Iterator[Finding]:
    """How long it lasts, and whether the clock that wrote into it is ours."""
    tokens = case.client.tokens
    by = next(each for each in tokens.tried if each.outcome == "won")
    issued, ends = jwt.number(jwt.claims(tokens.held), "iat"), by.expires
    if issued is not None and not by.kept and by.method not in GIVEN:
        found = clock.compared("the site that wrote the token", issued, case.began, time.time())
        if found.outcome != "pass":
            yield found
            return
    if ends is None:
        yield passed("it does not tell when it ends")
        return
    left = ends - time.time()
    seen = f"it is good for {left / 3600:.1f} more hours"
    if by.method in GIVEN and left < DAY:
        yield warned(f"{seen}, and nobody renews it", "set a login that renews it")
    elif left < SOON:
        yield warned(f"{seen}, and large files take longer", "have the site make its tokens last longer")
    else:
        yield passed(seen)
