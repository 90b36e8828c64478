"""Where the commands and services of this package log to: stderr, as text or as one JSON object a line.

A library logs to whoever has set logging up; only programs of our own call `begin`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from datetime import datetime, timezone
from typing import Any

from rucio_cs3 import observe
from rucio_cs3.errors import ConfigError

JSON, TEXT, OFF = "json", "text", "off"
KINDS = (JSON, TEXT, OFF)
VARIABLE = "RUCIO_CS3_LOG"  # one of config.ENV_OTHERS
LINE = "%(asctime)s %(levelname)s %(name)s %(message)s"
# What lines may say beside their message, if they do: each of it checked, or our own word.
FIELDS = (
    *("request", "site", "code", "status", "seconds"),
    *("job", "file", "source", "destination", "side", "again", "bytes", "how"),
)


class AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        trace_id = observe.trace_id()
        if trace_id:
            line["trace_id"] = trace_id
        line.update({name: vars(record)[name] for name in FIELDS if name in vars(record)})
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__  # without its text: nobody knows what stands in it
            line["where"] = "".join(traceback.format_tb(record.exc_info[2]))
        return json.dumps(line, default=str)


_chosen: str | None = None


def begin(kind: str | None = None) -> None:
    """Log as `kind` says, else as the environment does. Raises ConfigError."""
    global _chosen  # noqa: PLW0603 - it is the process that logs
    _chosen = kind or _of_environment()
    if not _chosen:
        return
    logging.getLogger().handlers = [logging.NullHandler() if _chosen == OFF else _handler(_chosen)]
    if _chosen != OFF:  # who asks for a log wants to see what is done, and not only what goes wrong
        logging.getLogger("rucio_cs3").setLevel(logging.INFO)
        observe.log_requests = True


def begin_service(kind: str | None) -> None:
    """For one that logs anyway. `kind` is what its configuration says; the command line and the environment win."""
    begin(_chosen or _of_environment() or kind)
    if not _chosen:
        logging.basicConfig(stream=sys.stderr, format=LINE)


def told(service: str, text: str) -> bool:
    """Log what a service has to say to people, where each of its lines is to be JSON; else False."""
    if _chosen == JSON:
        logging.getLogger(f"rucio_cs3.{service}").info("%s", text)
    return _chosen == JSON


def _of_environment() -> str | None:
    variable = os.environ.get(VARIABLE)
    return known(variable, VARIABLE) if variable else None


def known(kind: str, where: str) -> str:
    if kind not in KINDS:
        raise ConfigError(f"{where}: log = {kind!r} is not known", hint=f"use one of: {', '.join(KINDS)}")
    return kind


def _handler(kind: str) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(AsJson() if kind == JSON else logging.Formatter(LINE))
    return handler
