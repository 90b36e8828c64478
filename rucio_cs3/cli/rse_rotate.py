"""`rucio-cs3 rse rotate`: exchange the secret of a daemon's login, without a gap."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from rucio_cs3.cli import site as sites
from rucio_cs3.cli.report import Report, orderly, typed
from rucio_cs3.cli.rses import rse_names
from rucio_cs3.cli.times import seconds, until
from rucio_cs3.errors import ConfigError, Cs3Error
from rucio_cs3.operate import rotation
from rucio_cs3.private import read_secret

if TYPE_CHECKING:
    from rucio_cs3.client import Cs3Client
    from rucio_cs3.model import AppPassword
    from rucio_cs3.operate.rotation import Rotation

STDIN = "-"
IN_FORCE = "the new one is in force; end the old one by hand"
READ_AGAIN = (
    "Daemons on this machine read the file when they next log in: none has to be restarted. Copies of it on other"
    " machines have to be exchanged there."
)


@click.command()
@click.argument("name", shell_complete=rse_names)
@click.option("--new", metavar="FILE", help="The new secret, for all but application passwords; - is stdin.")
@click.option("--expires", callback=seconds, metavar="TIME", help="When a new application password ends, such as 90d.")
@click.option("--keep-old", is_flag=True, help="Do not revoke the old application password yet: others have copies.")
@click.option("--yes", is_flag=True, help="Do it. Without, it is said what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Say it in JSON.")
@sites.in_one_line
@orderly
def rotate(name: str, new: str | None, expires: float | None, keep_old: bool, yes: bool, as_json: bool) -> None:
    """Exchange the secret by which this machine logs in to the site of an RSE.

    An application password is made anew at the site, tried, put into its file and revoked. A password, a machine secret
    or a client secret comes from --new, when the site knows it: it is tried, and put into its file. Nothing is kept of
    the old one. When anything fails, the old one is still there and still good.
    """
    site = sites.of(name, None)
    assert site.root, "an RSE has one"
    found = rotation.find(name, site.config, site.origins, site.caller, site.root)
    report = Report(as_json=as_json)
    if found.is_made:
        if new:
            raise click.UsageError("an application password is made at the site: leave --new out")
        _exchange_made(name, found, report, time.time() + expires if expires else None, keep_old=keep_old, yes=yes)
    else:
        if not new or expires or keep_old:
            raise click.UsageError(f"the new {found.setting} is the site's: give it with --new FILE, and nothing else")
        _exchange_given(name, found, report, new, yes=yes)
    report.aside(READ_AGAIN if yes else f"Nothing was changed. To do it: {typed('--yes')}")


def _exchange_made(
    name: str, found: Rotation, report: Report, expires: float | None, *, keep_old: bool, yes: bool
) -> None:
    with rotation.maker_of(found, sites.login_for(found.config.gateway)) as maker:
        old = rotation.current(found, maker)
        known = f"{old.label} ({old.handle}), which opens {', '.join(old.paths)}" if old else "one that has ended"
        facts = {"rse": name, "setting": found.setting, "file": str(found.file), "old": old.handle if old else None}
        if not yes:
            report.say(
                f"To be exchanged: the application password in {found.file}, {known}", outcome="planned", **facts
            )
            return
        made = rotation.successor(found, maker, old, expires)
        rotation.forget_tokens(found)
        ends = until(made.expires) if made.expires else "you revoke it"
        said = f"{found.file} holds a new application password: {made.label} ({made.handle}), until {ends}"
        by_hand = f"rucio-cs3 token app-password revoke {old.handle if old else ''} --rse {name}"
        if old and not keep_old:
            try:
                _revoke(maker, old, by_hand)
            except Cs3Error:
                report.aside(said)
                raise
        kept = bool(old and keep_old)
        report.say(said, outcome="done", new=made.handle, kept_old=kept, **facts)
        if old:
            report.aside(f"The old one is still good, until: {by_hand}" if kept else "The old one is revoked.")


def _revoke(maker: Cs3Client, old: AppPassword, by_hand: str) -> None:
    """Whatever stops that says what is left to do."""
    try:
        maker.apps.revoke(old)
    except Cs3Error as error:
        error.hint = f"{IN_FORCE}: {by_hand}"
        raise
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Interrupted: {IN_FORCE}: {by_hand}") from None


def _exchange_given(name: str, found: Rotation, report: Report, new: str, *, yes: bool) -> None:
    secret = sys.stdin.read().strip() if new == STDIN else read_secret(new, "--new")
    if not secret:
        raise ConfigError("--new is empty", hint=f"give the new {found.setting}")
    facts = {"rse": name, "setting": found.setting, "file": str(found.file)}
    if not yes:
        with rotation.draft(found, secret) as made:
            rotation.check(found, made)
        report.say(
            f"To be exchanged: the {found.setting} in {found.file}; the new one works", outcome="planned", **facts
        )
        return
    rotation.exchange(found, secret)
    rotation.forget_tokens(found)
    report.say(f"{found.file} holds the new {found.setting}, by which the site lets in", outcome="done", **facts)
    if new != STDIN:
        report.aside(f"It still stands in {new} as well: remove that.")
