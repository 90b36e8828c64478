"""The broker on gunicorn."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import prometheus_client  # noqa: F401 - the workers need it; without it the command has to say so at once
from gunicorn.app.base import BaseApplication
from prometheus_client import multiprocess

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from rucio_cs3.broker.config import BrokerConfig

HEADER_BYTES = 128 << 10  # tokens may have 100,000 characters, and the broker wants to refuse longer ones itself
HEADERS = 50


class Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, config: BrokerConfig, settings: dict[str, Any]) -> None:
        self._config = config
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._settings.items():
            if name in self.cfg.settings:  # control_socket_disable came with a later version
                self.cfg.set(name, value)

    def load(self) -> Any:
        """In the worker, so that nothing of gRPC is there before the fork."""
        from rucio_cs3.broker.app import Broker  # noqa: PLC0415

        return Broker(self._config)


def serve(config: BrokerConfig, listening: socket.socket, settings: dict[str, Any], tell: Callable[[], None]) -> None:
    """Serve until told to stop; `tell` is called when it listens. Ends the process's program, as gunicorn does."""
    fixed = {
        "bind": f"fd://{listening.fileno()}",
        "worker_class": "gthread",
        "limit_request_field_size": HEADER_BYTES,
        "limit_request_fields": HEADERS,
        "secure_scheme_headers": {},  # only our own configuration says whether a proxy is believed
        "control_socket_disable": True,
        "graceful_timeout": 5,
        "loglevel": "warning",
        "when_ready": lambda _: tell(),
        "child_exit": _forget_worker,
    }
    Server(config, {**fixed, **settings}).run()


def _forget_worker(_: Any, worker: Any) -> None:
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
