"""Whether each site lets the mover in: looked at when it starts, because the first copy would find out too late."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Callable, NamedTuple

from rucio_cs3 import deadline
from rucio_cs3.errors import Cs3Error, DeadlineExceeded, NotAuthenticated, PermissionDenied, Unavailable
from rucio_cs3.mover.told import tellable_of

if TYPE_CHECKING:
    from rucio_cs3.mover.site import Site
    from rucio_cs3.mover.sites import Sites

SECONDS = 30.0  # for one site; all are asked at the same time
NO_LOGIN = "no login in {table}: only jobs that bring tokens are copied there"


class Finding(NamedTuple):
    """What is to be said of one site, and how loud."""

    level: int
    text: str


def begin(sites: Sites, tell: Callable[[Finding], None]) -> list[threading.Thread]:
    """`tell` each as it is found, from threads of their own: a site that is down keeps nobody waiting."""

    def look(site: Site) -> None:
        level, text = _looked(sites, site)
        tell(Finding(level, tellable_of(text)))

    threads = [threading.Thread(target=look, args=[site], name=f"check-{site.name}", daemon=True) for site in sites.all]
    for thread in threads:
        thread.start()
    return threads


def _looked(sites: Sites, site: Site) -> Finding:
    if not site.has_login:
        return Finding(logging.INFO, f"{site.name}: {NO_LOGIN.format(table=site.table)}")
    try:
        with deadline.within(SECONDS), sites.login(site) as login:
            login.root.resolve()
            who = site.config.username or "somebody"
            with contextlib.suppress(NotAuthenticated, PermissionDenied):  # of a login for some paths only
                who = login.root.client.whoami().username
    except Cs3Error as error:
        said = Cs3Error(error.message, path=error.path, status=error.status, hint=site.remedy(error))
        return Finding(logging.WARNING if _may_pass(error) else logging.ERROR, f"{site.name}: {said}")
    except Exception as error:  # noqa: BLE001 - whatever it is, a site that could not be looked at is not said to work
        return Finding(logging.ERROR, f"{site.name}: it could not be looked at ({type(error).__name__})")
    return Finding(logging.INFO, f"{site.name}: logged in as {who}, {site.root} is there")


def _may_pass(error: Cs3Error) -> bool:
    """Without a change of the settings: the site is down, or slow."""
    if isinstance(error, Unavailable):
        return not (error.lasts or error.status == "NOT_FOUND")  # which is of the root folder
    return isinstance(error, DeadlineExceeded)
