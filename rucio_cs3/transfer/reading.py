"""A file at one site as what is sent to another one, and its failures told apart from those of where it goes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Callable

from rucio_cs3.errors import Cs3Error
from rucio_cs3.transfer import verify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rucio_cs3.model import Info, Uploaded
    from rucio_cs3.transfer.ends import Remote


class SourceFailed(Exception):
    """Carries the failure of what is read past the other end, which would take it for its own, and begin anew."""

    def __init__(self, error: Cs3Error) -> None:
        super().__init__(str(error))
        self.error = error


class Reading(io.RawIOBase):
    """A file at a site that is read to be sent to another one. No more of it is in memory than one block."""

    def __init__(self, source: Remote) -> None:
        """Look at it; its bytes are asked for when they are read."""
        super().__init__()
        self._file: Any = source.client.open_read(source.ref).detach()
        self.info: Info = self._file.info
        self.name = self.info.path or self.info.name

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
        self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        position: int = self._file.tell()
        return position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        position: int = self._file.seek(offset, whence)
        return position

    def readinto(self, buffer: Any, /) -> int | None:
        try:
            count: int | None = self._file.readinto(buffer)
        except Cs3Error as error:
            raise SourceFailed(error) from error
        return count
