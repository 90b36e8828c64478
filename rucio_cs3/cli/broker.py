"""`rucio-cs3 broker`: serve Reva tokens to users of Rucio, with gunicorn."""

from __future__ import annotations

import logging
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape

from rucio_cs3 import observe
from rucio_cs3.broker.config import load
from rucio_cs3.errors import ConfigError
from rucio_cs3.observe import logs
from rucio_cs3.service.listen import Names, address, listen, tls_files, url_of

if TYPE_CHECKING:
    import socket

    from rucio_cs3.broker.config import BrokerConfig

FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
SPARE = 5.0  # seconds for a request and its answer, beside what Rucio and the site may take
NAMES = Names("--bind", "--tls-cert", "--tls-key", "bind to 127.0.0.1 behind a proxy that speaks TLS")


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
        host, port = address(bind, NAMES)
        settings = tls_files(options["tls_cert"], options["tls_key"], host, NAMES)
        listening = listen(host, port)
        _serve(config, listening, {**settings, "workers": options["workers"], "threads": options["threads"]})
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


def _serve(config: BrokerConfig, listening: socket.socket, settings: dict[str, Any]) -> None:
    """Raises ConfigError, or does not return."""
    from rucio_cs3.service.serve import serve  # noqa: PLC0415 - its extra has to be there

    url = url_of(listening, tls="certfile" in settings)
    console = Console(stderr=True, highlight=False, soft_wrap=True)

    def application() -> Any:
        from rucio_cs3.broker.app import Broker  # noqa: PLC0415 - so that nothing of gRPC is there before the fork

        observe.begin_program("rucio-cs3-broker")
        return Broker(config)

    def tell() -> None:
        sites = ", ".join(config.sites)
        if logs.told("broker", f"serving tokens of {sites} at {url}"):
            return
        console.print(f"Serving tokens of {escape(sites)} at [bold]{escape(url)}[/bold]. Stop it with Ctrl-C.")

    _log_to_streams(config)
    seconds = 2 * config.limits.timeout + SPARE
    serve(application, [listening.detach()], settings, tell, seconds)


def _log_to_streams(config: BrokerConfig) -> None:
    logs.begin_service(config.log)
    audit = logging.getLogger("rucio_cs3.broker.audit")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    audit.addHandler(handler)
    audit.setLevel(logging.INFO)
    audit.propagate = False
