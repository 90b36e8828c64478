"""`rucio-cs3 token`: which login is used at a site, and logging in and out."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from rucio_cs3.cli import site as sites
from rucio_cs3.cli.app_password import app_password
from rucio_cs3.cli.screen import console, show_secret, show_settings
from rucio_cs3.cli.sizes import counted
from rucio_cs3.cli.times import until
from rucio_cs3.credentials import who
from rucio_cs3.credentials.logins import Logins
from rucio_cs3.credentials.store import Store, kept_in
from rucio_cs3.errors import Cs3Error, NoLogin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rucio_cs3.cli.site import Site
    from rucio_cs3.credentials.oidc import Provider
    from rucio_cs3.credentials.tokens import Tried
    from rucio_cs3.credentials.who import Who

COLOURS = {"won": "green", "failed": "red", "nothing": "yellow", "not tried": "dim"}
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Say it in JSON.")


@click.group()
def token() -> None:
    """The Reva token that you get at a site, and where it comes from.

    A site is an RSE of Rucio's, a --gateway, or what RUCIO_CS3_GATEWAY or the file in RUCIO_CS3_CONFIG names.
    """


token.add_command(app_password)


@token.command()
@sites.takes_site
@AS_JSON
@click.option("--raw", is_flag=True, help="Print the token itself, and nothing else.")
@sites.in_one_line
def show(rse: str | None, gateway: str | None, as_json: bool, raw: bool) -> None:
    """Log in, and say who you are at the site, by which login, and until when.

    The token itself is shown only with --raw, on a terminal too: whoever reads it is you at the site. It is for
    programs that ask for one:

    \b
      curl -H @<(echo "X-Access-Token: $(rucio-cs3 token show --raw CERNBOX)") https://...
    """  # noqa: D301 - click wants the character
    site = sites.of(rse, gateway)
    with site.client() as client:
        found = who.ask(client, site.root)
    if raw:
        show_secret(found.token)
    elif as_json:
        click.echo(json.dumps({"site": site.name, "gateway": site.config.gateway, **_described(found)}))
    else:
        console().print(_sentence(site, found))


@token.command()
@sites.takes_site
@AS_JSON
@sites.in_one_line
def explain(rse: str | None, gateway: str | None, as_json: bool) -> None:
    """Try to log in, and say what became of each source of logins, in the order of `auth`.

    It says which one won, for whom and until when, and why the others did not; and of each setting in force, where it
    stands. No secret is shown. The exit code is 1 when none won, or the site does not take what it gave.
    """
    site = sites.of(rse, gateway)
    found, failure = None, None
    with site.client() as client:
        try:
            found = who.ask(client, site.root)
        except Cs3Error as error:
            failure = error
        tried = [_believed(each, failure) for each in client.tokens.tried]
    if failure and not tried:
        raise failure
    (_explain_to_script if as_json else _explain_to_human)(site, tried, found)
    if not found:
        sys.exit(1)


def _believed(tried: Tried, failure: Cs3Error | None) -> Tried:
    """A token that was there, and that the site did not take, is a failure."""
    return replace(tried, outcome="failed", reason=str(failure)) if failure and tried.outcome == "won" else tried


def _explain_to_script(site: Site, tried: Sequence[Tried], found: Who | None) -> None:
    said = {
        "site": site.name,
        "gateway": site.config.gateway,
        "sources": [vars(each) for each in tried],
        "won": _described(found) if found else None,
        "settings": site.in_force(),
    }
    click.echo(json.dumps(said))


def _explain_to_human(site: Site, tried: Sequence[Tried], found: Who | None) -> None:
    table = Table("method", "what it is", "outcome", "why")
    for each in tried:
        why = each.reason or ("kept from an earlier run" if each.kept else "")
        colour = COLOURS[each.outcome]
        table.add_row(each.method, escape(each.description), f"[{colour}]{each.outcome}[/{colour}]", escape(why))
    screen = console()
    screen.print(table, soft_wrap=False)
    if found:
        screen.print(_sentence(site, found))
    else:
        screen.print(f"[red]Nobody[/red] at {escape(_place(site))}: no source let you in")
        screen.print(escape(site.remedy()))
    show_settings(site.in_force())


def _sentence(site: Site, found: Who) -> str:
    called = f" ({found.display_name})" if found.display_name else ""
    limited = ", for some paths only," if found.limited else ""
    kept = ", by a token kept from an earlier run" if found.by.kept else ""
    return (
        f"[bold]{escape(found.username)}[/bold]{escape(called)} at {escape(_place(site))}{limited}"
        f" until {until(found.by.expires)}, by {found.by.method}: {escape(found.by.description)}{kept}"
    )


def _place(site: Site) -> str:
    return site.name if site.name == site.config.gateway else f"{site.name} (gateway {site.config.gateway})"


def _described(found: Who) -> dict[str, Any]:
    return {
        "username": found.username,
        "display_name": found.display_name,
        "limited": found.limited,
        "method": found.by.method,
        "description": found.by.description,
        "expires": found.by.expires,
        "kept": found.by.kept,
    }


@token.command()
@sites.takes_site
@AS_JSON
@sites.in_one_line
def login(rse: str | None, gateway: str | None, as_json: bool) -> None:
    """Log in at the site's OpenID Connect provider, in a browser on any machine.

    It shows an address and a code, and waits until you have agreed there; Ctrl-C gives up and leaves nothing. What it
    keeps lets you in from then on, until `rucio-cs3 token logout` or until the provider wants to see you again. The
    settings `issuer` and `client_id` of the site say where, and `scope` for what: offline_access in it lets most
    providers renew the login.

    With --json there are two lines: what to show, at once, and what came of it.
    """
    site = sites.of(rse, gateway)
    with site.sources() as sources:
        provider = sources.provider()
        begun = provider.begin_device()
        tokens = _await_agreement(provider, begun, as_json=as_json)
        sources.logins.keep(provider, tokens)
        used = any(source.method == "login" for source in sources.in_order())
    renewed = bool(tokens.get("refresh_token"))
    with site.client(auth="login") as client:
        user = client.whoami().username
    if as_json:
        click.echo(json.dumps({"issuer": provider.issuer, "username": user, "renewable": renewed, "used": used}))
        return
    console().print(f"[green]Logged in[/green]: you are [bold]{escape(user)}[/bold] at {escape(_place(site))}")
    if not renewed:
        click.echo("The provider gave no refresh token: add offline_access to scope to stay logged in.", err=True)
    if not used:
        click.echo("This login is not used there: what is set for the site names others; add login to auth.", err=True)


def _await_agreement(provider: Provider, begun: Mapping[str, Any], *, as_json: bool) -> dict[str, Any]:
    address = str(begun.get("verification_uri_complete") or begun.get("verification_uri"))
    code, seconds = str(begun.get("user_code")), begun.get("expires_in")
    if as_json:
        known = {"verification_uri": begun.get("verification_uri"), "user_code": code, "expires_in": seconds}
        click.echo(json.dumps({"address": address, **known}))
        return provider.await_device(begun)
    screen = console()
    screen.print(f"Open [bold]{escape(address)}[/bold]")
    screen.print(f"and see that it shows the code [bold]{escape(code)}[/bold]")
    if not screen.is_terminal:
        screen.print("Waiting for you to agree there. Ctrl-C gives up.")
        return provider.await_device(begun)
    with screen.status("Waiting for you to agree there. Ctrl-C gives up."):
        return provider.await_device(begun)


@token.command()
@sites.takes_site
@click.option("--all", "everywhere", is_flag=True, help="At all sites and providers.")
@AS_JSON
@sites.in_one_line
def logout(rse: str | None, gateway: str | None, everywhere: bool, as_json: bool) -> None:
    """Forget your login by `rucio-cs3 token login`, and the Reva tokens that are kept for the site.

    Passwords and other settings stay as they are. Tokens that are out in other programs live on until they expire.
    """
    if everywhere and (rse or gateway):
        raise click.UsageError("--all is all sites: name none")
    logins, tokens = _forget_all() if everywhere else _forget(sites.of(rse, gateway))
    if as_json:
        click.echo(json.dumps({"logins": logins, "tokens": tokens}))
    else:
        click.echo(f"Forgotten: {counted(logins, 'login')}, {counted(tokens, 'kept token')}.")


def _forget_all() -> tuple[int, int]:
    return Logins().forget_all(), sum(Store(folder).forget() for folder in sites.caches())


def _forget(site: Site) -> tuple[int, int]:
    with site.sources() as sources:
        try:
            logins = int(sources.logins.forget(sources.provider()))
        except NoLogin:  # no provider is set, so there was none to log in at
            logins = 0
    return logins, Store(kept_in(site.config.cache)).forget(site.config.gateway)
