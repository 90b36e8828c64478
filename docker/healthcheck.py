"""HEALTHCHECK of the image rucio-cs3: does what runs in this container answer? What that is, its own options tell.

Whom it meets on its own port it need not mistrust, and it shows no secret: certificates are not verified.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import sys
from pathlib import Path

import tomllib

SECONDS = 8


def words() -> list[str]:
    """The command line of the container's main process, from the role on; an init may stand before it."""
    told = Path("/proc/1/cmdline").read_text().split("\0")
    return next((told[at:] for at, word in enumerate(told) if word in ROLES), [])


def option(told: list[str], name: str, default: str) -> str:
    """The value of `--name value` or `--name=value`."""
    for at, word in enumerate(told):
        if word.partition("=")[0] == name:
            return word.partition("=")[2] or told[at + 1]
    return default


def gateway(told: list[str]) -> None:
    """Its WebDAV door wants a login, and its gRPC port takes connections."""
    host = option(told, "--host", "127.0.0.1")
    door = f"{host}:{option(told, '--http-port', '19001')}"
    answers(door, "/remote.php/webdav/", tls=bool(option(told, "--tls-cert", "")), wanted=401)
    socket.create_connection((here(host), int(option(told, "--port", "19000"))), SECONDS).close()


def broker(told: list[str]) -> None:
    """It has a page for that."""
    bind = option(told, "--bind", "127.0.0.1:8443")
    answers(bind, "/health", tls=bool(option(told, "--tls-cert", "")), wanted=200)


def mover(told: list[str]) -> None:
    """As the broker, but its file says where it listens."""
    config = tomllib.loads(Path(option(told, "--config", "")).read_text())
    answers(config.get("listen", "127.0.0.1:8446"), "/health", tls="tls_cert" in config, wanted=200)


ROLES = {"gateway": gateway, "broker": broker, "mover": mover}


def here(host: str) -> str:
    """What to call it from here."""
    return "127.0.0.1" if host in {"0.0.0.0", "::", "[::]"} else host.strip("[]")  # noqa: S104 -- said, not listened on


def answers(bind: str, path: str, *, tls: bool, wanted: int) -> None:
    """Raises OSError or ValueError."""
    host, _, port = bind.rpartition(":")
    if tls:
        trusting = ssl._create_unverified_context()  # noqa: S323, SLF001 -- see above
        connection = http.client.HTTPSConnection(here(host), int(port), timeout=SECONDS, context=trusting)
    else:
        connection = http.client.HTTPConnection(here(host), int(port), timeout=SECONDS)
    connection.request("GET", path)
    got = connection.getresponse().status
    if got != wanted:
        raise ValueError(f"{bind}{path} answers {got}, not {wanted}")


def main() -> str | None:
    """What is wrong; a command that is no service is healthy as long as it runs."""
    told = words()
    try:
        if told:
            ROLES[told[0]](told)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"{told[0]}: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main())
