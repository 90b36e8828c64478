"""Trying a site with files in a folder of our own below the RSE's root, of which nothing stays."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

from rucio_cs3 import deadline
from rucio_cs3.errors import Cs3Error, NotFound, Processing, ServerError, Unsupported, WrongContent
from rucio_cs3.mover.tpc import NotDone
from rucio_cs3.operate import discovery, traces
from rucio_cs3.operate.discovery import COPIES, DOOR, TUS, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.client import Cs3Client
    from rucio_cs3.model import Ref
    from rucio_cs3.operate.discovery import View

CONTENT = b"written by rucio-cs3 to find out what this storage can do; remove it if you see it\n" * 64
WRITING = "write, read and delete"
FILE, IN_TWO, COPY = (f".rucio-cs3-{name}.part" for name in ("file", "in-two", "copy"))  # which no dump has
PAUSE = 0.5  # seconds between looks at what the storage still processes


def probe(view: View) -> Iterator[Finding]:
    """In the order of the table that `discovery.look` gives; the last says whether writing works."""
    folder = view.root.ref(traces.new())
    try:
        with _tidied(view.client, folder):
            _write(view, view.client, folder / FILE)
            yield discovery.found(DOOR, _at_door, view, folder)
            yield discovery.found(COPIES, _copies, view, folder)
            yield discovery.found(TUS, _tus, view, folder)
            for what, find in discovery.IN_A_FILE.items():
                yield discovery.found(what, find, view, folder / FILE)
    except Cs3Error as error:
        yield Finding(WRITING, str(error), works=False, facts={"error": error.code})
    else:
        yield Finding(WRITING, "a file was written, verified, read again and deleted")


@contextlib.contextmanager
def _tidied(client: Cs3Client, folder: Ref) -> Iterator[None]:
    """Raises what keeps it from being tidied, if nothing else was raised before, which then names what is left."""
    try:
        yield
    except BaseException as stopped:
        left = "" if _removed(client, folder) else f"; {folder} is left there: remove it"
        if isinstance(stopped, Cs3Error):
            stopped.message += left
        elif isinstance(stopped, KeyboardInterrupt):
            stopped.args = (f"Interrupted{left}.",)
        raise
    _remove(client, folder)


def _removed(client: Cs3Client, folder: Ref) -> bool:
    try:
        _remove(client, folder)
    except Cs3Error:
        return False
    return True


def _remove(client: Cs3Client, folder: Ref) -> None:
    with deadline.apart(), deadline.within(client.config.processing_timeout), contextlib.suppress(NotFound):
        while True:
            try:
                client.files.delete(folder, recursive=True)
            except Processing:
                deadline.sleep(PAUSE)
            else:
                return


def _write(view: View, client: Cs3Client, file: Ref) -> None:
    client.upload(io.BytesIO(CONTENT), file, root=view.root.resolve())
    _compare(_read(client, file), str(file))


def _read(client: Cs3Client, file: Ref) -> bytes:
    sink = io.BytesIO()
    client.download(file, sink)
    return sink.getvalue()


def _compare(content: bytes, where: str) -> None:
    if content != CONTENT:
        raise WrongContent(f"{len(content)} bytes that are not the {len(CONTENT)} which were written", path=where)


def _at_door(view: View, folder: Ref) -> Finding:
    if view.door is None or view.opening is None:
        return Finding(DOOR, "none was named: --webdav URL", discovery.UNKNOWN, works=None)
    place = f"{view.opening.prefix}{folder.name}/{FILE}"
    _compare(view.door.content(place), view.door.url(place))
    url = view.door.url(view.opening.prefix)
    said = f"a file written by CS3 was read at {url}{discovery.whose(view)}"
    return Finding(DOOR, said, facts={"url": url})


def _copies(view: View, folder: Ref) -> Finding:
    """From itself to itself, as if from another site: the only other one that we may show our token."""
    if view.door is None or view.opening is None:
        return Finding(COPIES, "not without a WebDAV door", discovery.UNKNOWN, works=None)
    try:
        view.door.pull(f"{view.opening.prefix}{folder.name}", FILE, COPY)
    except (NotDone, Cs3Error) as refused:
        return Finding(COPIES, f"not made here ({refused}): the mover streams", works=None)
    try:
        _compare(_read(view.client, folder / COPY), str(folder / COPY))
    except (WrongContent, NotFound, ServerError) as error:
        said = f"!! it says success, and what is there is wrong ({error}): use the mover, which looks, and no FTS"
        return Finding(COPIES, said, works=False)
    return Finding(COPIES, "pulled a file, and it is right")


def _tus(view: View, folder: Ref) -> Finding:
    with view.open(upload_protocol="tus", chunk_size=len(CONTENT) // 2) as client:
        try:
            _write(view, client, folder / IN_TWO)
        except Unsupported as missing:
            return Finding(TUS, f"not offered ({missing.message}): an upload that was cut begins anew", works=None)
    return Finding(TUS, "sent a file in two parts: large uploads go on after a cut")
