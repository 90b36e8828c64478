"""HTTP connections to data servers: pooled, bounded in time, never redirected, and with our errors."""

from __future__ import annotations

import contextlib
import http.client
import logging
import math
import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import urllib3

from rucio_cs3 import deadline, observe
from rucio_cs3.errors import Unsupported, from_http
from rucio_cs3.transfer.ranges import Ranges, origin_of
from rucio_cs3.web import Pools, failures, unheard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from rucio_cs3.config import Config
    from rucio_cs3.credentials.tokens import Tokens
    from rucio_cs3.cs3.files import Endpoint
    from rucio_cs3.errors import Cs3Error
    from rucio_cs3.web import Response

log = logging.getLogger(__name__)
BYTES = "bytes"  # the phase of a transfer that each request with its bytes is
SLOWEST_COMMIT = 20 << 20  # bytes/s: after the last byte servers hash and copy before they answer


class DataServers:
    """All HTTP traffic of one client."""

    def __init__(self, config: Config, tokens: Tokens) -> None:
        self._config = config
        self._tokens = tokens
        self._pools = Pools(config, config.stall_timeout)
        self.ranges = Ranges()

    def close(self) -> None:
        self._pools.close()

    @contextlib.contextmanager
    def get(self, endpoint: Endpoint, *, path: str, headers: Mapping[str, str] | None = None) -> Iterator[Any]:
        """The response, its body not yet read. Use within `with`: a connection not read to its end is not reused."""
        began = time.monotonic()
        with observe.call("GET", endpoint.url, path, BYTES) as step:
            response = self._send("GET", endpoint, path=path, wait=0, headers={**(headers or {}), **step.headers})
            self.ranges.answered(endpoint.url, time.monotonic() - began)
            try:
                yield response
            finally:
                if not _raw(response).is_read:  # else urllib3 2, which read nothing of it, would miss bytes and hang up
                    _end(response)
                response.release_conn()

    def put(self, endpoint: Endpoint, body: Iterable[Any], size: int, *, path: str) -> None:
        """Send `size` bytes and wait until the server has them. Only 200 means so; 206 looks alike and is not."""
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        self.ask("PUT", endpoint, HTTPStatus.OK, path=path, headers=headers, body=body, size=size)

    def ask(
        self,
        method: str,
        endpoint: Endpoint,
        wanted: HTTPStatus,
        *,
        path: str,
        headers: Mapping[str, str],
        body: Iterable[Any] | None = None,
        size: int = 0,
    ) -> Mapping[str, str]:
        """The headers of the answer, whose status has to be `wanted`. `size` is what the server commits before it."""
        wait = size / SLOWEST_COMMIT
        with observe.call(method, endpoint.url, path, BYTES if body is not None else "") as step:
            headers = {**headers, **step.headers}
            response = self._send(method, endpoint, path=path, wait=wait, headers=headers, body=body)
            try:
                expect(response, (wanted,), path, endpoint)
                with map_failures(endpoint.url, path):
                    response.drain_conn()
            except BaseException:
                response.close()  # what is left of its answer is nobody else's
                raise
            finally:
                response.release_conn()
        found: Mapping[str, str] = response.headers
        return found

    def _send(
        self,
        method: str,
        endpoint: Endpoint,
        *,
        path: str,
        wait: float,
        headers: Mapping[str, str],
        body: Iterable[Any] | None = None,
    ) -> Any:
        self._refuse_nonsense(endpoint.url, path)
        self._refuse_plaintext(endpoint.url, path)
        timeout = urllib3.Timeout(
            connect=deadline.at_most(self._config.connect_timeout),
            read=deadline.at_most(self._config.stall_timeout + wait),
        )
        headers = {**headers, **self._authorisation(endpoint)}
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
        log.debug("%s %s at %s: HTTP %d", method, path, origin_of(endpoint.url), response.status)
        return response

    def _authorisation(self, endpoint: Endpoint) -> dict[str, str]:
        transfer = {"X-Reva-Transfer": endpoint.token} if endpoint.token else {}
        return {"X-Access-Token": self._tokens.get(), **transfer}

    def _refuse_nonsense(self, url: str, path: str) -> None:
        try:
            parts = urlsplit(url)
            fits = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            fits = False
        if not fits:
            raise Unsupported(
                f"gateway {self._config.gateway} sends us to a data server at an address that is none",
                path=path,
                hint="the site's operator has to correct the address of the data server",
            )

    def _refuse_plaintext(self, url: str, path: str) -> None:
        if self._config.tls and not url.startswith("https://"):
            raise Unsupported(
                f"gateway {self._config.gateway} sends us to a data server without TLS, {origin_of(url)}",
                path=path,
                hint="the site must offer https there; a token is not sent in the clear",
            )


def choose(offered: Iterable[Endpoint], protocols: Sequence[str], what: str, *, path: str, hint: str = "") -> Endpoint:
    """The one whose protocol comes first. Raises Unsupported when there is none."""
    found = {endpoint.protocol: endpoint for endpoint in reversed([*offered])}
    for protocol in protocols:
        if protocol in found:
            return found[protocol]
    names, ours = ", ".join(reversed(found)) or "nothing", " and ".join(sorted(protocols))
    raise Unsupported(f"the site offers {names} for {what}, and we speak {ours}", path=path, hint=hint)


def fill(response: Any, view: memoryview) -> int:
    """Read the body until `view` is full or the body ends, with no copy on the way."""
    return _raw(response).fill(view)


def _end(response: Any) -> None:
    """Nothing of this answer may be taken for the next one's."""
    if response.length_remaining == 0:
        response.drain_conn()
    else:
        response.close()


def _raw(response: Any) -> Response:
    """Below urllib3, whose readinto makes bytes first and copies them."""
    return cast("Response", response._original_response)  # noqa: SLF001 - it has no other way there


def expect(response: Any, statuses: tuple[int, ...], path: str, endpoint: Endpoint | None = None) -> None:
    """Raise our error for any other status. Of what is secret in `endpoint` it says nothing."""
    if response.status not in statuses:
        raise _refusal(response, path, endpoint)


def _refusal(response: Any, path: str, endpoint: Endpoint | None) -> Cs3Error:
    error = from_http(response.status, _without(endpoint, _reason(response)), path=path)
    now = time.time()
    wish = moment(response.headers.get("Retry-After", ""), now)
    error.retry_after = None if wish is None else max(wish - now, 0.0)
    return error


def _reason(response: Any) -> str:
    """What the server says of it. The status counts also when the rest of the answer never comes."""
    try:
        text: str = response.read(500).decode("utf-8", "replace")
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError):
        return ""
    return " ".join(text.split())[:200]


def _without(endpoint: Endpoint | None, words: str) -> str:
    """Servers like to repeat the address that was asked for."""
    if endpoint is None:
        return words
    address = urlsplit(endpoint.url).path
    for secret in (endpoint.token, address, address.rpartition("/")[2]):
        if len(secret) > 1:
            words = words.replace(secret, "…")
    return words


def moment(text: str, since: float = 0.0) -> float | None:
    """What a header says: seconds from `since` on, or a date. In seconds since 1970, None for what is neither."""
    try:
        when = since + float(text) if text.strip().isdigit() else parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):  # the first before Python 3.10
        return None
    return when if math.isfinite(when) else None


def map_failures(url: str, path: str) -> AbstractContextManager[None]:
    """Our errors for what happens to a connection to a data server."""
    return failures(f"data server {origin_of(url)}", patience="stall_timeout", path=path)
