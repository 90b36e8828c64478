"""One large file by several connections at once: on a long link none of them fills the line alone."""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from rucio_cs3 import deadline
from rucio_cs3.checksums import Adler32
from rucio_cs3.deadline import Stop
from rucio_cs3.errors import Interrupted
from rucio_cs3.transfer.local import BLOCK
from rucio_cs3.transfer.retry import DOWNLOAD, retry

if TYPE_CHECKING:
    from collections.abc import Callable

    from rucio_cs3.config import Config
    from rucio_cs3.credentials.tokens import Tokens
    from rucio_cs3.transfer.content import Content
    from rucio_cs3.transfer.landing import Landing

WORTH = 256 << 20  # bytes still to come, from which on it pays
CHUNK = 32 << 20  # bytes of one request: large against a round trip, small against the file


def is_worth_it(content: Content, landing: Landing, streams: int) -> bool:
    """Asks a server that looks far whether it serves parts; the quickest answer of all says how far it is."""
    large = content.info.size - landing.reached >= WORTH
    return (
        streams > 1
        and large
        and content.is_far
        and landing.takes_parts
        and content.serves_parts()
        and content.is_far  # the first answer may have been slow for another reason
    )


class Parallel:
    """The rest of a file. Each part is tried again on its own; when one fails for good, all end."""

    def __init__(self, content: Content, landing: Landing, config: Config, tokens: Tokens) -> None:
        self._content = content
        self._landing = landing
        self._config = config
        self._tokens = tokens
        self._stop = Stop()
        self._stop.ends_calls = True
        self._lock = threading.Lock()
        self._failure: BaseException | None = None

    def run(self, absorbed: Callable[[], None]) -> None:
        """Calls `absorbed` whenever more of the file is there without a gap."""
        self._landing.open_parts()
        size = self._content.info.size
        parts = [(start, min(start + CHUNK, size)) for start in range(self._landing.reached, size, CHUNK)]
        threads = ThreadPoolExecutor(self._config.streams, "rucio-cs3-part")
        with deadline.breaks_off(self._stop), threads as pool:
            futures = [pool.submit(self._in_context(), *part) for part in parts]
            try:
                for (start, end), future in zip(parts, futures):
                    self._landing.absorb(future.result(), end - start)
                    absorbed()
            except BaseException as error:
                self._end(error)
                for future in futures:
                    future.cancel()
                if isinstance(error, Exception) and self._failure not in {None, error}:
                    raise self._failure from None
                raise
            finally:
                self._landing.close_parts()

    def _in_context(self) -> Callable[[int, int], Adler32]:
        """The deadline is the context's."""
        context = contextvars.copy_context()
        return lambda start, end: context.run(self._fetch, start, end)

    def _fetch(self, start: int, end: int) -> Adler32:
        checksum = Adler32()
        view = memoryview(bytearray(min(BLOCK, end - start)))
        reached, again = start, False

        def attempt(_: int) -> None:
            nonlocal reached, again
            renew, again = again, True
            with self._content.part(reached, end, renew=renew) as body:
                while reached < end:
                    count = body.fill(view[: end - reached])
                    if not count:
                        raise Interrupted(f"it ended after {reached} of {end} bytes", path=body.path)
                    self._landing.put(view[:count], reached)
                    checksum.update(view[:count])
                    reached += count

        try:
            times = self._config.retries
            with self._stop.scope():
                retry(attempt, DOWNLOAD, times=times, tokens=self._tokens, reached=lambda: reached // BLOCK)
        except BaseException as error:
            self._end(error)
            raise
        return checksum

    def _end(self, error: BaseException) -> None:
        """Whoever waits, for bytes or to try again, is woken. What they say then is not why it ended."""
        with self._lock:
            self._failure = self._failure or error
        self._stop.now()
