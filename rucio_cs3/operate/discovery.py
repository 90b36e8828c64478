"""What a site can do: by looking, which changes nothing, and by a probe file, which is gone again afterwards.

No capability is believed: what the site only says of itself is told as announced, and what we saw it do as seen.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Callable

from rucio_cs3.errors import Cs3Error, Unavailable
from rucio_cs3.operate import certificate, sample
from rucio_cs3.operate.opening import OF_SPACES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rucio_cs3.client import Cs3Client
    from rucio_cs3.model import Ref
    from rucio_cs3.operate.door import Door
    from rucio_cs3.operate.opening import Opening
    from rucio_cs3.root import Root

SEEN, ANNOUNCED, UNKNOWN = "seen", "announced", "not tried"
DOOR, COPIES, TUS, RANGES = "WebDAV door", "third-party copies", "uploads that go on (TUS)", "parts of files (ranges)"
TO_TRY = "rse add --probe tries it with a file"


@dataclass(frozen=True)
class Finding:
    """One thing that was found out. `works` is None for what is neither good nor bad."""

    what: str
    said: str
    how: str = SEEN
    works: bool | None = True
    facts: Mapping[str, Any] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


@dataclass(frozen=True)
class View:
    """A site as one RSE has to do with it."""

    client: Cs3Client
    root: Root
    door: Door | None = None
    opening: Opening | None = None


def look(view: View) -> Iterator[Finding]:
    """All that can be found out without changing anything."""
    for what, find in LOOKS.items():
        yield found(what, find, view)
    file = _sample(view)
    for what, find_in in IN_A_FILE.items():
        if file is None:
            yield Finding(what, f"there is no file to look at: {TO_TRY}", UNKNOWN, works=None)
        else:
            yield found(what, find_in, view, file)


def found(what: str, find: Callable[..., Finding], *arguments: Any) -> Finding:
    """What stops one look is a finding too, and stops no other."""
    try:
        return find(*arguments)
    except Cs3Error as error:
        return Finding(what, str(error), works=False, facts={"error": error.code})


def _tls(view: View) -> Finding:
    config = view.client.config
    if not config.tls:
        return Finding("TLS", "none: for this machine and for tests only", works=None)
    try:
        known = certificate.of(config)
    except Unavailable:  # although the gateway answers: there is a proxy in between
        return Finding("TLS", "verified; the certificate cannot be looked at from here", works=None)
    ends = time.strftime("%Y-%m-%d", time.gmtime(known.expires))
    said = f"{known.version}, certificate by {known.issuer} until {ends}{': renew it' if known.ends_soon else ''}"
    return Finding("TLS", said, works=not known.ends_soon, facts=asdict(known))


def _root(view: View) -> Finding:
    ref = view.root.resolve()
    by = "id" if ref.id else "path"
    also = "" if ref.id else ", as this storage finds nothing by id"
    return Finding("root folder", f"{view.root.place}, addressed by {by}{also}", facts={"addressed_by": by})


def _door(view: View) -> Finding:
    if view.door is None or view.opening is None:
        return Finding(DOOR, "none was named: --webdav URL", UNKNOWN, works=None)
    prefix, shown = view.opening.prefix, view.door.find(view.opening.prefix)
    same = shown.is_that(view.client.files.stat(view.root.place))
    if not same:
        return Finding(DOOR, f"{view.door.url(prefix)} is not the root folder", works=False)
    said = f"{view.door.url(prefix)} is the root folder: it opens on {view.opening.root}{whose(view)}"
    return Finding(DOOR, said, facts={"url": view.door.url(prefix)})


def whose(view: View) -> str:
    """Doors that open on homes show everybody another folder under the same address."""
    if view.opening is None or f"{OF_SPACES}/" in view.opening.path:
        return ""
    with contextlib.suppress(Cs3Error):
        if view.client.files.stat(view.client.files.home()).id == view.opening.info.id:
            return ", which is this user's own place: for other users the same address may be another file"
    return ""


def _copies(view: View) -> Finding:
    if view.door is None or view.opening is None:
        return Finding(COPIES, "not without a WebDAV door", UNKNOWN, works=None)
    allowed = view.door.announced(view.opening.prefix).get("allow", "")
    offered = "COPY" in {word.strip().upper() for word in allowed.split(",")}
    if not offered:
        return Finding(COPIES, "the door does not offer COPY", ANNOUNCED, works=None)
    return Finding(COPIES, f"the door offers COPY, as doors do that make none: {TO_TRY}", ANNOUNCED, works=None)


def _tus(view: View) -> Finding:
    told = view.door.announced(view.opening.prefix) if view.door and view.opening else {}
    if "tus-resumable" in told:
        return Finding(TUS, f"{told.get('tus-extension', 'no extensions')}: {TO_TRY}", ANNOUNCED, works=None)
    return Finding(TUS, f"only an upload tells: {TO_TRY}", UNKNOWN, works=None)


def _quota(view: View) -> Finding:
    quota = view.client.files.quota(view.root.resolve())
    facts = {"total": quota.total, "used": quota.used, "available": quota.available}
    if quota.available is None:
        return Finding("free space", "the storage sets no limit, so Rucio cannot be told", works=None, facts=facts)
    return Finding("free space", f"{quota.available:,} of {quota.total:,} bytes", facts=facts)


def _locks(view: View) -> Finding:
    try:
        view.client.locks.find(view.root.resolve())
    except Cs3Error:
        return Finding("locks", "none: another program may have a file open that Rucio replaces", works=None)
    return Finding("locks", "the storage keeps them")


def _spaces(view: View) -> Finding:
    try:
        number = len(view.client.spaces.list())
    except Cs3Error:
        return Finding("spaces", "none: folders are named by path", works=None)
    return Finding("spaces", f"{number} for this user", facts={"number": number})


def checksums(view: View, file: Ref) -> Finding:
    """Those that the storage computed itself."""
    found = sorted(view.client.files.stat(file).checksums)
    facts = {"algorithms": found}
    if not found:
        said = "none are told: uploads are compared by size, and with verify = readback byte by byte"
        return Finding("checksums", said, works=None, facts=facts)
    return Finding("checksums", f"{', '.join(found)}, computed by the storage", facts=facts)


def ranges(view: View, file: Ref) -> Finding:
    if view.client.serves_ranges(file):
        return Finding(RANGES, "served: downloads go on after a cut")
    return Finding(RANGES, "refused: a download that was cut begins anew", works=None)


LOOKS: dict[str, Callable[[View], Finding]] = {
    "TLS": _tls,
    "root folder": _root,
    "spaces": _spaces,
    "free space": _quota,
    "locks": _locks,
    DOOR: _door,
    COPIES: _copies,
    TUS: _tus,
}
IN_A_FILE: dict[str, Callable[[View, Ref], Finding]] = {"checksums": checksums, RANGES: ranges}


def _sample(view: View) -> Ref | None:
    with contextlib.suppress(Cs3Error):
        found = sample.find(view.client, view.root.resolve())
        return view.root.ref(found[0]) if found else None
    return None
