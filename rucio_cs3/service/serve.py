"""A service on gunicorn."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from rucio_cs3 import observe
from rucio_cs3.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HEADER_BYTES = 128 << 10  # tokens may have 100,000 characters, and a service wants to refuse longer ones itself
HEADERS = 50
HEAD_SECONDS = 10.0  # until it is known what is wanted; strangers get no more
IN_A_ROW = 50  # requests of one connection, before others that wait have their turn
AT_ONCE = 2.0  # milliseconds
LOOKS = 10  # at the clock in the time of a request


class Worker(ThreadWorker):  # type: ignore[misc]
    """Its threads are few, and whoever does not finish a request would keep one for ever."""

    seconds: float

    def init_process(self) -> None:
        self._patience = Patience(self.seconds / LOOKS)
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """A client that goes on at once keeps its thread for a while: to hand it from one to another costs as much."""
        for _ in range(IN_A_ROW):
            with self._patience.with_(conn, min(HEAD_SECONDS, self.seconds)):
                becomes = super().handle(conn)  # of the connection
            if becomes is not True or not self.alive or not _goes_on(conn):
                break
        return becomes

    def handle_request(self, req: Any, conn: Any) -> Any:
        self._patience.more(conn, self.seconds)
        return super().handle_request(req, conn)


class Patience:
    """Hangs up on who takes longer. One thread looks after all: a timer for each request is a thread for each."""

    def __init__(self, pause: float) -> None:
        self._pause = min(pause, 1.0)
        self._ends: dict[Any, float] = {}  # of connections
        threading.Thread(target=self._watch, name="patience", daemon=True).start()

    @contextlib.contextmanager
    def with_(self, conn: Any, seconds: float) -> Iterator[None]:
        self.more(conn, seconds)
        try:
            yield
        finally:
            del self._ends[conn]

    def more(self, conn: Any, seconds: float) -> None:
        self._ends[conn] = time.monotonic() + seconds

    def _watch(self) -> None:
        while True:
            time.sleep(self._pause)
            now = time.monotonic()
            for conn, end in list(self._ends.items()):
                if end < now:
                    _hang_up(conn)


def _goes_on(conn: Any) -> bool:
    poll = select.poll()
    poll.register(conn.sock, select.POLLIN)
    return bool(poll.poll(AT_ONCE))


def _hang_up(conn: Any) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(conn.sock, socket.SHUT_RDWR)  # not TLS's own, which is for one thread at a time


class OneLog(Logger):  # type: ignore[misc]
    """What gunicorn has to say goes where all the rest goes."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers = []
        self.error_log.propagate = True


class Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, application: Callable[[], Any], settings: dict[str, Any]) -> None:
        self._application = application
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._settings.items():
            if name in self.cfg.settings:  # control_socket_disable came with a later version
                self.cfg.set(name, value)

    def load(self) -> Any:
        """In the worker."""
        return self._application()


def serve(
    application: Callable[[], Any],
    listening: Sequence[int],
    settings: dict[str, Any],
    tell: Callable[[], None],
    seconds: float,
) -> None:
    """Serve what `application` makes, after the fork, on these file descriptors until told to stop.

    `tell` is called once it is ready; a request and its answer may take `seconds`. Raises ConfigError, or does not
    return.
    """
    fixed = {
        "bind": [f"fd://{each}" for each in listening],
        "worker_class": type("TimedWorker", (Worker,), {"seconds": seconds}),
        "limit_request_field_size": HEADER_BYTES,
        "limit_request_fields": HEADERS,
        "secure_scheme_headers": {},  # only our own configuration says whether a proxy is believed
        "control_socket_disable": True,
        "graceful_timeout": 5,
        "loglevel": "warning",
        "when_ready": lambda _: tell(),
        "worker_int": lambda _: leave(),  # Ctrl-C: gunicorn's own way out of its threads hangs now and then
        **_metrics_of_all(settings["workers"]),
        **({"logger_class": OneLog} if observe.log_requests else {}),
    }
    Server(application, {**fixed, **settings}).run()


def leave() -> None:
    observe.end()
    os._exit(0)


def _metrics_of_all(workers: int) -> dict[str, Any]:
    """Many processes add up their numbers in a folder, which prometheus-client looks for once, when it is imported."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder is not None and not _is_writable_folder(folder):
        raise ConfigError(
            f"PROMETHEUS_MULTIPROC_DIR={folder} is no folder that can be written to",
            hint="make it, for this service alone, or leave the variable out",
        )
    made = tempfile.mkdtemp(prefix="rucio-cs3-metrics-") if workers > 1 and not folder else None
    if made:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = made
    from prometheus_client import multiprocess  # noqa: PLC0415

    def forget(_: Any, worker: Any) -> None:
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]

    def remove(_: Any) -> None:
        if made:
            shutil.rmtree(made, ignore_errors=True)

    return {"child_exit": forget, "on_exit": remove} if made or folder else {}


def _is_writable_folder(name: str) -> bool:
    return bool(name) and Path(name).is_dir() and os.access(name, os.W_OK | os.X_OK)
