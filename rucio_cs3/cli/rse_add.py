"""`rucio-cs3 rse add`: tell Rucio of a folder at a CS3 site, after a look at what the site can."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from rucio_cs3.cli import rse_screen as shown
from rucio_cs3.cli import site as sites
from rucio_cs3.cli.report import orderly, told, typed
from rucio_cs3.cli.rses import forget, rse_names
from rucio_cs3.cli.screen import console
from rucio_cs3.cli.sizes import human
from rucio_cs3.credentials import who
from rucio_cs3.errors import ConfigError, Cs3Error, NotStored
from rucio_cs3.operate import discovery, entry, opening, place, probe, steps
from rucio_cs3.operate.catalogue import Catalogue
from rucio_cs3.operate.door import Door

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rucio_cs3.cli.site import Site
    from rucio_cs3.client import Cs3Client
    from rucio_cs3.credentials.who import Who
    from rucio_cs3.model import Ref
    from rucio_cs3.operate.discovery import Finding, View
    from rucio_cs3.operate.opening import Opening
    from rucio_cs3.operate.steps import Step

MISUSE = 2
STOCK = ("davs",)
# What has to work, and what to do when it does not.
NEEDED = {
    probe.WRITING: "--read-only makes an RSE that is only read, and --no-probe does not look",
    discovery.DOOR: "give --webdav the address of that very folder, or of one above it",
}


def _pairs(form: str) -> Any:
    """Reads what may be repeated, such as OTHER=1."""

    def read(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
        for value in values:
            name, equals, rest = value.partition("=")
            if not (name and equals and rest):
                raise click.BadParameter(f"{value!r} is not of the form {form}", ctx, param)
        return dict(value.split("=", 1) for value in values)

    return read


def _distances(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    told = _pairs("OTHER=1")(ctx, param, values)
    for name, distance in told.items():
        if not distance.isdecimal():
            raise click.BadParameter(f"the distance to {name} is no whole number: {distance!r}", ctx, param)
    return {name: int(distance) for name, distance in told.items()}


@click.command()
@click.argument("name", shell_complete=rse_names)
@click.option("--gateway", required=True, envvar="RUCIO_CS3_GATEWAY", metavar="HOST:PORT", help="The CS3 gateway.")
@click.option("--no-tls", is_flag=True, help="It speaks plaintext: for this machine, and for tests.")
@click.option("--ca", metavar="FILE", help="Who vouches for its certificate; else the system's authorities.")
@click.option(
    "--webdav",
    metavar="URL",
    help="The address of the folder at the site's WebDAV door, or of one above it. With the host alone the usual doors"
    " are tried.",
)
@click.option("--path", metavar="CS3PATH", help="The folder, by its path at the gateway.")
@click.option("--space", metavar="ID", help="The folder, by the id of its space: storage$space.")
@click.option("--prefix", default="", metavar="FOLDER", help="A folder below --path or in the space, to be the RSE.")
@click.option("--distance", "distances", multiple=True, callback=_distances, metavar="OTHER=N", help="There and back.")
@click.option("--fts", metavar="URL", help="Who makes transfers: an FTS, or rucio-cs3 mover.")
@click.option("--attribute", "attributes", multiple=True, callback=_pairs("KEY=VALUE"), metavar="KEY=VALUE")
@click.option("--read-only", is_flag=True, help="Rucio may read there, and neither write nor delete.")
@click.option("--non-deterministic", is_flag=True, help="Files are where they are registered; Rucio does not choose.")
@click.option(
    "--policy-package", is_flag=True, help="Rucio's servers and daemons list cs3s: they have rucio_cs3.policy."
)
@click.option(
    "--probe/--no-probe",
    default=None,
    help="Try the storage with a file in a folder below the RSE's root, and remove it; a site with a bin keeps it there"
    " for a while. By default only with --yes, and not with --read-only.",
)
@click.option("--replace", is_flag=True, help="Take away the other protocols of an RSE that is there.")
@click.option("--yes", is_flag=True, help="Do it. Without, nothing is changed.")
@click.option("--json", "as_json", is_flag=True, help="Say it in JSON.")
@sites.in_one_line
@orderly
def add(name: str, as_json: bool, yes: bool, **options: Any) -> None:
    """Make a folder at a CS3 site an RSE, or correct the one that is there.

    It asks the site what it can do, shows what it found, the protocol entry, and the `rucio` commands that do the same
    by hand; with --yes it does it. Run again it changes what differs. Logins are found as the plugin finds them: in
    section [cs3:NAME] of rucio.cfg, or in RUCIO_CS3_ variables.

    \b
      rucio-cs3 rse add CERNBOX --gateway cs3.example.org:443 --path /eos/project/r/rucio \\
        --webdav https://cernbox.example.org --distance SURF=1 --fts https://mover.example.org:8446
    """  # noqa: D301 - click wants the character
    wish = _Wish(name=name, yes=yes, **options)
    rucio = Catalogue()
    draft = _look(wish, rucio, as_json=as_json)
    if not as_json:
        draft.show(wish)
    failure = (draft.refusal() or _apply(draft.steps, quiet=as_json)) if yes else None
    if yes:
        forget()  # shells complete the new name at once
    if as_json:
        ended = {"outcome": steps.FAILED, **told(failure)} if failure else {}
        click.echo(json.dumps({**draft.told(), "applied": yes and not failure, **ended}))
        sys.exit(1 if failure else 0)
    if failure:
        raise failure
    said = [_outcome(draft, wish), *_what_else(draft, wish, rucio)]
    click.echo("\n".join(said if yes else [*said[1:], said[0]]))  # what is to be done now comes last


@dataclass(frozen=True)
class _Wish:
    """What was typed."""

    name: str
    gateway: str
    no_tls: bool
    ca: str | None
    webdav: str | None
    path: str | None
    space: str | None
    prefix: str
    distances: Mapping[str, int]
    fts: str | None
    attributes: Mapping[str, str]
    read_only: bool
    non_deterministic: bool
    policy_package: bool
    probe: bool | None
    replace: bool
    yes: bool

    @property
    def probes(self) -> bool:
        return self.yes and not self.read_only if self.probe is None else self.probe


@dataclass(frozen=True)
class _Draft:
    """What was found, and what would be done."""

    site: Site
    who: Who
    findings: list[Finding]
    wanted: entry.Wanted
    steps: list[Step] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        return {
            "rse": self.wanted.name,
            "gateway": self.site.config.gateway,
            "username": self.who.username,
            "found": [found.told() for found in self.findings],
            "protocol": dict(self.wanted.protocol),
            "attributes": dict(self.wanted.attributes),
            "distances": dict(self.wanted.distances),
            "steps": [step.told() for step in self.steps],
        }

    def show(self, wish: _Wish) -> None:
        by = f"by {self.who.by.method}: {self.who.by.description}"
        console().print(f"[bold]{self.site.config.gateway}[/bold] as {shown.safe(self.who.username)}, {shown.safe(by)}")
        shown.show_findings(self.findings)
        if not wish.probes:
            click.echo("Nothing was written there.")
        elif {each.what: each for each in self.findings}[probe.WRITING].works:
            click.echo("What was written there is gone.")
        shown.show_protocol(self.wanted.protocol)
        shown.show_steps(self.steps)

    def refusal(self) -> Cs3Error | None:
        """Before Rucio is told of a storage that it could not use."""
        for found in self.findings:
            if found.works is False and found.what in NEEDED:
                return NotStored(f"{found.what}: {found.said}", path=self.wanted.name, hint=NEEDED[found.what])
        return None


def _look(wish: _Wish, rucio: Catalogue, *, as_json: bool) -> _Draft:
    standing = rucio.standing(wish.name)
    scheme = "cs3" if wish.no_tls or sites.is_plaintext(wish.gateway) else "cs3s"
    hostname, _, port = wish.gateway.rpartition(":")
    begun = {"scheme": scheme, "hostname": hostname, "port": port, "prefix": "/"}
    site = sites.of_entry(wish.name, standing.id if standing else "", begun, ca=wish.ca)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(site.client())
        own = f"set username and password, or another login, in section [cs3:{wish.name}] of rucio.cfg"
        client.tokens.remedy = lambda: site.remedy() or own
        found = who.ask(client, site.root)
        root = place.named(wish.path, wish.space, wish.prefix)
        if root is None:
            _show_spaces(client, as_json=as_json)
            sys.exit(MISUSE)
        place.look(client, root)
        door = stack.enter_context(Door(wish.webdav, client)) if wish.webdav else None
        opens_on = opening.find(door, client, root) if door else None
        protocol = _protocol(wish, site, root, door, opens_on)
        wanted = entry.Wanted(
            name=wish.name,
            protocol=protocol,
            deterministic=not wish.non_deterministic,
            read_only=wish.read_only,
            attributes={**({"fts": wish.fts} if wish.fts else {}), **wish.attributes},
            distances=wish.distances,
        )
        described = sites.of_entry(wish.name, standing.id if standing else "", protocol, ca=wish.ca)
        view = discovery.View(client, described.root_at(client), door, opens_on)
        findings = list(_findings(view, probes=wish.probes))
        return _Draft(described, found, findings, wanted, steps.plan(rucio, wanted, standing, replace=wish.replace))


def _protocol(wish: _Wish, site: Site, root: Ref, door: Door | None, opens_on: Opening | None) -> dict[str, Any]:
    config = {"gateway": site.config.gateway, "tls": site.config.tls}
    if door and opens_on:
        return entry.at_door(door, opens_on, config, read_only=wish.read_only)
    protocol = entry.at_gateway(root, config, read_only=wish.read_only)
    entry.listed_by_stock_servers(protocol, (*STOCK, protocol["scheme"]) if wish.policy_package else STOCK)
    return protocol


def _findings(view: View, *, probes: bool) -> Iterator[Finding]:
    """What was tried takes the place of what was only looked at."""
    found = {each.what: each for each in discovery.look(view)}
    if probes:
        found.update({each.what: each for each in probe.probe(view)})
    yield from found.values()


def _apply(todo: list[Step], *, quiet: bool) -> Cs3Error | None:
    """Do it, and say what is done. Returns what stopped it."""
    try:
        for step in steps.apply(todo):
            if not quiet:
                click.echo(f"Done: {step.what}")
    except Cs3Error as error:
        outcomes = [step.outcome for step in todo]
        done, left = outcomes.count(steps.DONE), outcomes.count(steps.NOT_DONE)
        [failed] = [step.what for step in todo if step.outcome == steps.FAILED]
        error.message = f"{failed}: {error.message} ({done} steps are done, {left} after it are not)"
        error.hint = f"{error.hint or 'see what Rucio says'}; then run the same again"
        return error
    except KeyboardInterrupt:
        done = sum(step.outcome == steps.DONE for step in todo)
        raise KeyboardInterrupt(f"Interrupted: {done} steps are done; run the same again for the others.") from None
    return None


def _outcome(draft: _Draft, wish: _Wish) -> str:
    if all(step.state == steps.SO_ALREADY for step in draft.steps):
        return f"RSE {wish.name} is so already."
    if wish.yes:
        return f"RSE {wish.name} is as it should be."
    return f"Nothing was changed. To do it: {typed('--yes')}"


def _what_else(draft: _Draft, wish: _Wish, rucio: Catalogue) -> list[str]:
    """What Rucio does not know of, and what only others can decide."""
    ca = f"\n  ca = {wish.ca}" if wish.ca else ""
    file = f"password_file = ~/.config/rucio-cs3/{wish.name.lower()}"
    login = f"[cs3:{wish.name}]\n  username = {draft.who.username}\n  {file}{ca}"
    lines = [
        f"Whoever uses it needs a login at the site, in rucio.cfg, such as:\n  {login}",
        f"Who may write there:  rucio account limit set ACCOUNT --rse {wish.name} --bytes infinity",
        f"See that it works:    rucio-cs3 rse check {wish.name}",
    ]
    found_out = {found.what: found for found in draft.findings}
    if wish.fts and not found_out["checksums"].works:
        lines.append(f"If {wish.fts} is an FTS, and not rucio-cs3 mover: --attribute verify_checksum=False")
    if found_out["free space"].facts.get("available"):
        lines.append(f"Free space, by cron:  rucio-cs3 rse settings {wish.name}")
    if not rucio.is_admin():
        lines.append(f"Rucio account {rucio.account} does not look like an admin's, who alone may add RSEs.")
    return lines


def _show_spaces(client: Cs3Client, *, as_json: bool) -> None:
    """What there is to choose from."""
    try:
        found = client.spaces.list()
    except Cs3Error:
        found = []
    how = "name one of these: --space ID --prefix FOLDER" if found else place.choices(client)
    error = ConfigError("nothing says which folder is to be the RSE", hint=how)
    if as_json:
        spaces = [{"id": each.id.space, "name": each.name, "kind": each.kind, "path": each.path} for each in found]
        click.echo(json.dumps({"outcome": steps.FAILED, **told(error), "spaces": spaces}))
        return
    for each in found:
        quota = f"quota {human(each.quota.total)}" if each.quota.total else "no quota"
        console().print(f"[bold]{shown.safe(each.id.space)}[/bold]  {shown.safe(each.name)}: {each.kind}, {quota}")
    click.echo(f"Error: {error}", err=True)
