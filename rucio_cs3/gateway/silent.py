"""A site that is up and says nothing."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def silent_gateway() -> Iterator[str]:
    """Yields an address where every connection is accepted and no byte ever comes back."""
    with socket.create_server(("127.0.0.1", 0)) as server:  # the kernel accepts by itself
        yield f"127.0.0.1:{server.getsockname()[1]}"
