"""COPY from or to another site, over HTTP: as Reva does it, or as it should be done.

What is marked !! says that it did what it did not. Nothing of that is in the ways that are called honest.
"""

from __future__ import annotations

import contextlib
import posixpath
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rucio_cs3.gateway.davrequest import failed
from rucio_cs3.gateway.elsewhere import BLOCK, Unreachable, content_of, told_length
from rucio_cs3.gateway.exchange import Answered
from rucio_cs3.gateway.moves import Moves
from rucio_cs3.gateway.progress import Progress
from rucio_cs3.gateway.properties import is_folder
from rucio_cs3.gateway.status import Refused
from rucio_cs3.gateway.streams import BodyCut, Dropped, disturb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

CREATED = "success: Created"
TRANSFER = "TransferHeader"
WRITTEN = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT)


class ThirdParty(Moves):
    def copy(self) -> None:
        """!! As it was seen, a copy within the site is one to another site, too."""
        kind = self._site.tpc
        pulls, pushes = (bool(self._headers.get(name)) for name in ("Source", "Destination"))
        if kind == "off" or not (pulls or pushes) or (kind == "as-seen" and self._door.space):
            super().copy()
        elif kind == "as-seen":
            (self._pull_as_seen if pulls else self._push_as_seen)()
        elif pulls:
            self._pull_honestly()
        elif _netloc(self._headers["Destination"]) in ("", self._headers.get("Host")):
            super().copy()
        else:
            self._push_honestly()

    # As it was seen

    def _pull_as_seen(self) -> None:
        """!! What is announced has no length, and whatever becomes of the upload then counts for nothing."""
        self._refuse_existing()
        told = {"Authorization": self._headers.get(f"{TRANSFER}Authorization", "")}
        with self._asked(self._headers["Source"], told) as answer:
            if answer.status == HTTPStatus.NOT_IMPLEMENTED:  # what Reva says of a folder
                raise Answered(HTTPStatus.BAD_REQUEST)
            if answer.status != HTTPStatus.OK:
                raise Answered(answer.status)
            try:
                what = self._announce(self._path, 0)
            except Refused as refused:
                raise Answered(HTTPStatus.INTERNAL_SERVER_ERROR) from refused
            progress, said = Progress(self._handler), CREATED
            try:
                blocks = progress.watched(self._disturbed(content_of(answer)))
                self._handler.receive(what, self._user, blocks, told_length(answer))
            except Dropped:
                raise
            except BodyCut:  # !! and what has come is kept
                said = ""
            except (Refused, Answered):  # !!
                pass
        self._told(progress, said)

    def _push_as_seen(self) -> None:
        """!! What the other side answers counts for nothing."""
        self._overwrite()
        info = self._look(self._path)
        if info is None:
            raise Dropped(reset=False)
        if is_folder(info):
            raise Answered(HTTPStatus.BAD_REQUEST)
        if not self._is_simple():
            raise Answered(HTTPStatus.INTERNAL_SERVER_ERROR)
        self._site.in_place.refuse_broken(self._user)
        url = self._headers["Destination"]
        token = _netloc(url).rpartition("@")[0]
        told = {"Authorization": f"Bearer {token}" if token else self._headers.get(f"{TRANSFER}Authorization", "")}
        progress, said = Progress(self._handler), CREATED
        length = info.size or None  # !! Go takes 0 for unknown
        with self._opened(self._path) as file:
            try:
                self._site.elsewhere.put(url, told, progress.watched(self._disturbed(_blocks_of(file))), length)
            except Unreachable:
                said = ""
        self._told(progress, said)

    @contextlib.contextmanager
    def _asked(self, url: str, headers: dict[str, str]) -> Iterator[Any]:
        try:
            answer = self._site.elsewhere.get(url, headers)
        except Unreachable as error:
            raise Answered(HTTPStatus.INTERNAL_SERVER_ERROR) from error
        with contextlib.closing(answer):
            yield answer

    def _is_simple(self) -> bool:
        """Whether there is an address to fetch it from that the door knows what to do with."""
        protocols = self._ask("InitiateFileDownload", ref=self._ref(self._path)).protocols
        return any(one.protocol == "simple" for one in protocols)

    # As it should be done

    def _pull_honestly(self) -> None:
        """The file appears whole, or not at all, and what is said is so."""
        there = self._refuse_existing()
        if there and is_folder(there):
            raise failed(409, f"{self._path} is a folder")
        if not self._look(posixpath.dirname(self._path)):
            raise failed(409, "Parent node does not exist")
        progress = Progress(self._handler)
        try:
            with contextlib.closing(self._site.elsewhere.get(self._headers["Source"], self._forwarded())) as answer:
                said = self._taken(answer, progress)
        except Unreachable as error:
            said = f"failure: the source cannot be reached: {error}"
        self._told(progress, said)

    def _taken(self, answer: Any, progress: Progress) -> str:
        length = told_length(answer)
        if answer.status != HTTPStatus.OK or length is None:
            return f"failure: rejected GET: {answer.status} {answer.reason if length is not None else 'of no length'}"
        what = self._announce(self._path, length)
        if not length and self._site.behaviour.commits_empty_at_once:
            return CREATED
        blocks = progress.watched(self._disturbed(content_of(answer)))
        try:
            place = self._handler.receive(what, self._user, _whole(blocks, length), length)
        except Refused as refused:
            self._undo(what)
            if isinstance(refused.__cause__, Dropped):
                raise refused.__cause__ from None
            return f"failure: {refused.message}"
        return CREATED if place and self._stat(self._path).size == length else "failure: it is not what was sent"

    def _undo(self, what: str) -> None:
        """Of an upload that failed nothing is left."""
        upload = self._site.uploads.find(what) if self._site.behaviour.stages_uploads else None
        if upload:
            self._site.uploads.drop(upload)
        elif not self._site.behaviour.stages_uploads:
            with contextlib.suppress(Refused):
                self._ask("Delete", ref=self._ref(self._path))

    def _push_honestly(self) -> None:
        """What has been sent is looked for."""
        info = self._found(self._path)
        if is_folder(info):
            raise Answered(HTTPStatus.BAD_REQUEST)
        url, told, progress = self._headers["Destination"], self._forwarded(), Progress(self._handler)
        try:
            if not self._overwrite() and self._site.elsewhere.head(url, told)[0] == HTTPStatus.OK:
                raise failed(412, f"Could not overwrite Resource {url}")
            with self._opened(self._path) as file:
                blocks = progress.watched(self._disturbed(_blocks_of(file)))
                code = self._site.elsewhere.put(url, told, blocks, info.size)
            found = self._site.elsewhere.head(url, told) if code in WRITTEN else None
        except Unreachable as error:
            self._told(progress, f"failure: the destination cannot be reached: {error}")
            return
        if found is None:
            self._told(progress, f"failure: rejected PUT: {code}")
        else:
            self._told(progress, CREATED if found == (HTTPStatus.OK, info.size) else "failure: it is not there after")

    def _forwarded(self) -> dict[str, str]:
        return {
            name[len(TRANSFER) :]: value
            for name, value in self._headers.items()
            if name.lower().startswith(TRANSFER.lower())
        }

    # Both

    def _refuse_existing(self) -> Any:
        """What is there, if it may be written over."""
        overwrite = self._overwrite()
        there = self._look(self._path)
        if there and not overwrite:
            raise Answered(HTTPStatus.PRECONDITION_FAILED)
        return there

    def _disturbed(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        return disturb(blocks, self._struck)

    def _told(self, progress: Progress, said: str) -> None:
        self._handler.done(self._struck)
        progress.end(said)


def _netloc(url: str) -> str:
    """Empty for what is no address."""
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def _blocks_of(file: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: file.read(BLOCK), b"")


def _whole(blocks: Iterator[bytes], length: int) -> Iterator[bytes]:
    """Raises Refused where an upload would be kept although it was cut."""
    came = 0
    try:
        for block in blocks:
            came += len(block)
            yield block
    except BodyCut as error:
        raise Refused("INTERNAL", f"the source broke off after {came} of {length} bytes") from error
    if came != length:
        raise Refused("INTERNAL", f"{came} bytes came, and not {length}")
