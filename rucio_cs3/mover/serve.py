"""The mover on gunicorn: one process, because its copies are threads of it."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Any

from gunicorn.http import message

from rucio_cs3 import observe
from rucio_cs3.errors import ConfigError
from rucio_cs3.mover.app import App
from rucio_cs3.mover.callers import Callers
from rucio_cs3.mover.config import NAMES
from rucio_cs3.mover.mover import Mover, check_database
from rucio_cs3.service.listen import address, listen, url_of
from rucio_cs3.service.serve import leave
from rucio_cs3.service.serve import serve as serve_application

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    from rucio_cs3.mover.config import MoverConfig
    from rucio_cs3.mover.model import Copy
    from rucio_cs3.service.certificates import Endpoint

log = logging.getLogger("rucio_cs3.mover")

REQUEST_SECONDS = 300.0  # for the largest job over a slow line
KEEP_ALIVE = 30
LONGEST_LINE = 256 << 10  # bytes of a request's first line: 5,000 ids are 185 KB
# Rucio's links to jobs lead to the second where it sends jobs to the first: FTS3 has its pages there
LINKED = {8446: 8449}
PROXY_CERTIFICATES = 0x40  # X509_V_FLAG_ALLOW_PROXY_CERTS, which Python names from 3.10 on


def serve(
    config: MoverConfig, make_copy: Callable[[], Copy], tell: Callable[[str], None], endpoints: Iterable[Endpoint] = ()
) -> None:
    """Serve until told to stop; `tell` gets the URL once it is ready. Raises ConfigError, or does not return.

    `make_copy` is called in the process that copies. `endpoints` are where the sites speak TLS.
    """
    movers: list[Mover] = []

    def application() -> App:
        observe.begin_program("rucio-cs3-mover", metrics=observe.ON)  # after the fork, as its exporter has a thread
        movers.append(Mover(config, make_copy(), endpoints))
        return App(movers[0], authenticate=Callers(config).who)

    def close() -> None:
        while movers:
            movers.pop().close()

    def interrupted(_: Any) -> None:
        close()
        leave()  # gunicorn's own way out of its threads hangs now and then

    if config.callers and all(caller.watch for caller in config.callers.values()):
        log.warning("nobody can submit a job: all in [callers] have watch = true; add one without it")
    settings = config.gunicorn()
    message.MAX_REQUEST_LINE = LONGEST_LINE + 1  # gunicorn's own is 8190, or without an end, for strangers too
    check_database(config.database)
    host, port = address(config.listen, NAMES)
    listening = listen(host, port)
    also = _listen_where_links_lead(host, port)
    url = url_of(listening, tls="certfile" in settings)
    ours = {
        "limit_request_line": LONGEST_LINE,
        "keepalive": KEEP_ALIVE,
        "worker_exit": lambda _server, _worker: close(),
        "worker_int": interrupted,
        "ssl_context": _with_clients(settings.pop("ca_certs", None)),
    }
    places = [each.detach() for each in (listening, *also)]
    serve_application(application, places, {**settings, **ours}, lambda: tell(url), REQUEST_SECONDS)


def _listen_where_links_lead(host: str, port: int) -> list[socket.socket]:
    """It is of use, and nothing that a mover could not do without."""
    linked = LINKED.get(port)
    try:
        return [listen(host, linked)] if linked else []
    except ConfigError as error:
        log.warning("%s: Rucio's links to jobs lead there, and not to this mover", error.message)
        return []


def _with_clients(ca: str | None) -> Callable[[Any, Callable[[], ssl.SSLContext]], ssl.SSLContext]:
    """Certificates of clients are asked for, and checked, but who has none may still show a token."""

    def context(_: Any, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        made = default()
        if ca:
            made.load_verify_locations(ca)
            made.verify_mode = ssl.CERT_OPTIONAL
            made.verify_flags |= PROXY_CERTIFICATES
            made.verify_flags &= ~ssl.VERIFY_X509_STRICT  # from Python 3.13 on by default; grid certificates are older
        return made

    return context
