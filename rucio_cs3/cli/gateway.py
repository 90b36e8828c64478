"""`rucio-cs3 gateway`: serve a folder as a CS3 storage."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape

from rucio_cs3 import observe
from rucio_cs3.gateway import (
    BEHAVIOURS,
    DEFAULT,
    DEMO_USERS,
    FAULT_KINDS,
    TPC,
    BadUsers,
    CannotServe,
    Gateway,
    Tls,
    load_users,
)
from rucio_cs3.loopback import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.gateway import User
    from rucio_cs3.gateway.behaviours import Behaviour

STOP = {signal.SIGINT, signal.SIGTERM}
FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


EPILOG = "\b\nKinds of faults that --faults lets be set, by PUT of a list of them to /.faults:\n" + "\n".join(
    f"  {kind:16}{what}" for kind, (_, what) in FAULT_KINDS.items()
)


@click.command(epilog=EPILOG)
@click.option("--root", required=True, type=click.Path(path_type=Path), help="The folder to serve.")
@click.option("--behave", type=click.Choice(list(BEHAVIOURS)), default=DEFAULT, show_default=True, help="Like which.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=19000, show_default=True, type=click.IntRange(0, 65535), help="gRPC; 0 is any free.")
@click.option(
    "--http-port", default=19001, show_default=True, type=click.IntRange(0, 65535), help="HTTP; 0 is any free."
)
@click.option("--users", type=FILE, help="JSON list of users; without it Reva's examples, einstein and others.")
@click.option("--machine-secret-file", type=FILE, help="Its content lets in as anybody, by Authenticate type machine.")
@click.option("--oidc-issuer", metavar="URL", help="Whose tokens to take, by Authenticate type bearer.")
@click.option("--tls-cert", type=FILE, help="PEM; with --tls-key, speak TLS only.")
@click.option("--tls-key", type=FILE, help="PEM.")
@click.option("--tls-client-ca", type=FILE, help="PEM; clients must show a certificate that it signed.")
@click.option(
    "--token-ttl", default=86400.0, show_default=True, type=click.FloatRange(0, min_open=True), metavar="SECONDS"
)
@click.option("--quota", type=click.IntRange(0), metavar="BYTES", help="Else there is as much room as on the disk.")
@click.option("--webdav-namespace", metavar="PATH", help="The CS3 path that WebDAV opens on; else the whole storage.")
@click.option(
    "--processing",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="How long uploads are processed, where they are.",
)
@click.option(
    "--tpc",
    type=click.Choice(TPC),
    default=TPC[0],
    show_default=True,
    help="Third-party copies by WebDAV: none, with the lies of the real ones, or without.",
)
@click.option(
    "--ca",
    type=click.Path(path_type=Path, exists=True),
    help="PEM file or folder: who vouches for the other sites of copies; else the system's.",
)
@click.option("--faults", is_flag=True, help="Let anybody on this machine break things, at /.faults on the HTTP port.")
@click.option("--json", "as_json", is_flag=True, help="Say where it listens in one line of JSON.")
def gateway(**options: Any) -> None:
    """Serve a folder as a CS3 storage, with the manners of a real one, until Ctrl-C or SIGTERM."""
    with _waited_for(STOP):
        observe.begin_program("rucio-cs3-gateway")
        with _start(options) as serving:
            (_tell_script if options["as_json"] else _tell_human)(serving, options)
            signal.sigwait(STOP)


@contextlib.contextmanager
def _waited_for(signals: set[signal.Signals]) -> Iterator[None]:
    """Blocked in all threads to come: a signal that one of them got would not wake who waits for it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        while signal.sigpending() & signals:  # somebody was impatient
            signal.sigwait(signals)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(options: dict[str, Any]) -> Gateway:
    secret = options["machine_secret_file"]
    if options["faults"] and not is_loopback(options["host"]):
        raise click.ClickException(f"--faults are for this machine alone, and --host {options['host']} is not")
    try:
        return Gateway(
            options["root"],
            options["behave"],
            users=_users(options["users"], options["host"]),
            machine_secret=_secret(secret) if secret else None,
            oidc_issuer=options["oidc_issuer"],
            tls=_tls(options),
            token_ttl=options["token_ttl"],
            host=options["host"],
            grpc_port=options["port"],
            http_port=options["http_port"],
            quota=options["quota"],
            offer_faults=options["faults"],
            webdav_namespace=options["webdav_namespace"],
            processing=options["processing"],
            tpc=options["tpc"],
            ca=options["ca"],
        )
    except (CannotServe, BadUsers) as error:
        raise click.ClickException(str(error)) from error


def _users(file: Path | None, host: str) -> tuple[User, ...]:
    if file:
        return load_users(file)
    if not is_loopback(host):
        raise click.ClickException(
            f"--host {host} is not this machine alone, so the example users will not do: --users"
        )
    return DEMO_USERS


def _secret(file: Path) -> str:
    secret = file.read_text(encoding="utf-8").strip()
    if not secret:
        raise click.ClickException(f"{file}: no secret in it")
    return secret


def _tls(options: dict[str, Any]) -> Tls | None:
    cert, key, client_ca = (options[f"tls_{name}"] for name in ("cert", "key", "client_ca"))
    if bool(cert) != bool(key) or (client_ca and not cert):
        raise click.ClickException("TLS needs both --tls-cert and --tls-key")
    return Tls(cert, key, client_ca) if cert else None


def _tell_script(serving: Gateway, _: dict[str, Any]) -> None:
    click.echo(json.dumps({"grpc": serving.address, "http": serving.data_url, "pid": os.getpid()}))


def _place_of(user: User, behaviour: Behaviour) -> str:
    """Where files go, as an example where each user has a place."""
    return f"{behaviour.mount}/{user.id} for {user.username}" if behaviour.has_spaces else behaviour.mount


def _tell_human(serving: Gateway, options: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Serving [bold]{escape(str(serving.root))}[/bold] as {serving.behaviour.name}")
    console.print(f"  gRPC   [bold]{serving.address}[/bold]{' with TLS' if options['tls_cert'] else ''}")
    console.print(f"  HTTP   {serving.data_url}")
    console.print(f"  WebDAV {serving.webdav_url}")
    console.print(f"  path   {_place_of(DEMO_USERS[0], serving.behaviour)}")
    if not options["users"]:
        console.print(f"  login  {', '.join(f'{user.username}/{user.password}' for user in DEMO_USERS)}")
    console.print("Stop it with Ctrl-C.")
