"""WebDAV properties: which ones a request asks for or sets, and what a file or folder has of them."""

from __future__ import annotations

import posixpath
import re
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from cs3.storage.provider.v1beta1 import resources_pb2 as storage

from rucio_cs3.gateway.status import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rucio_cs3.gateway.users import User


Name = tuple[str, str]
Stated = list[tuple[str, list[str]]]  # elements under their statuses
DAV, OC = "DAV:", "http://owncloud.org/ns"
PREFIXES = {DAV: "d", OC: "oc"}
XML = '<?xml version="1.0" encoding="utf-8"?>'
OPENING = f'{XML}<d:multistatus xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns" xmlns:oc="{OC}">'
CLOSING = "</d:multistatus>"
UNSAFE = re.compile(rb"[^A-Za-z0-9_\-.~()/:@!$]")
BROKEN_ESCAPE = re.compile(r"%(?![0-9a-f]{2})")
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
ENTITIES = {'"': "&#34;", "'": "&#39;", "\t": "&#x9;", "\n": "&#xA;", "\r": "&#xD;"}
CHECKSUMS = {
    storage.RESOURCE_CHECKSUM_TYPE_INVALID: "INVALID",
    storage.RESOURCE_CHECKSUM_TYPE_UNSET: "UNSET",
    storage.RESOURCE_CHECKSUM_TYPE_ADLER32: "ADLER32",
    storage.RESOURCE_CHECKSUM_TYPE_MD5: "MD5",
    storage.RESOURCE_CHECKSUM_TYPE_SHA1: "SHA1",
}


class BadBody(ValueError):
    """The body of the request is not what it should be."""


class Patch(NamedTuple):
    """What is to be set, or to be removed where the value is None."""

    name: Name
    value: str | None

    @property
    def key(self) -> str:
        return metadata_key(self.name)


def wanted(body: bytes) -> list[Name] | None:
    """The properties that a PROPFIND asks for; None for all.

    Raises:
        BadBody: as Reva does, which takes an empty list for no list.
    """
    if not body:
        return None
    root = _parsed(body)
    parts = {kind: root.find(f"{{{DAV}}}{kind}") for kind in ("allprop", "propname", "prop", "include")}
    there = {kind for kind, part in parts.items() if part is not None}
    asked, included = (list(part) if part is not None else [] for part in (parts["prop"], parts["include"]))
    both = asked and there & {"allprop", "propname"}
    full = any(len(element) or element.text for element in asked + included)
    if root.tag != f"{{{DAV}}}propfind" or both or full or (included and "allprop" not in there):
        raise BadBody("no propfind")
    no_values = there & {"allprop", "propname"} == {"propname"}
    return [_name(element) for element in asked] if asked or no_values else None


def patches(body: bytes) -> list[Patch]:
    """What a PROPPATCH does, in its order. Raises BadBody."""
    root = _parsed(body)
    found = []
    for part in root:
        props = part.find(f"{{{DAV}}}prop")
        remove = part.tag == f"{{{DAV}}}remove"
        if not (remove or part.tag == f"{{{DAV}}}set") or props is None or not len(props):
            raise BadBody("no propertyupdate")
        for element in props:
            inner = _inner(element)
            if remove and inner:
                raise BadBody("a value to be removed")
            found.append(Patch(_name(element), None if remove else inner))
    if root.tag != f"{{{DAV}}}propertyupdate":
        raise BadBody("no propertyupdate")
    return found


def patched(href: str, done: Iterable[Patch]) -> str:
    """The answer to a PROPPATCH."""
    done = list(done)
    stated = [
        ("200 OK", [element(patch.name, "") for patch in done if patch.value is not None]),
        ("204 No Content", [element(patch.name, "") for patch in done if patch.value is None]),
    ]
    return f"{OPENING}{response(href, stated)}{CLOSING}"


def described(
    infos: Iterable[Any], folder: Any, url_path: str, stated: Callable[[Any], Stated], spelt: bytes = b"%%%x"
) -> Iterator[str]:
    """The answer to a PROPFIND, in pieces: `url_path` is where the caller sees `folder`, which the others are in."""
    yield OPENING
    for info in infos:
        yield response(href_of(info, folder, url_path, spelt), stated(info))
    yield CLOSING


def href_of(info: Any, folder: Any, url_path: str, spelt: bytes = b"%%%x") -> str:
    """Raises Refused for a name that Reva's door cannot write: one such name hides the whole folder."""
    href = posixpath.join(
        encoded(url_path, spelt), posixpath.relpath(encoded(info.path, spelt), encoded(folder.path, spelt))
    )
    if BROKEN_ESCAPE.search(href):
        raise Refused("INTERNAL", "error formatting propfind")
    href = posixpath.normpath(href)
    return f"{href.rstrip('/')}/" if is_folder(info) else href


def encoded(path: str, spelt: bytes) -> str:
    """!! A character below 16 gets one digit only: `%9` for a tab, which no URL may hold."""
    return UNSAFE.sub(lambda match: spelt % match[0][0], path.encode()).decode()


def text(value: str) -> str:
    """As the text of an XML element, whatever is in it."""
    return escape(NO_XML.sub("\ufffd", value), ENTITIES)


def is_folder(info: Any) -> bool:
    return bool(info.type == storage.RESOURCE_TYPE_CONTAINER)


def file_id(info: Any) -> str:
    return f"{space_id(info)}!{info.id.opaque_id}"


def space_id(info: Any) -> str:
    return f"{info.id.storage_id}${info.id.space_id}" if info.id.storage_id else str(info.id.space_id)


def checksum(info: Any) -> tuple[str, str] | None:
    """Kind and sum; a storage may say that it has one, and of no kind."""
    return (CHECKSUMS[info.checksum.type], info.checksum.sum) if info.HasField("checksum") else None


def metadata_key(name: Name) -> str:
    """What a property of nobody's is kept under."""
    return "/".join(name)


def _checksums(info: Any) -> str | None:
    found = checksum(info)
    return f"<oc:checksum>{text(':'.join(found))}</oc:checksum>" if found else None


def _parent_id(info: Any) -> str | None:
    parent = info.parent_id
    return text(f"{parent.storage_id}${parent.space_id}") if info.HasField("parent_id") else None


def _http_date(info: Any) -> str | None:
    return formatdate(info.mtime.seconds, usegmt=True) if info.HasField("mtime") else None


def _permissions(info: Any) -> str:
    return "RDNVCK" if is_folder(info) else "RDNVWO"


# What an element holds, by name; None where there is no such property.
KNOWN: dict[Name, Callable[[Any, User], str | None]] = {
    (OC, "id"): lambda info, _: text(file_id(info)) if info.HasField("id") else None,
    (OC, "fileid"): lambda info, _: text(file_id(info)) if info.HasField("id") else None,
    (OC, "file-parent"): lambda info, _: _parent_id(info),
    (DAV, "getetag"): lambda info, _: text(info.etag) or None,
    (OC, "permissions"): lambda info, _: _permissions(info),
    (DAV, "resourcetype"): lambda info, _: "<d:collection/>" if is_folder(info) else "",
    (OC, "size"): lambda info, _: str(info.size),
    (DAV, "getcontentlength"): lambda info, _: None if is_folder(info) else str(info.size),
    (DAV, "getcontenttype"): lambda info, _: None if is_folder(info) else text(info.mime_type),
    (DAV, "getlastmodified"): lambda info, _: _http_date(info),
    (OC, "checksums"): lambda info, _: _checksums(info),
    (DAV, "quota-used-bytes"): lambda info, _: str(info.size) if is_folder(info) else None,
    (DAV, "quota-available-bytes"): lambda info, _: "-2" if is_folder(info) else None,  # unknown
    (DAV, "lockdiscovery"): lambda _, __: "",
    (OC, "owner-id"): lambda _, user: text(user.username),
    (OC, "owner-display-name"): lambda _, user: text(user.display_name),
    (OC, "favorite"): lambda _, __: "0",
}
ALL = list(KNOWN)[: list(KNOWN).index((OC, "checksums")) + 1]


def stated(info: Any, names: list[Name] | None, user: User) -> Stated:
    """The properties under their statuses: those that are there, and those that are not."""
    there, missing = [f"<oc:name>{text(posixpath.basename(info.path) or '/')}</oc:name>"], []
    for name in ALL if names is None else names:
        if name == (OC, "name") or (names is None and name == (OC, "size") and not is_folder(info)):
            continue
        value = value_of(name, info, user)
        if value is not None:
            there.append(element(name, value))
        elif names is not None:
            missing.append(element(name, ""))
    return [("200 OK", there), ("404 Not Found", missing)]


def value_of(name: Name, info: Any, user: User) -> str | None:
    if name in KNOWN:
        return KNOWN[name](info, user)
    kept = "" if name[0] in PREFIXES else info.arbitrary_metadata.metadata.get(metadata_key(name), "")
    return text(kept) or None


def element(name: Name, inner: str) -> str:
    space, local = name
    if space in PREFIXES:
        return f"<{PREFIXES[space]}:{local}>{inner}</{PREFIXES[space]}:{local}>"
    return f'<{local} xmlns="{text(space)}">{inner}</{local}>'


def response(href: str, stated: Iterable[tuple[str, list[str]]]) -> str:
    parts = [
        f"<d:propstat><d:prop>{''.join(elements)}</d:prop><d:status>HTTP/1.1 {status}</d:status></d:propstat>"
        for status, elements in stated
        if elements
    ]
    return f"<d:response><d:href>{text(href)}</d:href>{''.join(parts)}</d:response>"


class _NoDoctype(ET.TreeBuilder):
    """A DOCTYPE is refused as soon as it opens: entities, and what they may grow to, are never read."""

    def doctype(self, *_: Any) -> None:
        raise BadBody("a DOCTYPE")


def _parsed(body: bytes) -> ET.Element:
    parser = ET.XMLParser(target=_NoDoctype())  # noqa: S314 - nothing to expand without a DOCTYPE
    try:
        parser.feed(body)
        root: ET.Element = parser.close()
    except (ET.ParseError, ValueError, LookupError) as error:  # not XML, or in no encoding that there is
        raise BadBody(str(error)) from error
    return root


def _name(element: ET.Element) -> Name:
    space, _, local = element.tag.rpartition("}")
    return space[1:], local


def _inner(element: ET.Element) -> str:
    """As it is written: markup stays markup."""
    return escape(element.text or "") + "".join(ET.tostring(child, encoding="unicode") for child in element)
