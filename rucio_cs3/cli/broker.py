"""`rucio-cs3 broker`: serve Reva tokens to users of Rucio, with gunicorn."""

from __future__ import annotations

import logging
import socket
import ssl
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape

from rucio_cs3.broker.config import load
from rucio_cs3.errors import ConfigError
from rucio_cs3.loopback import is_loopback

if TYPE_CHECKING:
    from rucio_cs3.broker.config import BrokerConfig

FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
HIGHEST_PORT = 65535
BACKLOG = 512


@click.command()
@click.option("--config", "file", required=True, type=FILE, help="TOML: which Rucio, which sites, who is whom.")
@click.option("--bind", default="127.0.0.1:8443", show_default=True, metavar="HOST:PORT", help="Port 0 is any free.")
@click.option("--tls-cert", type=FILE, help="PEM. Without TLS only this machine is served.")
@click.option("--tls-key", type=FILE, help="PEM.")
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes; each limits rates alone."
)
@click.option("--threads", default=16, show_default=True, type=click.IntRange(1), help="Of each process.")
def broker(file: Path, bind: str, **options: Any) -> None:
    """Give short-lived Reva tokens to users of Rucio, until Ctrl-C or SIGTERM.

    The audit log, a line of JSON for each request, goes to stdout, all else to stderr. FILE says at least:

    \b
    [rucio]
    host = "https://rucio.example.org"
    [sites."cs3.example.org:443"]
    machine_secret_file = "/run/secrets/cs3"
    accounts = { root = "rucio-svc", jdoe = "einstein" }
    """  # noqa: D301 - click wants the character
    missing = next((name for name in ("gunicorn", "prometheus_client") if not find_spec(name)), None)
    if missing:
        raise click.ClickException(f"{missing} is not installed: pip install 'rucio-cs3[broker]'")
    try:
        config = load(file)
        host, port = _address(bind)
        settings = _tls(options["tls_cert"], options["tls_key"], host)
        listening = _listen(host, port)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    _serve(config, listening, {**settings, "workers": options["workers"], "threads": options["threads"]})


def _serve(config: BrokerConfig, listening: socket.socket, settings: dict[str, Any]) -> None:
    from rucio_cs3.broker.serve import serve  # noqa: PLC0415 - its extra has to be there

    host, port = listening.getsockname()[:2]
    url = f"{'https' if 'certfile' in settings else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    console = Console(stderr=True, highlight=False, soft_wrap=True)

    def tell() -> None:
        sites = ", ".join(config.sites)
        console.print(f"Serving tokens of {escape(sites)} at [bold]{escape(url)}[/bold]. Stop it with Ctrl-C.")

    _log_to_streams()
    serve(config, listening.detach(), settings, tell)


def _address(bind: str) -> tuple[str, int]:
    host, _, port = bind.rpartition(":")
    if not host or not port.isdigit() or int(port) > HIGHEST_PORT:
        raise ConfigError(f"--bind {bind} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _tls(cert: Path | None, key: Path | None, host: str) -> dict[str, Any]:
    if bool(cert) != bool(key):
        raise ConfigError("TLS needs both --tls-cert and --tls-key")
    if not cert:
        if not is_loopback(host):
            raise ConfigError(
                f"without TLS, --bind {host} would take tokens in the clear",
                hint="give --tls-cert and --tls-key, or bind to 127.0.0.1 behind a proxy that speaks TLS",
            )
        return {}
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
    except OSError as error:
        raise ConfigError(f"{cert} and {key} are not a certificate with its key") from error
    return {"certfile": str(cert), "keyfile": str(key)}


def _listen(host: str, port: int) -> socket.socket:
    """Bound by us, because gunicorn would try for seconds, and not say which port it found."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise ConfigError(f"cannot listen on {host}:{port}: {reason}") from error


def _log_to_streams() -> None:
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    audit = logging.getLogger("rucio_cs3.broker.audit")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    audit.addHandler(handler)
    audit.setLevel(logging.INFO)
    audit.propagate = False
