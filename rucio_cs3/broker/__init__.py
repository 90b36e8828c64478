"""A web service that turns a Rucio token into a short-lived Reva token: the machine secret of a site never leaves it.

For any WSGI server: `rucio_cs3.broker:application`, configured by the TOML file that RUCIO_CS3_BROKER_CONFIG names. It
is made when it is first asked for, so a server with a mistake in its configuration does not start.
"""

from __future__ import annotations

import threading
from typing import Any

_lock = threading.Lock()


def __getattr__(name: str) -> Any:
    if name != "application":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rucio_cs3.broker import config  # noqa: PLC0415 - the package can be imported without its extra
    from rucio_cs3.broker.app import Broker  # noqa: PLC0415

    with _lock:
        if name not in globals():
            globals()[name] = Broker(config.load())
        return globals()[name]
