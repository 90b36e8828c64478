"""Trying a site with files in a folder of our own below the RSE's root, of which nothing stays."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

from rucio_cs3 import deadline
from rucio_cs3.errors import Cs3Error, NotFound, Processing, Unsupported, WrongContent
from rucio_cs3.mover.model import Side
from rucio_cs3.operate import discovery, names, trial
from rucio_cs3.operate.discovery import COPIES, DOOR, TUS, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.client import Cs3Client
    from rucio_cs3.model import Ref
    from rucio_cs3.operate.discovery import View

CONTENT = b"written by rucio-cs3 to find out what this storage can do; remove it if you see it\n" * 64
WRITING = "write, read and delete"
FILE, IN_PARTS, COPY = (f".rucio-cs3-{name}.part" for name in ("file", "in-parts", "copy"))  # which no dump has
PAUSE = 0.5  # seconds between looks at what the storage still processes


def probe(view: View) -> Iterator[Finding]:
    """In the order of the table that `discovery.look` gives; the last says whether writing works."""
    folder = view.root.ref(names.new())
    try:
        with _tidied(view.client, folder):
            _write(view, folder / FILE)
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


def _write(view: View, file: Ref) -> None:
    view.client.upload(io.BytesIO(CONTENT), file, root=view.root.resolve())
    sink = io.BytesIO()
    view.client.download(file, sink)
    _compare(sink.getvalue(), str(file))


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
    at_root = view.root, view.opening.prefix
    source = view.door.end(Side.SOURCE, *at_root, f"{folder.name}/{FILE}")
    target = view.door.end(Side.TARGET, *at_root, f"{folder.name}/{COPY}")
    tried = trial.copied("pull", source, target, CONTENT)
    if tried.refusal:
        return Finding(COPIES, f"not made here ({tried.refusal}): the mover streams", works=None)
    if not tried.worked:
        said = f"!! it says success, and {tried.seen}: use the mover, which looks, and no FTS"
        return Finding(COPIES, said, works=False)
    return Finding(COPIES, "pulled a file, and it is right")


def _tus(view: View, folder: Ref) -> Finding:
    try:
        tried = trial.in_parts(view.client, folder / IN_PARTS, view.root.resolve(), CONTENT)
    except Unsupported as missing:
        return Finding(TUS, f"not offered ({missing.message}): an upload that was cut begins anew", works=None)
    if not tried.worked:
        return Finding(TUS, f"it takes a file in parts, and {tried.seen}", works=False)
    return Finding(TUS, f"sent a file in {trial.PARTS} parts: large uploads go on after a cut")
