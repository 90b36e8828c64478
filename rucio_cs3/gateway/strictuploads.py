"""Uploads of the second line: under terms, and with a file at the end only if they are kept."""

from __future__ import annotations

import os
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rucio_cs3.gateway.checks import Checks, NotFinished, Terms
from rucio_cs3.gateway.uploads import Upload, Uploads, part_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rucio_cs3.gateway.locks import Locks
    from rucio_cs3.gateway.namespace import Place
    from rucio_cs3.gateway.nodes import Nodes
    from rucio_cs3.gateway.processing import Processing
    from rucio_cs3.gateway.spaces import Spaces
    from rucio_cs3.gateway.users import User, Users


@dataclass(frozen=True)
class StrictUpload(Upload):
    terms: Terms


class StrictUploads(Uploads):
    """!! An upload that fails at the end keeps its bytes, and whoever tries again appends to them."""

    def __init__(self, spaces: Spaces, nodes: Nodes, users: Users, locks: Locks, processing: Processing | None) -> None:
        super().__init__(spaces, nodes, users)
        self._spaces = spaces
        self._checks = Checks(spaces, nodes, locks)
        self._processing = processing
        self._one_at_a_time = threading.Lock()

    def begin(self, place: Place, user: User, request: Any, length: int) -> Upload:
        """!! To announce no bytes is to upload an empty file; to announce a part of a file, that file."""
        part = part_of(place.below, "INVALID_ARGUMENT")
        whole = self._spaces.place(part["name"], user) if part else place
        terms = self._checks.agree(whole, user, request, length)
        upload = self._keep(StrictUpload(str(uuid.uuid4()), place.below, user.username, length, terms))
        if not length:
            self.finish(upload)
        return upload

    def receive(self, upload: Upload, blocks: Iterable[bytes | memoryview], length: int | None) -> Place | None:
        self.append(upload, blocks)
        return None if length is None else self.finish(upload, may_be_part=True)

    def finish(self, upload: Upload, *, may_be_part: bool = False) -> Place | None:
        """Raises NotFinished, and what has come stays; but not if its checksum is wrong."""
        assert isinstance(upload, StrictUpload)
        whole = self._assemble(upload) if may_be_part else (self.content(upload), upload.below)
        if not whole:
            self.drop(upload)
            return None
        content, below = whole
        length = upload.length if below == upload.below else content.stat().st_size
        try:
            facts = self._checks.facts(upload.terms, content, length)
        except NotFinished:
            self.drop(upload)
            raise
        with self._one_at_a_time:
            place = self._checks.target(upload.terms, self._owner(upload), upload.terms.name)
            self._checks.check(upload.terms, place, self._owner(upload), length)
            os.utime(content, ns=(upload.terms.mtime, upload.terms.mtime))
            if length and self._processing:
                facts |= self._processing.begin(self._spaces.path(place))
            self._storage.publish(content, place, facts)
        self.drop(upload)
        return place

    def file_id(self, upload: Upload) -> str:
        """What the file will be known by."""
        assert isinstance(upload, StrictUpload)
        return self._spaces.spelt(self._spaces.identity(upload.terms.space, upload.terms.node))

    def _load(self, entry: dict[str, Any]) -> Upload:
        return StrictUpload(**{**entry, "terms": Terms(**entry["terms"])})
