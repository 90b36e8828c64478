"""Bytes from the storage: size and checksum agree before anybody sees the file under its name."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rucio_cs3 import observe
from rucio_cs3.errors import (
    ChecksumMismatch,
    Interrupted,
    IsDirectory,
    Processing,
    Replaced,
    SizeMismatch,
    WrongContent,
)
from rucio_cs3.model import Ref
from rucio_cs3.transfer import parallel, verify
from rucio_cs3.transfer.content import Content, same_file
from rucio_cs3.transfer.http import choose
from rucio_cs3.transfer.landing import Landing
from rucio_cs3.transfer.local import BLOCK, local_target
from rucio_cs3.transfer.part import NO_PART, NOTED_EVERY, part_of, there_already
from rucio_cs3.transfer.ranges import NoRanges
from rucio_cs3.transfer.retry import DOWNLOAD, retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rucio_cs3.config import Config
    from rucio_cs3.credentials.tokens import Tokens
    from rucio_cs3.cs3.files import Endpoint, Files
    from rucio_cs3.model import Info, Target
    from rucio_cs3.transfer.content import Body
    from rucio_cs3.transfer.http import DataServers
    from rucio_cs3.transfer.part import NoPart

log = logging.getLogger(__name__)
PROTOCOLS = ("simple", "spaces")  # two names of one plain GET
STEP = 8 << 20  # bytes; a transfer that gets so much further between its failures is not given up


class Downloads:
    """Downloads of one client."""

    def __init__(self, config: Config, files: Files, servers: DataServers, tokens: Tokens) -> None:
        self.config = config
        self.servers = servers
        self.tokens = tokens
        self._files = files

    def to_path(
        self,
        target: Target,
        path: str,
        *,
        resume: bool = False,
        overwrite: bool = True,
        checksums: Mapping[str, str] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Info:
        """Like `to_file`, into a new file that gets its name when it is whole and right.

        With `resume`, what came before the network failed, or the process was stopped, is kept for the next call.

        Raises:
            AlreadyExists: something has that name, and `overwrite` is False.
        """
        place = Path(path)
        with local_target(path):
            if place.is_dir():
                raise IsADirectoryError(errno.EISDIR, "it is a folder")
            if not overwrite and os.path.lexists(place):
                raise there_already(place)
            if place.exists() and not place.is_file():
                raise OSError(errno.EEXIST, "it is not a regular file: open it, and hand over the open file")
        with part_of(place, resume=resume, overwrite=overwrite) as part:
            return _Download(self, Ref.of(target), part.file, checksums, progress, part).run()

    def to_file(
        self,
        target: Target,
        sink: BinaryIO,
        *,
        checksums: Mapping[str, str] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Info:
        """Write the file to `sink` and compare with the storage's checksum and those given.

        A `sink` that cannot go back to where it began can be gone on with, but not be begun anew.
        """
        return _Download(self, Ref.of(target), sink, checksums, progress).run()

    def readable(self, ref: Ref) -> Info:
        """Stat a file that has content to give."""
        info = self._files.stat(ref)
        if not info.is_file:
            raise IsDirectory(f"it is a {info.kind}, not a file", path=str(ref))
        if info.processing:
            raise Processing("the storage is still processing it", path=str(ref))
        return info

    def serves_parts(self, ref: Ref) -> bool:
        return Content(ref, self.readable(ref), self, self.servers).serves_parts()

    def endpoint(self, ref: Ref) -> Endpoint:
        return choose(self._files.initiate_download(ref), PROTOCOLS, "downloads", path=str(ref))


class _Download:
    """One file, through all attempts. Each goes on where the last one broke off, if it is still the same file."""

    def __init__(
        self,
        of: Downloads,
        ref: Ref,
        sink: BinaryIO,
        checksums: Mapping[str, str] | None,
        progress: Callable[[int, int], None] | None,
        part: NoPart = NO_PART,
    ) -> None:
        self._of = of
        self._ref = ref
        self._wanted = verify.named(checksums or {})
        self._landing = Landing(sink, self._wanted, progress)
        self._part = part
        self._content: Content | None = None
        self._failure: BaseException | None = None
        self._noted = 0

    def run(self) -> Info:
        times = self._of.config.retries
        return retry(self._attempt, DOWNLOAD, times=times, tokens=self._of.tokens, reached=self._got_on)

    def _got_on(self) -> int:
        """In steps that count. What has begun anew once may do so each time, and gets nowhere."""
        return 0 if self._landing.restarts else self._landing.reached // STEP

    def _attempt(self, _: int) -> Info:
        with observe.phase("look"):
            info = self._of.readable(self._ref)
        content = self._content
        if content is None or not same_file(info, content.info):
            content = self._content = self._begin(info)
        try:
            if self._landing.reached < info.size or not info.size:
                self._fetch(content)
            with observe.phase("verify"):
                if not self._verify(info):
                    content.confirm()
        except (Replaced, SizeMismatch, ChecksumMismatch) as error:
            self._failure, self._content = error, None  # nothing of it is worth keeping
            self._part.note(info, None, 0)
            raise
        except BaseException as error:
            self._failure = error
            self._note(content)
            raise
        self._landing.end()
        return info

    def _begin(self, info: Info) -> Content:
        """With what an earlier call left, or from the first byte."""
        self._rewind(info)
        found = self._part.take(info, verifiable=bool(info.checksums or self._wanted))
        content = Content(self._ref, info, self._of, self._of.servers, found)
        if found:
            log.info("going on with the download of %s at byte %d", self._ref, found.reached)
            self._landing.take_up(found.reached)
        return content

    def _rewind(self, info: Info) -> None:
        if not self._landing.can_begin and self._failure:
            raise self._failure
        self._landing.begin(info)

    def _fetch(self, content: Content) -> None:
        landing = self._landing
        with content.open(landing.reached) as body:
            if body.start != landing.reached:
                self._rewind(content.info)
            self._note(content)
            if not parallel.is_worth_it(content, landing, self._of.config.streams):
                self._copy(body, content)
                return
        try:
            parallel.Parallel(content, landing, self._of.config, self._of.tokens).run(lambda: self._note(content))
        except NoRanges:
            raise Interrupted("the data server gives no parts of files any more", path=str(self._ref)) from None

    def _copy(self, body: Body, content: Content) -> None:
        size = content.info.size
        view = memoryview(bytearray(min(BLOCK, size + 1)))
        while count := body.fill(view):
            if self._landing.reached + count > size:
                raise SizeMismatch(f"the data server sends more than the {size} bytes of it", path=body.path)
            self._landing.add(view[:count])
            if self._landing.reached - self._noted >= NOTED_EVERY:
                self._note(content)
        if self._landing.reached < size:
            raise Interrupted(f"it ended after {self._landing.reached} of {size} bytes", path=body.path)

    def _note(self, content: Content) -> None:
        self._noted = self._landing.reached
        self._part.note(content.info, content.etag, self._noted)

    def _verify(self, info: Info) -> bool:
        """False when nobody knows a checksum."""
        path, found = str(self._ref), self._landing.checksums
        verify.same_checksums(found, info.checksums, path, "the storage says")
        confirmed = info.checksums.keys() & found.keys()
        error = WrongContent if confirmed else ChecksumMismatch  # else it may have been damaged on the way
        verify.same_checksums(found, self._wanted, path, "expected was", error)
        return bool(confirmed or self._wanted)
