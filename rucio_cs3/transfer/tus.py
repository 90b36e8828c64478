"""Resumable uploads, tus 1.0.0, of a session that InitiateFileUpload has opened: creation by POST fails on every site.

The address of a session is a secret: whoever knows it may write, and no server seen asks who that is.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from rucio_cs3.credentials import jwt
from rucio_cs3.errors import (
    ChecksumMismatch,
    Cs3Error,
    Interrupted,
    Locked,
    NotFound,
    PermissionDenied,
    ServerError,
    SessionGone,
)
from rucio_cs3.transfer.http import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rucio_cs3.cs3.files import Endpoint
    from rucio_cs3.transfer.http import DataServers

VERSION = {"Tus-Resumable": "1.0.0"}
CONTENT_TYPE = {"Content-Type": "application/offset+octet-stream"}


class Tus:
    """One session. `expires` is when the site ends it, in seconds since 1970, None while it does not tell."""

    def __init__(self, servers: DataServers, endpoint: Endpoint, size: int, path: str) -> None:
        self._servers = servers
        self._endpoint = endpoint
        self._size = size
        self._path = path
        self.expires = jwt.expiry(endpoint.token)

    def __repr__(self) -> str:
        return f"<Tus {self._path}>"

    def offset(self) -> int:
        """How many bytes the server has. Raises SessionGone."""
        headers = self._ask("HEAD", HTTPStatus.OK)
        try:
            offset = int(headers["Upload-Offset"])
            length = int(headers.get("Upload-Length", self._size))
        except (KeyError, ValueError):
            raise SessionGone("the data server does not say how much it has", path=self._path) from None
        if length != self._size or not 0 <= offset <= self._size:
            raise SessionGone(
                f"the data server has {offset} of {length} bytes, and we send {self._size}: it is not our session",
                path=self._path,
            )
        return offset

    def patch(self, offset: int, body: Iterable[Any], count: int) -> None:
        """Send `count` bytes from `offset` on. Raises Interrupted when the server is elsewhere: ask `offset`."""
        headers = {**CONTENT_TYPE, "Upload-Offset": str(offset), "Content-Length": str(count)}
        end = offset + count
        answer = self._ask("PATCH", HTTPStatus.NO_CONTENT, headers, body, self._size if end == self._size else 0)
        if answer.get("Upload-Offset", str(end)) != str(end):
            raise Interrupted(f"the data server is at {answer['Upload-Offset']} instead of {end}", path=self._path)

    def give_up(self) -> None:
        """Let the server forget what it has. Not all can."""
        self._ask("DELETE", HTTPStatus.NO_CONTENT)

    def _ask(
        self,
        method: str,
        wanted: HTTPStatus,
        headers: Mapping[str, str] | None = None,
        body: Iterable[Any] | None = None,
        size: int = 0,
    ) -> Mapping[str, str]:
        try:
            answer = self._servers.ask(
                method,
                self._endpoint,
                wanted,
                path=self._path,
                headers={**VERSION, **(headers or {})},
                body=body,
                size=size,
            )
        except Cs3Error as error:
            raise _meaning(error) from error
        self.expires = moment(answer.get("Upload-Expires", "")) or self.expires
        return answer


def _meaning(error: Cs3Error) -> Cs3Error:
    """What a status says here, where it differs from what it says to a PUT."""
    if isinstance(error, (NotFound, PermissionDenied)) or _is(error, HTTPStatus.GONE):
        return SessionGone(f"the upload session is over: {error.message}", path=error.path, status=error.status)
    if _is(error, HTTPStatus.CONFLICT):
        return Interrupted("the data server is at another offset", path=error.path, status=error.status)
    if isinstance(error, Locked):
        return Interrupted("the data server still holds the cut request", path=error.path, status=error.status)
    if isinstance(error, ServerError) and "checksum mismatch" in error.message.lower():
        return ChecksumMismatch(error.message, path=error.path, status=error.status)
    return error


def _is(error: Cs3Error, status: HTTPStatus) -> bool:
    return error.status == f"HTTP {status.value}"


def is_over(expires: float | None) -> bool:
    return expires is not None and expires <= time.time()
