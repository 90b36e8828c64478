"""The WebDAV door: it takes the gateway's tokens, and shows the same files under their PFNs."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from rucio_cs3.checkup.case import of_probe, without_probe
from rucio_cs3.checkup.model import failed, passed
from rucio_cs3.loopback import keeps_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.checkup.case import Case, Probe
    from rucio_cs3.checkup.model import Finding

NO_DOOR = "no WebDAV door is named: webdav_root is not in extended_attributes of the RSE"
NOT_GIVEN = "no WebDAV door is named: give --webdav URL"
IN_THE_CLEAR = "a token would be sent in the clear"
OPENS = "check hostname, port, prefix and webdav_root: what webdav_root is there has to be cs3_root, or space, here"


def missing(case: Case) -> str:
    if case.door_url:
        return ""
    return NO_DOOR if case.wish.rse else NOT_GIVEN


def closed(case: Case) -> str:
    """Why nothing secret may go there."""
    return missing(case) or ("" if keeps_secrets(case.url()) else IN_THE_CLEAR)


def login(case: Case) -> Iterator[Finding]:
    """The token is good there, and the root folder is what the address leads to."""
    status, _, _ = case.door.ask("PROPFIND", case.door.top, headers={"Depth": "0"})
    where = f"the WebDAV door {case.url()}"
    if status == HTTPStatus.MULTI_STATUS:
        yield passed(f"{case.url()} takes the token, and has a folder there")
    elif status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        seen = f"{where} does not take tokens of gateway {case.site.config.gateway} [HTTP {status}]"
        yield failed(seen, f"is it the door of another site? {OPENS}")
    elif status == HTTPStatus.NOT_FOUND:
        yield failed(f"{where} has no such folder [HTTP {status}]", OPENS)
    else:
        yield failed(f"{where} does not answer as one [HTTP {status}]", OPENS)


@of_probe
def file(case: Case, probe: Probe) -> Iterator[Finding]:
    """What was written through the gateway is at its PFN."""
    status, _, got = case.door.ask("GET", case.door.top + probe.name, largest=None)
    url = case.url(probe.name)
    if status == HTTPStatus.NOT_FOUND:
        yield failed(f"{url} is not there, and the gateway has it: the door opens on another folder", OPENS)
    elif status != HTTPStatus.OK:
        yield failed(f"{url} cannot be read [HTTP {status}]", "ask the site's operator")
    elif got != probe.content:
        yield failed(f"{url} is another file than the one of that name at the gateway", OPENS)
    else:
        yield passed("the same file is at its PFN")


def away(case: Case) -> str:
    """Why there is no file to look for."""
    return closed(case) or without_probe(case)
