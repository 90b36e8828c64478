"""Whether the site's clock is ours: tokens are good between two moments, and both sides have to agree on now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import urllib3

from rucio_cs3.checkup.model import failed, passed, skipped, warned
from rucio_cs3.credentials.sources import LEEWAY
from rucio_cs3.transfer.http import moment
from rucio_cs3.web import Pools, failures, unheard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.checkup.case import Case
    from rucio_cs3.checkup.model import Finding

NOTICED = 10.0  # seconds
SECOND = 1.0  # what a date in a header leaves open


def door(case: Case) -> Iterator[Finding]:
    """By the date in an answer to nobody in particular."""
    config, url = case.site.config, case.url()
    patience = urllib3.Timeout(connect=config.connect_timeout, read=config.call_timeout)
    pools = Pools(config, config.stall_timeout)
    began = time.time()
    try:
        with failures(f"WebDAV door {url}", patience="call_timeout"), unheard():
            answer = pools.of(url).urlopen("OPTIONS", url, timeout=patience, retries=False, redirect=False)
    finally:
        pools.close()
    said = moment(answer.headers.get("Date", ""))
    if said is None:
        yield skipped("the WebDAV door does not tell the time")
    else:
        yield compared("the WebDAV door", said, began, time.time())


def compared(who: str, said: float, began: float, ended: float) -> Finding:
    """What was said between two moments, held against both: how long it was under way does not matter."""
    off = max(began - SECOND - said, said - ended - SECOND, 0.0)
    if off < NOTICED:
        return passed(f"{who} has the time that we have")
    seen = f"the clock of {who} is {off:.0f} s {'ahead of' if said > ended else 'behind'} ours"
    remedy = "have both synchronised by NTP: timedatectl status says whether this machine is"
    return (failed if off >= LEEWAY else warned)(seen, remedy)
