"""MOVE and COPY, within the site. What is marked !! loses data, or says that it did what it did not."""

from __future__ import annotations

import contextlib
import posixpath
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from rucio_cs3.gateway.davrequest import DavRequest, failed, identity
from rucio_cs3.gateway.exchange import BLOCK, Answered
from rucio_cs3.gateway.properties import is_folder
from rucio_cs3.gateway.status import Refused


class Moves(DavRequest):
    _copy_depths: tuple[str, ...] = ("infinity", "0")

    def move(self) -> None:
        """!! What is there is deleted first, so a Move that fails has lost it; onto itself, that is the file."""
        target = self._destination()
        overwrite = self._overwrite()
        self._found(self._path)
        code = self._make_way(target, overwrite=overwrite)
        self._ask("Move", source=self._ref(self._path), destination=self._ref(target))
        info = self._stat(target)
        old_id = f"{info.id.storage_id}!{info.id.opaque_id}"
        self._done(code, {**identity(info), "Content-Type": info.mime_type, "OC-FileId": old_id})

    def copy(self) -> None:
        """Within the site. A copy from or to another one would come with other headers, or with a site's address."""
        target = self._destination()
        overwrite = self._overwrite()
        depth = self._headers.get("Depth", "infinity")
        if depth not in self._copy_depths:
            raise failed(400, f"Depth header is set to incorrect value {depth}")
        source = self._found(self._path)
        code = self._make_way(target, overwrite=overwrite)
        self._copy_to(source, target, deep=depth == "infinity")
        self._done(code)

    def _copy_to(self, source: Any, target: str, *, deep: bool) -> None:
        if is_folder(source):
            try:
                self._ask("CreateContainer", ref=self._ref(target))
            except Refused:
                return  # !! and nobody is told
            for child in self._children(source.path) if deep else ():
                self._copy_to(child, posixpath.join(target, posixpath.basename(child.path)), deep=deep)
            return
        what = self._announce(target, source.size)
        with self._opened(source.path) as file, contextlib.suppress(Refused):  # !! as above
            self._handler.receive(what, self._user, iter(lambda: file.read(BLOCK), b""), source.size)

    def _make_way(self, target: str, *, overwrite: bool) -> int:
        """Delete what is at the target; the code of a success. A new target needs a folder to be in."""
        try:
            there = self._look(target)
        except Refused as refused:  # !! nothing is done, and the answer is that of the source, which was found
            raise Answered(HTTPStatus.OK) from refused
        if there and not overwrite:
            raise failed(412, f"Could not overwrite Resource {target}")
        if there:
            self._ask("Delete", ref=self._ref(target))
            return HTTPStatus.NO_CONTENT
        if not self._look(posixpath.dirname(target)):
            raise Answered(HTTPStatus.CONFLICT)
        return HTTPStatus.CREATED

    def _overwrite(self) -> bool:
        told = self._headers.get("Overwrite", "T").upper() or "T"
        if told not in ("T", "F"):
            raise failed(400, f"Overwrite header is set to incorrect value {told}")
        return bool(told == "T")

    def _destination(self) -> str:
        """!! The path of the URL counts, and neither its host, nor whether it leads through the same door."""
        told = self._headers.get("Destination", "")
        try:
            url = urlsplit(told)
            path = unquote(url.path, errors="strict")
        except (ValueError, UnicodeDecodeError) as error:
            raise Answered(HTTPStatus.BAD_REQUEST) from error
        if not (url.scheme or path.startswith("/")):
            raise Answered(HTTPStatus.BAD_REQUEST)
        target = self._target(path)
        self._check_name(target)
        return target

    def _target(self, path: str) -> str:
        below = path.removeprefix(self._door.base)
        return posixpath.normpath(posixpath.join(self._site.webdav_namespace, below.lstrip("/")))
