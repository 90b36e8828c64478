"""For those who come before the services that they need, as everything starts at once."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 300  # a busy machine is slow


def until(ask: Callable[[], object], service: str, *refusals: type[Exception]) -> None:
    """Ask until there is no such refusal; end the program when it takes too long."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            ask()
        except refusals as error:
            if time.monotonic() > end:
                sys.exit(f"{service} does not answer ({error}): docker-compose logs {service} tells why")
            time.sleep(0.2)
        else:
            return
