"""The other side of a third-party copy: what is asked of it over HTTP."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3

from rucio_cs3 import observe
from rucio_cs3.gateway.streams import BodyCut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BLOCK = 64 << 10  # small, so that a slow copy is seen to go on
PATIENCE = urllib3.Timeout(connect=10, read=60)
FOLLOWED = urllib3.Retry(total=10, connect=0, read=0, other=0, redirect=10)
FAILURES = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)


class Unreachable(Exception):
    """There was no answer from the other side."""


class Elsewhere:
    """Whoever speaks TLS has to show a certificate of the authorities in `ca`, a file or folder; else the system's."""

    def __init__(self, ca: Path | None = None) -> None:
        trusted = {"ca_cert_dir" if ca.is_dir() else "ca_certs": str(ca)} if ca else {}
        self._pool = urllib3.PoolManager(timeout=PATIENCE, cert_reqs="CERT_REQUIRED", **trusted)

    def get(self, url: str, headers: Mapping[str, str]) -> Any:
        """An answer whose body is still to come, to be closed. Raises Unreachable, as the others do."""
        return self._ask("GET", url, headers, retries=FOLLOWED)

    def put(self, url: str, headers: Mapping[str, str], body: Iterator[bytes], length: int | None) -> int:
        """The code of the answer; without a length it goes in chunks. Raises what `body` raises, too."""
        told = {} if length is None else {"Content-Length": str(length)}
        with self._ask("PUT", url, {**headers, **told}, body=body, retries=False) as answer:
            return int(answer.status)

    def head(self, url: str, headers: Mapping[str, str]) -> tuple[int, int | None]:
        """The code of the answer, and the length that it tells."""
        with self._ask("HEAD", url, headers, retries=False) as answer:
            return answer.status, told_length(answer)

    def close(self) -> None:
        self._pool.clear()

    def _ask(self, method: str, url: str, headers: Mapping[str, str], **options: Any) -> Any:
        headers = {**headers, **observe.headers()}
        try:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise Unreachable("no address")
            return self._pool.request(method, url, headers=headers, preload_content=False, **options)
        except FAILURES as error:
            raise Unreachable(type(error).__name__) from error


def told_length(answer: Any) -> int | None:
    told = answer.headers.get("Content-Length", "")
    return int(told) if told.isdigit() else None


def content_of(answer: Any) -> Iterator[bytes]:
    """The body as it comes. Raises BodyCut when it ends too early."""
    came, told = 0, told_length(answer)
    try:
        for block in answer.stream(BLOCK, decode_content=False):
            came += len(block)
            yield block
    except FAILURES as error:
        raise BodyCut from error
    if told is not None and came != told:
        raise BodyCut
