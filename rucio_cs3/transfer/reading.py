"""A file at one site as what is sent to another one, and its failures told apart from those of where it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, cast

from rucio_cs3.errors import Cs3Error
from rucio_cs3.transfer import verify
from rucio_cs3.transfer.ahead import Ahead
from rucio_cs3.transfer.local import BLOCK
from rucio_cs3.transfer.stream import Seekable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rucio_cs3.model import Uploaded
    from rucio_cs3.transfer.ends import Remote
    from rucio_cs3.transfer.stream import RemoteFile


class SourceFailed(Exception):
    """Carries the failure of what is read past the other end, which would take it for its own, and begin anew."""

    def __init__(self, error: Cs3Error) -> None:
        super().__init__(str(error))
        self.error = error


class Reading(Seekable):
    """A file at a site that is read to be sent to another one. In memory are its first block and what is read ahead."""

    _ahead: Ahead | None = None

    def __init__(self, source: Remote) -> None:
        """Look at it; its bytes are asked for when they are read."""
        self._file = cast("RemoteFile", source.client.open_read(source.ref).detach())
        super().__init__(self._file.info)
        self.name = self.info.path or self.info.name
        self._first = memoryview(b"")
        self._next = 0  # where what is read ahead goes on

    def send(
        self,
        target: Remote,
        *,
        overwrite: bool,
        checksums: Mapping[str, str] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Uploaded:
        """Compare with what the source's storage says, and with `checksums`, if given.

        Raises:
            SourceFailed: it could not be read.
            WrongContent: it is not what was said of it.
        """
        self._read_first()
        told = {name: self.info.checksums[name] for name in verify.cheapest(self.info.checksums)}
        expected: Any = {**told, **(checksums or {})}
        return target.client.upload(
            self,  # type: ignore[arg-type]
            target.ref,
            overwrite=overwrite,
            root=target.root,
            checksums=expected,
            progress=progress,
        )

    def close(self) -> None:
        self._leave()
        if "_file" in vars(self):  # what could not be opened is closed by the garbage collector, too
            self._file.close()
        super().close()

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        block = self.next_block(len(view))
        view[: len(block)] = block
        return len(block)

    def next_block(self, most: int) -> memoryview:
        """What comes next, up to so many bytes, none at the end. Good until the next one is asked for."""
        most = min(most, self.info.size - self._position)
        block = self._first[self._position : self._position + most]
        if not block and most > 0:
            block = self._further(most)
        self._position += len(block)
        return block

    def _further(self, most: int) -> memoryview:
        if self._ahead is None or self._next != self._position:
            self._leave()
            self._file.seek(self._position)
            self._ahead = Ahead(self._read, self.info.size - self._position)
        block = self._ahead.take(most)
        self._next = self._position + len(block)
        return block

    def _leave(self) -> None:
        if self._ahead:
            self._ahead.end()
        self._ahead = None

    def _read(self, view: memoryview) -> int:
        try:
            return self._file.readinto(view)
        except Cs3Error as error:
            raise SourceFailed(error) from error

    def _read_first(self) -> None:
        """What cannot be read must not begin an upload: some servers make a file of its first byte, or of none."""
        self._leave()
        self._file.seek(0)
        block = memoryview(bytearray(min(BLOCK, self.info.size)))
        self._first = block[: self._read(block)]
