"""`rucio-cs3 mover`: copy between sites for Rucio, and `rucio-cs3 mover status`: what it is at."""

from __future__ import annotations

import json
import logging
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import requests
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.text import Text
from urllib3.exceptions import ProtocolError

from rucio_cs3.cli.board import board
from rucio_cs3.cli.report import printable
from rucio_cs3.cli.site import in_one_line
from rucio_cs3.errors import ConfigError
from rucio_cs3.loopback import keeps_secrets
from rucio_cs3.observe import logs
from rucio_cs3.private import read_secret

if TYPE_CHECKING:
    from rucio_cs3.mover.model import Copy

FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
SECONDS = 20.0  # for an answer
VARIABLE = "RUCIO_CS3_MOVER"  # one of config.ENV_OTHERS
USUAL_URL = "http://127.0.0.1:8446"


@click.group(invoke_without_command=True)
@click.option("--config", "file", type=FILE, help="TOML: where it listens, who may ask, which sites.")
@click.option("--check", is_flag=True, help="Only look whether each site lets it in, and exit with 1 if one does not.")
@click.pass_context
def mover(context: click.Context, file: Path | None, check: bool) -> None:
    """Copy files between CS3 sites for Rucio, until Ctrl-C or SIGTERM.

    Set the RSE attribute `fts` of both RSEs to its address. FILE says at least, for each site:

    \b
    [sites.CERNBOX]
    gateway = "cs3.example.org:443"
    doors = ["davs://cernbox.example.org/remote.php/webdav/rucio"]
    cs3_root = "/eos/project/r/rucio"
    username = "rucio"
    password_file = "/run/secrets/cernbox"
    """  # noqa: D301 - click wants the character
    if context.invoked_subcommand:
        return
    if not file:
        raise click.UsageError("--config is missing; `rucio-cs3 mover status` asks a mover that runs")
    missing = next((name for name in ("gunicorn", "jwt", "prometheus_client") if not find_spec(name)), None)
    if missing:
        raise click.ClickException(f"{missing} is not installed: pip install 'rucio-cs3[mover]'")
    try:
        (_check if check else _serve)(file)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


@mover.command()
@click.option(
    "--url", default=USUAL_URL, show_default=True, envvar=VARIABLE, show_envvar=True, help="Where the mover is."
)
@click.option("--bearer-file", help="Who we are there, if it asks.")
@click.option("--ca", type=FILE, help="PEM: who signed its certificate, if not one of the system's authorities.")
@click.option("--every", default=1.0, show_default=True, type=click.FloatRange(0.1), help="Seconds between looks.")
@click.option("--once", is_flag=True, help="Look once; so it is where there is no terminal.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@in_one_line
def status(url: str, bearer_file: str | None, ca: Path | None, every: float, once: bool, as_json: bool) -> None:
    """Show what a mover has in its queue, what it copies and what failed; live on a terminal."""
    ask = _Asker(url, bearer_file, ca)
    told = ask()
    if as_json:
        click.echo(json.dumps(told))
    elif once or not sys.stdout.isatty():
        console = _console()
        console.print(board(told, console))
    else:
        _watch(ask, told, every)


class _Asker:
    def __init__(self, url: str, bearer_file: str | None, ca: Path | None) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy of the environment gets to see the token
        if ca:
            self._session.verify = str(ca)
        if bearer_file:
            if not keeps_secrets(url):
                raise ConfigError(f"{url} would be told who we are in the clear", hint="use https")
            self._session.headers["Authorization"] = f"Bearer {read_secret(bearer_file, '--bearer-file')}"

    def __call__(self) -> dict[str, Any]:
        """Raises ConfigError."""
        try:
            answer = self._session.get(f"{self._url}/status.json", timeout=SECONDS, allow_redirects=False)
            told = answer.json()
        except requests.exceptions.JSONDecodeError:
            raise ConfigError(f"{self._url} is no mover", hint="check --url") from None
        except requests.exceptions.RequestException as error:
            raise _why_not(self._url, error) from None
        if answer.status_code != requests.codes.ok or "running" not in told:
            said = told.get("message", answer.status_code) if isinstance(told, dict) else answer.status_code
            raise ConfigError(f"{self._url}: {printable(str(said))}", hint="check --url and --bearer-file")
        return dict(told)


def _why_not(url: str, error: Exception) -> ConfigError:
    """What it means that no answer came, as far as that can be told."""
    if isinstance(error, requests.exceptions.SSLError):
        if "CERTIFICATE_VERIFY_FAILED" in str(error) or "doesn't match" in str(error):
            return ConfigError(f"the certificate of {url} is not trusted", hint="check --ca")
        return ConfigError(f"{url} does not speak TLS", hint="write http:// in --url, if it is on this machine")
    if url.startswith("http://") and any(isinstance(cause, ProtocolError) for cause in error.args):
        return ConfigError(f"{url} hangs up without an answer", hint="write https:// in --url, if it speaks TLS")
    return ConfigError(f"no mover answers at {url}", hint="check --url, and whether it runs")


def _watch(ask: _Asker, told: dict[str, Any], every: float) -> None:
    """Also while the mover is started anew."""
    console = _console()
    with Live(board(told, console, fit=True), console=console, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(every)
                try:
                    told, trouble = ask(), None
                except ConfigError as error:
                    trouble = Text(f"{error}; asking again", style="red")
                shown = board(told, console, fit=True)
                live.update(Group(trouble, shown) if trouble else shown, refresh=True)
        except KeyboardInterrupt:
            return


def _console() -> Console:
    return Console(highlight=False)


def _serve(file: Path) -> None:
    from rucio_cs3.mover import checks  # noqa: PLC0415 - its extra has to be there
    from rucio_cs3.mover.config import load  # noqa: PLC0415
    from rucio_cs3.mover.copy import Copier  # noqa: PLC0415
    from rucio_cs3.mover.pages import PLACE  # noqa: PLC0415
    from rucio_cs3.mover.serve import serve  # noqa: PLC0415
    from rucio_cs3.mover.sites import Sites  # noqa: PLC0415

    config = load(file)
    with Sites.of(config.sites, str(file)) as sites:  # a mistake is told before anything is served
        endpoints = [*sites.certified()]
    logs.begin_service(config.log)
    log = logging.getLogger("rucio_cs3.mover")
    log.setLevel(logging.INFO)
    console = Console(stderr=True, highlight=False, soft_wrap=True)

    def tell(url: str) -> None:
        if logs.told("mover", f"copying for Rucio at {url}"):
            return
        console.print(f"Copying for Rucio at [bold]{escape(url)}[/bold] until Ctrl-C. What it does is shown at")
        console.print(f"{escape(url)}/{PLACE}/")

    def copy() -> Copy:
        sites = Sites.of(config.sites)
        checks.begin(sites, lambda finding: log.log(*finding))
        return Copier(sites).copy

    serve(config, copy, tell, endpoints)


def _check(file: Path) -> None:
    from rucio_cs3.mover import checks  # noqa: PLC0415
    from rucio_cs3.mover.config import load  # noqa: PLC0415
    from rucio_cs3.mover.sites import Sites  # noqa: PLC0415

    found: list[checks.Finding] = []
    with Sites.of(load(file).sites, str(file)) as sites:
        for thread in checks.begin(sites, found.append):
            thread.join()
    for finding in sorted(found, key=lambda each: each.text):
        click.echo(printable(finding.text))
    if any(finding.level > logging.INFO for finding in found):
        sys.exit(1)
