"""HTTP connections to data servers: pooled, bounded in time, never redirected, and with our errors."""

from __future__ import annotations

import contextlib
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import urllib3

from rucio_cs3 import deadline
from rucio_cs3.errors import Unsupported, from_http
from rucio_cs3.web import Pools, failures, unheard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from rucio_cs3.config import Config
    from rucio_cs3.credentials.tokens import Tokens
    from rucio_cs3.cs3.files import Endpoint
    from rucio_cs3.errors import Cs3Error

log = logging.getLogger(__name__)
SLOWEST_COMMIT = 20 << 20  # bytes/s: after the last byte servers hash and copy before they answer


class DataServers:
    """All HTTP traffic of one client."""

    def __init__(self, config: Config, tokens: Tokens) -> None:
        self._config = config
        self._tokens = tokens
        self._pools = Pools(config, config.stall_timeout)

    def close(self) -> None:
        self._pools.close()

    @contextlib.contextmanager
    def get(self, endpoint: Endpoint, *, path: str, headers: Mapping[str, str] | None = None) -> Iterator[Any]:
        """The response, its body not yet read. Use within `with`: a connection not read to its end is not reused."""
        response = self._send("GET", endpoint, path=path, wait=0, headers=headers)
        try:
            yield response
        finally:
            if response.length_remaining == 0:
                response.drain_conn()
            else:
                response.close()
            response.release_conn()

    def put(self, endpoint: Endpoint, body: Iterable[Any], size: int, *, path: str) -> None:
        """Send `size` bytes and wait until the server has them. Only 200 means so; 206 looks alike and is not."""
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        wait = size / SLOWEST_COMMIT
        response = self._send("PUT", endpoint, path=path, wait=wait, headers=headers, body=body)
        try:
            if response.status != HTTPStatus.OK:
                raise _refusal(response, path)
            response.drain_conn()
        finally:
            response.release_conn()

    def _send(
        self,
        method: str,
        endpoint: Endpoint,
        *,
        path: str,
        wait: float,
        headers: Mapping[str, str] | None,
        body: Iterable[Any] | None = None,
    ) -> Any:
        self._refuse_plaintext(endpoint.url, path)
        timeout = urllib3.Timeout(
            connect=deadline.at_most(self._config.connect_timeout),
            read=deadline.at_most(self._config.stall_timeout + wait),
        )
        headers = {**(headers or {}), **self._authorisation(endpoint)}
        with map_failures(endpoint.url, path), unheard():
            response = self._pools.of(endpoint.url).urlopen(
                method,
                endpoint.url,
                body=body,
                headers=headers,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        log.debug("%s %s at %s: HTTP %d", method, path, _origin(endpoint.url), response.status)
        return response

    def _authorisation(self, endpoint: Endpoint) -> dict[str, str]:
        transfer = {"X-Reva-Transfer": endpoint.token} if endpoint.token else {}
        return {"X-Access-Token": self._tokens.get(), **transfer}

    def _refuse_plaintext(self, url: str, path: str) -> None:
        if self._config.tls and not url.startswith("https://"):
            raise Unsupported(
                f"gateway {self._config.gateway} sends us to a data server without TLS, {_origin(url)}",
                path=path,
                hint="the site must offer https there; a token is not sent in the clear",
            )


def expect(response: Any, statuses: tuple[int, ...], path: str) -> None:
    """Raise our error for any other status."""
    if response.status not in statuses:
        raise _refusal(response, path)


def _refusal(response: Any, path: str) -> Cs3Error:
    text = response.read(500).decode("utf-8", "replace")
    return from_http(response.status, " ".join(text.split())[:200], path=path)


def _origin(url: str) -> str:
    """The part of an endpoint that may be shown: the rest can be a secret."""
    return "/".join(url.split("/", 3)[:3])


def map_failures(url: str, path: str) -> AbstractContextManager[None]:
    """Our errors for what happens to a connection to a data server."""
    return failures(f"data server {_origin(url)}", patience="stall_timeout", path=path)
