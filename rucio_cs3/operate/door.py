"""A site's WebDAV door: what it shows, what it announces, and its end of a third-party copy."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET

import urllib3

from rucio_cs3 import deadline
from rucio_cs3.errors import ConfigError, InvalidName, NotFound, ServerError, from_http
from rucio_cs3.loopback import keeps_secrets
from rucio_cs3.model import SAFE, relative, slashed
from rucio_cs3.mover.addresses import DOORS, Address
from rucio_cs3.mover.site import Site
from rucio_cs3.mover.sites import End
from rucio_cs3.web import Pools, failures, unheard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rucio_cs3.client import Cs3Client
    from rucio_cs3.errors import Cs3Error
    from rucio_cs3.model import Info
    from rucio_cs3.mover.model import Side
    from rucio_cs3.root import Root

DAV, OC = "{DAV:}", "{http://owncloud.org/ns}"
LARGEST = 1 << 20  # bytes of an answer
WANTED = b"""<?xml version="1.0"?><d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns">\
<d:prop><oc:id/><oc:fileid/><d:getetag/><d:resourcetype/></d:prop></d:propfind>"""


@dataclass(frozen=True)
class Seen:
    """What the door says of a file or folder."""

    ids: frozenset[str]
    etag: str
    folder: bool

    def is_that(self, info: Info) -> bool:
        """Whether it is what the gateway shows: by its id, or where the door tells none, by its ETag.

        Of the top of a space some doors tell the id without the storage's.
        """
        if self.ids:
            return not self.ids.isdisjoint({str(info.id), str(info.id).partition("$")[2]})
        return bool(self.etag) and self.etag == info.etag


class Door(contextlib.AbstractContextManager["Door"]):
    """Requests through the door, as the user of `client`. Paths are those at the door, decoded."""

    def __init__(self, url: str, client: Cs3Client) -> None:
        """Raises ConfigError for what is no address, or one that would have the token sent in the clear."""
        self.address = _address(url)
        if not keeps_secrets(self.address.origin):
            raise ConfigError(
                f"the token would go to the WebDAV door {url} in the clear", hint="give an https:// address"
            )
        self.path = f"/{relative(unquote(self.address.prefix))}"
        """of the folder that the URL names"""
        self._client = client
        self._pools = Pools(client.config, client.config.stall_timeout)

    def __exit__(self, *_: object) -> None:
        self._pools.close()

    @property
    def top(self) -> str:
        """The same folder, as what is in it begins."""
        return slashed(self.path)

    def url(self, path: str) -> str:
        return self.address.origin + quote(path, safe=SAFE)

    def find(self, path: str) -> Seen:
        """Raises NotFound, and what else stops it."""
        headers = {"Depth": "0", "Content-Type": "application/xml"}
        status, _, body = self.ask("PROPFIND", path, WANTED, headers)
        if status != HTTPStatus.MULTI_STATUS:
            raise self._refusal(status, path)
        try:
            return _seen(body)
        except (ET.ParseError, ValueError) as error:
            raise ServerError(
                f"what answers at {self.url(path)} is no WebDAV door", hint="check its address"
            ) from error

    def announced(self, path: str) -> Mapping[str, str]:
        """The headers of OPTIONS, in lower case, which promise more than is kept."""
        status, headers, _ = self.ask("OPTIONS", path)
        if status not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}:
            raise self._refusal(status, path)
        return {name.lower(): value for name, value in headers.items()}

    def content(self, path: str) -> bytes:
        status, _, body = self.ask("GET", path)
        if status != HTTPStatus.OK:
            raise self._refusal(status, path)
        return body

    def end(self, side: Side, root: Root, prefix: str, below: str) -> End:
        """Of a third-party copy, whose other end may be shown our token. The root is at `prefix` here."""
        config = self._client.config
        site = Site(config.gateway, config, root.place, (), lends=True)
        address = replace(self.address, prefix=prefix)
        return End(side, site, self.url(prefix + below), address, root, below, self._pools)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        largest: int | None = LARGEST,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One request with the gateway's token: status, headers, and as much of the answer as is wanted."""
        config, url = self._client.config, self.url(path)
        timeout = urllib3.Timeout(deadline.at_most(config.connect_timeout), deadline.at_most(config.call_timeout))
        sent = {"X-Access-Token": self._client.tokens.get(), **(headers or {})}
        with failures(f"WebDAV door {url}", patience="call_timeout"), unheard():
            response = self._pools.of(url).urlopen(
                method,
                url,
                body=body,
                headers=sent,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                return response.status, response.headers, response.read(largest)
            finally:
                response.close()

    def _refusal(self, status: int, path: str) -> Cs3Error:
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}:
            return NotFound("there is no such folder at the WebDAV door", path=self.url(path), status=f"HTTP {status}")
        return from_http(status, "the WebDAV door refuses", path=self.url(path))


def _address(url: str) -> Address:
    with contextlib.suppress(InvalidName):
        address = Address.of(url)
        if address.scheme in DOORS.values():
            return address
    shown = url.rpartition("@")[2]  # a login in it is nobody's business
    raise ConfigError(f"--webdav {shown} is not the address of a WebDAV door", hint="for example https://host/webdav")


class _NoDoctype(ET.TreeBuilder):
    """Without one there is nothing to expand."""

    def doctype(self, *_: Any) -> None:
        raise ValueError("no DOCTYPE is wanted")


def _seen(body: bytes) -> Seen:
    parser = ET.XMLParser(target=_NoDoctype())  # noqa: S314 - nothing to expand without a DOCTYPE
    props = ET.fromstring(body, parser).find(f"{DAV}response")  # noqa: S314 - the same
    if props is None:
        raise ValueError("an answer about nothing")
    ids = {element.text for name in ("id", "fileid") for element in props.iter(f"{OC}{name}") if element.text}
    etag = next((element.text or "" for element in props.iter(f"{DAV}getetag")), "")
    return Seen(frozenset(ids), etag, any(True for _ in props.iter(f"{DAV}collection")))
