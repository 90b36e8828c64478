"""A site's WebDAV door as an RSE needs it: which folder it opens on, what it announces, and whether it copies."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET

import urllib3

from rucio_cs3 import deadline
from rucio_cs3.errors import ConfigError, Cs3Error, InvalidName, NotFound, ServerError, from_http
from rucio_cs3.loopback import keeps_secrets
from rucio_cs3.model import SAFE, Ref, relative
from rucio_cs3.mover import tpc
from rucio_cs3.mover.addresses import DOORS, Address
from rucio_cs3.mover.model import Side
from rucio_cs3.mover.site import Site
from rucio_cs3.mover.sites import End
from rucio_cs3.root import Root
from rucio_cs3.web import Pools, failures, unheard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rucio_cs3.client import Cs3Client
    from rucio_cs3.model import Info

DAV, OC = "{DAV:}", "{http://owncloud.org/ns}"
LARGEST = 1 << 20  # bytes of an answer
WANTED = b"""<?xml version="1.0"?><d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns">\
<d:prop><oc:id/><oc:fileid/><d:getetag/><d:resourcetype/></d:prop></d:propfind>"""
USUAL = ("/remote.php/webdav", "/webdav")  # where Reva has its doors
OF_SPACES = "/dav/spaces"


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
        self._client = client
        self._pools = Pools(client.config, client.config.stall_timeout)

    def __exit__(self, *_: object) -> None:
        self._pools.close()

    def url(self, path: str) -> str:
        return self.address.origin + quote(path, safe=SAFE)

    def find(self, path: str) -> Seen:
        """Raises NotFound, and what else stops it."""
        headers = {"Depth": "0", "Content-Type": "application/xml"}
        status, _, body = self._ask("PROPFIND", path, WANTED, headers)
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
        status, headers, _ = self._ask("OPTIONS", path)
        if status not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}:
            raise self._refusal(status, path)
        return {name.lower(): value for name, value in headers.items()}

    def content(self, path: str) -> bytes:
        status, _, body = self._ask("GET", path)
        if status != HTTPStatus.OK:
            raise self._refusal(status, path)
        return body

    def pull(self, folder: str, source: str, target: str) -> None:
        """Have it copy a file of its own, as if that were at another site. Raises what it says against that."""
        site = Site("the site", self._client.config, Ref("/"), (), lends=True)
        place = replace(self.address, prefix=f"{folder.rstrip('/')}/")
        root = Root(self._client, Ref("/"))

        def end(side: Side, name: str) -> End:
            return End(side, site, self.url(place.prefix + name), place, root, name, self._pools)

        tpc.copy("pull", end(Side.SOURCE, source), end(Side.TARGET, target), lambda _: None)

    def _ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        return asked(self._client, self._pools, method, self.url(path), body, headers)

    def _refusal(self, status: int, path: str) -> Cs3Error:
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}:
            return NotFound("there is no such folder at the WebDAV door", path=self.url(path), status=f"HTTP {status}")
        return from_http(status, "the WebDAV door refuses", path=self.url(path))


def asked(
    client: Cs3Client,
    pools: Pools,
    method: str,
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    largest: int | None = LARGEST,
) -> tuple[int, Mapping[str, str], bytes]:
    """One request with the gateway's token: status, headers, and as much of the answer as is wanted."""
    config = client.config
    timeout = urllib3.Timeout(deadline.at_most(config.connect_timeout), deadline.at_most(config.call_timeout))
    sent = {"X-Access-Token": client.tokens.get(), **(headers or {})}
    with failures(f"WebDAV door {url}", patience="call_timeout"), unheard():
        response = pools.of(url).urlopen(
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


@dataclass(frozen=True)
class Opening:
    """How the door and the CS3 side name one folder: `root` here is `path` there, and the RSE is `below` both."""

    path: str
    root: Ref
    info: Info
    below: str

    @property
    def prefix(self) -> str:
        """Of PFNs."""
        return f"/{relative(f'{self.path}/{self.below}')}/".replace("//", "/")


def opening(door: Door, client: Cs3Client, root: Ref) -> Opening:
    """Find out what the door opens on: the RSE's root, or a folder above it. Raises ConfigError when it is neither."""
    above = list(_above(client, root))
    told: list[str] = []
    for path in [door.path] if door.path != "/" else _usual(info for _, info, _ in above):
        try:
            seen = door.find(path)
        except NotFound as missing:
            told.append(str(missing))
            continue
        for place, info, below in above:
            if seen.is_that(info):
                return Opening(path, place, info, below)
        told.append(f"{door.url(path)} {_elsewhere(seen, client)}")
    raise ConfigError(
        f"the WebDAV door does not show {root}: {'; '.join(told)}",
        hint="give --webdav the address of that very folder, or of one above it",
    )


def _above(client: Cs3Client, root: Ref) -> Iterator[tuple[Ref, Info, str]]:
    """The root and what it is in, as far as it can be seen, each with the way back down."""
    for place in (root, *root.ancestors()):
        try:
            info = client.files.stat(place)
        except Cs3Error:
            if place == root:
                raise
            return
        yield place, info, relative(root.path[len(place.path) :])


def _usual(above: Iterable[Info]) -> list[str]:
    """Where the doors are. That of a space, where there are any, is the same for all users."""
    spaces = [f"{OF_SPACES}/{info.id.space}" for info in above if info.id.is_space]
    return [*spaces, *USUAL]


def _elsewhere(seen: Seen, client: Cs3Client) -> str:
    """What the door shows instead, where the gateway can tell."""
    for home in _homes(client):
        with contextlib.suppress(Cs3Error):
            if seen.is_that(client.files.stat(home)):
                return f"opens on {home}"
    return "is another folder" if seen.folder else "is no folder"


def _homes(client: Cs3Client) -> Iterator[str]:
    with contextlib.suppress(Cs3Error):
        yield client.files.home()
    yield "/"


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
