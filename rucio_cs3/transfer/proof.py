"""What a storage has is what was sent to it: seen before the file gets its name."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

from rucio_cs3 import deadline
from rucio_cs3.cs3.files import FIRST_LOOK, LATER_LOOKS
from rucio_cs3.errors import ChecksumMismatch, NotFound, NotStored, Processing, SizeMismatch, TurnedDown, WrongContent
from rucio_cs3.transfer import verify
from rucio_cs3.transfer.retry import again

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rucio_cs3.config import Config
    from rucio_cs3.credentials.tokens import Tokens
    from rucio_cs3.cs3.files import Files
    from rucio_cs3.model import Info, Ref
    from rucio_cs3.transfer.download import Downloads
    from rucio_cs3.transfer.local import Source


class Proof:
    """As thorough as the setting `verify` says."""

    def __init__(self, config: Config, files: Files, tokens: Tokens, downloads: Downloads) -> None:
        self._config = config
        self._files = files
        self._tokens = tokens
        self._downloads = downloads

    def of(self, source: Source, staging: Ref, tally: verify.Tally, *, inherited: bool) -> Info | None:
        """What is there; None when nobody is to look. Of an `inherited` session a part was sent by another run."""
        if self._config.verify == "none":
            return None
        info = self._stored(staging, tally)
        if self._config.verify == "readback" or (inherited and not info.checksums):
            try:
                self._downloads.to_file(staging, _Void(), checksums=tally.checksums)
            except WrongContent as error:  # by the storage's own word; but what was sent was right
                raise ChecksumMismatch(error.message, path=error.path) from error
        elif info.checksums and not info.checksums.keys() & tally.checksums.keys():
            # It tells one that we did not compute on the way.
            ours = hashed(source, verify.cheapest(info.checksums))
            source.confirm()
            verify.same_checksums(ours, info.checksums, str(staging), "the storage computed")
        return info

    def _stored(self, staging: Ref, tally: verify.Tally) -> Info:
        """What the storage has, if that is what was sent, and if the storage's own checks are over.

        Raises:
            NotStored: it is not there, or TurnedDown by those checks.
            Processing: they take too long.
        """
        patience = time.monotonic() + self._config.processing_timeout
        pause, processed = FIRST_LOOK, False
        while True:
            try:
                info = again(lambda _: self._files.stat(staging), self._config, self._tokens)
                if not processed or not info.processing:
                    verify.stored(tally, info, str(staging))
            except (NotFound, SizeMismatch, ChecksumMismatch) as error:
                if processed:
                    raise TurnedDown(
                        "the storage took the bytes, and its checks turned them down", path=str(staging)
                    ) from error
                if isinstance(error, NotFound):
                    raise NotStored("the storage took the bytes, but has no such file", path=str(staging)) from error
                raise
            if not info.processing:
                return info
            processed = True
            if time.monotonic() > patience:
                raise Processing(
                    "the storage is still processing it",
                    path=str(staging),
                    hint="raise processing_timeout, or ask the site's operator",
                )
            deadline.sleep(pause)
            pause = min(2 * pause, LATER_LOOKS)


def hashed(source: Source, algorithms: Iterable[str]) -> dict[str, str]:
    tally = verify.Tally(algorithms, source.size)
    for block in source.blocks():
        tally.add(block)
    return tally.checksums


class _Void(io.BytesIO):
    """Where a file goes that is read only to be compared."""

    def write(self, data: Any) -> int:
        return len(data)
