"""The bytes of one version of one file, at whatever offset: two versions never make a file."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from http import HTTPStatus
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from rucio_cs3.errors import Processing, Replaced, SizeMismatch, Unavailable
from rucio_cs3.transfer.http import expect, fill, map_failures
from rucio_cs3.transfer.local import BLOCK
from rucio_cs3.transfer.ranges import NoRanges, Span, told_length, told_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rucio_cs3.cs3.files import Endpoint
    from rucio_cs3.model import Info, Ref
    from rucio_cs3.transfer.http import DataServers
    from rucio_cs3.transfer.part import Found


class Gateway(Protocol):
    """Who knows the files: transfer.download.Downloads."""

    def readable(self, ref: Ref) -> Info: ...

    def endpoint(self, ref: Ref) -> Endpoint: ...


@dataclass(frozen=True, eq=False)
class Body:
    """An answer that is being read."""

    start: int
    """where in the file its first byte is"""
    response: Any
    url: str
    path: str

    def fill(self, view: memoryview) -> int:
        """Read until `view` is full or the answer ends; what came before a failure is given out first."""
        with map_failures(self.url, self.path):
            return fill(self.response, view)


class Content:
    """Servers ignore If-Match, so each answer is compared: its size with the storage's, the rest with the first.

    Some make an ETag of the time of modification alone, and then only a checksum tells two contents apart.
    """

    def __init__(
        self, ref: Ref, info: Info, gateway: Gateway, servers: DataServers, found: Found | None = None
    ) -> None:
        self.ref = ref
        self.info = info
        self.etag = found.etag if found else None
        self._checksum: str | None = None
        self._gateway = gateway
        self._servers = servers
        self._endpoint: Endpoint | None = None
        self._answers = 1 if found else 0
        self._replaced = False
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def open(self, start: int = 0) -> Iterator[Body]:
        """What lies from `start` on, or the whole file where the server knows no ranges: `Body.start` tells.

        Raises:
            Replaced: the file is no longer what it was; so is every later attempt.
            SizeMismatch: the data server has another size than the storage from the beginning.
        """
        with contextlib.ExitStack() as stack:
            endpoint = self._find(renew=True)
            body = None
            if start and self._servers.ranges.honours(endpoint.url) is not False:
                with contextlib.suppress(NoRanges):
                    body = stack.enter_context(self._part(endpoint, start, self.info.size))
            yield body or stack.enter_context(self._whole(endpoint))

    @contextlib.contextmanager
    def part(self, start: int, end: int, *, renew: bool = False) -> Iterator[Body]:
        """Exactly these bytes. Raises NoRanges."""
        endpoint = self._find(renew=renew)
        if self._servers.ranges.honours(endpoint.url) is False:
            raise NoRanges
        with self._part(endpoint, start, end) as body:
            yield body

    @property
    def may_serve_parts(self) -> bool:
        """False when the server is known not to."""
        return self._endpoint is None or self._servers.ranges.honours(self._endpoint.url) is not False

    def serves_parts(self) -> bool:
        """Asks, when nobody has yet."""
        endpoint = self._find(renew=False)
        if self._servers.ranges.honours(endpoint.url) is None and self.info.size:
            with contextlib.suppress(NoRanges), self.part(self.info.size - 1, self.info.size) as body:
                body.fill(memoryview(bytearray(1)))
        return bool(self._servers.ranges.honours(endpoint.url))

    @property
    def is_far(self) -> bool:
        return self._endpoint is not None and self._servers.ranges.far(self._endpoint.url)

    def compare_answers(self) -> None:
        """See that all answers were of one file, when they carried no ETag. Raises Replaced."""
        if self.etag is None and self._answers > 1:
            self._look_again()

    def confirm(self) -> None:
        """For after the last byte, where no checksum tells: some storages write over files while we read them.

        A small file that came in one answer was in the server's hands before anybody could. Raises Replaced.
        """
        if self._answers > 1 or self.info.size >= BLOCK:
            self._look_again()

    def _look_again(self) -> None:
        try:
            same = same_file(self._gateway.readable(self.ref), self.info)
        except Processing:  # of what was uploaded meanwhile
            same = False
        if not same:
            self._refuse()

    def _find(self, *, renew: bool) -> Endpoint:
        if self._replaced:
            self._refuse()
        with self._lock:
            if renew or self._endpoint is None:
                self._endpoint = self._gateway.endpoint(self.ref)
            return self._endpoint

    @contextlib.contextmanager
    def _part(self, endpoint: Endpoint, start: int, end: int) -> Iterator[Body]:
        headers = {"Range": f"bytes={start}-{'' if end == self.info.size else end - 1}"}
        if self.etag and self.etag.startswith('"'):
            headers["If-Match"] = self.etag
        with self._servers.get(endpoint, path=str(self.ref), headers=headers) as response:
            if response.status == HTTPStatus.PRECONDITION_FAILED:
                self._refuse()
            span = Span.of(response)
            wrong = span is None or (span.start, span.end) != (start, end)
            if response.status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
                self._compare(response.headers, self.info.size if span is None else span.total)
            elif response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._compare({}, told_size(response))
            else:
                self._expect(response, endpoint)
            self._servers.ranges.learn(endpoint.url, honours=not wrong)
            if wrong:
                raise NoRanges
            yield Body(start, response, endpoint.url, str(self.ref))

    @contextlib.contextmanager
    def _whole(self, endpoint: Endpoint) -> Iterator[Body]:
        with self._servers.get(endpoint, path=str(self.ref)) as response:
            self._expect(response, endpoint)
            self._compare(response.headers, told_length(response))
            yield Body(0, response, endpoint.url, str(self.ref))

    def _expect(self, response: Any, endpoint: Endpoint) -> None:
        if response.status == HTTPStatus.NOT_FOUND:
            raise Unavailable("the data server does not find what the storage has just shown", path=str(self.ref))
        expect(response, (HTTPStatus.OK,), str(self.ref), endpoint)

    def _compare(self, headers: Mapping[str, str], size: int | None) -> None:
        if size is not None and size != self.info.size:
            if self._answers:
                self._refuse()
            raise SizeMismatch(f"the data server has {size} bytes instead of {self.info.size}", path=str(self.ref))
        etag, checksum = headers.get("ETag"), headers.get("OC-Checksum")
        with self._lock:
            known = ((self.etag, etag), (self._checksum, checksum))
            self.etag, self._checksum = self.etag or etag, self._checksum or checksum
            self._answers += 1
        if any(first and now and first != now for first, now in known):
            self._refuse()

    def _refuse(self) -> NoReturn:
        self._replaced = True
        raise Replaced("the file was replaced while it was read", path=str(self.ref))


def same_file(one: Info, other: Info) -> bool:
    facts = attrgetter("id", "etag", "size", "mtime", "checksums")
    return bool(facts(one) == facts(other))
