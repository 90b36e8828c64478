"""`rucio-cs3 credentials`: let another program work on the files of a site, as you."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import click

from rucio_cs3.cli import site as sites
from rucio_cs3.cli.rses import rse_names
from rucio_cs3.cli.screen import show_secret
from rucio_cs3.cli.times import until
from rucio_cs3.credentials import who
from rucio_cs3.errors import ConfigError
from rucio_cs3.loopback import keeps_secrets
from rucio_cs3.model import SAFE, relative

if TYPE_CHECKING:
    from collections.abc import Callable

    from rucio_cs3.cli.site import Site

HEADER = "X-Access-Token"  # every Reva takes its tokens there; as Bearer only where it was told to
PLAIN = re.compile(r"[A-Za-z0-9._~+/=-]+")  # what no shell and no parser takes for anything else
GIVE_IT = "give it with --webdav-url, such as https://cernbox.example.org/remote.php/webdav"


@dataclass(frozen=True)
class Grant:
    """All that another program needs."""

    site: str
    gateway: str
    path: str | None
    """on the CS3 side, where it is known"""
    url: str | None
    username: str
    expires: float | None
    ca: str | None
    token: str = field(repr=False)

    @property
    def note(self) -> str:
        note = f"{self.username} at {self.site} until {until(self.expires)}. Keep it secret."
        return "".join(letter if letter.isprintable() else "?" for letter in note)  # the name is the gateway's word

    @property
    def webdav(self) -> str:
        if self.url is None:
            raise ConfigError(
                f"{self.site} does not tell the address of {self.path or 'its files'} for WebDAV",
                hint=GIVE_IT,
            )
        if not keeps_secrets(self.url):
            raise ConfigError(f"{self.url} would have the token sent in the clear", hint="give an https:// address")
        for text in (self.url, self.ca or ""):
            if not text.isprintable() or '"' in text or "\\" in text:
                raise ConfigError(f"{text!r} cannot be written into the configuration of another program")
        return self.url


def _env(grant: Grant) -> str:
    variables = {
        "CS3_GATEWAY": grant.gateway,
        "CS3_PATH": grant.path,
        "CS3_WEBDAV_URL": grant.url,
        "CS3_USERNAME": grant.username,
        "CS3_ACCESS_TOKEN": grant.token,
        "CS3_EXPIRES": None if grant.expires is None else str(int(grant.expires)),
    }
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items() if value)


def _json(grant: Grant) -> str:
    known = {key: value for key, value in vars(grant).items() if key != "token"}
    return json.dumps({**known, "headers": {HEADER: grant.token}}, indent=2)


def _curl(grant: Grant) -> str:
    ca = [f'{"capath" if Path(grant.ca).is_dir() else "cacert"} = "{grant.ca}"'] if grant.ca else []
    return "\n".join(
        [f"# {grant.note}", f'url = "{grant.webdav}"', f'header = "{HEADER}: {grant.token}"', *ca],
    )


def _rclone(grant: Grant) -> str:
    ca = [f"# its certificate wants: --ca-cert {grant.ca}"] if grant.ca else []
    settings = {"type": "webdav", "url": grant.webdav, "vendor": "other", "headers": f"{HEADER},{grant.token}"}
    lines = [f"{name} = {value}" for name, value in settings.items()]
    return "\n".join([f"[{_name(grant.site)}]", f"# {grant.note}", *ca, *lines])


def _davix(grant: Grant) -> str:
    ca = ["--capath", shlex.quote(grant.ca)] if grant.ca and Path(grant.ca).is_dir() else []
    return " ".join(["-H", f"{HEADER}:{grant.token}", *ca])


def _gfal2(grant: Grant) -> str:
    host = (urlsplit(grant.webdav).hostname or "").upper()
    sections = [f"[{scheme}:{host}]\nHEADERS={HEADER}:{grant.token}" for scheme in ("DAV", "HTTP")]
    return "\n".join([f"# {grant.note}", *sections])


def _mc(grant: Grant) -> str:
    alias = {"url": grant.webdav, "accessKey": grant.username, "secretKey": grant.token, "api": "webdav"}
    return json.dumps({"version": "10", "aliases": {_name(grant.site): {**alias, "path": "auto"}}}, indent=2)


def _name(site: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", site)


FORMATS: dict[str, Callable[[Grant], str]] = {
    "env": _env,
    "json": _json,
    "curl": _curl,
    "rclone": _rclone,
    "davix": _davix,
    "gfal2": _gfal2,
    "mc-style-config": _mc,
}


@click.command()
@click.argument("names", nargs=-1, metavar="[RSE] [PATH]", shell_complete=rse_names)
@sites.takes_gateway
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="json", show_default=True)
@click.option("--webdav-url", metavar="URL", help="The address of the files, where no RSE with a WebDAV door tells it.")
@sites.in_one_line
def credentials(names: tuple[str, ...], gateway: str | None, form: str, webdav_url: str | None) -> None:
    """Log in, and print what another program needs to work on the same files, in its own language.

    PATH is a file or folder below the root folder of the RSE, which is meant without it. With --gateway, it is a CS3
    path when it has a slash in front, else below --webdav-url. The output holds your Reva token, which is good until it
    expires, and for all that you may do at the site.

    \b
    env      eval "$(rucio-cs3 credentials CERNBOX --format env)"
             sets CS3_ACCESS_TOKEN, CS3_WEBDAV_URL, CS3_PATH, CS3_GATEWAY, CS3_USERNAME, CS3_EXPIRES;
             not BEARER_TOKEN, which Rucio would take for an OIDC token
    json     the same for scripts
    curl     rucio-cs3 credentials CERNBOX data/f --format curl | curl --fail --remote-name --config -
    rclone   (umask 077; rucio-cs3 credentials CERNBOX --format rclone > cernbox.conf)
             rclone --config cernbox.conf ls CERNBOX:
    davix    davix-get $(rucio-cs3 credentials CERNBOX --format davix) https://...
             davix reads headers from its arguments only, which other users of the machine can see
    gfal2    a file for the folder of configurations that GFAL_CONFIG_DIR names, a copy of /etc/gfal2.d
    mc-style-config
             an alias as in the configuration of the MinIO client, for scripts that read those
    """  # noqa: D301 - click wants the character
    rse, path = _rse_and_path(names, gateway)
    site = sites.of(rse, gateway)
    place, url = _address(site, path, webdav_url)
    with site.client() as client:
        found = who.ask(client, site.root)
    expires, ca, token = found.by.expires, site.config.ca, found.token
    grant = Grant(site.name, site.config.gateway, place, url, found.username, expires, ca, token=token)
    if form not in {"json", "mc-style-config", "env"} and not PLAIN.fullmatch(grant.token):
        raise ConfigError(f"the token holds characters that --format {form} cannot", hint="use --format json")
    told = FORMATS[form](grant)
    if url is None:
        click.echo(f"No WebDAV address is known, so none is in it: {GIVE_IT}", err=True)
    show_secret(told)


def _rse_and_path(names: tuple[str, ...], gateway: str | None) -> tuple[str | None, str]:
    """No RSE's name has a slash in front, so a lone path is told from one."""
    if len(names) == 1 and (gateway or names[0].startswith("/")):
        names = ("", *names)
    if len(names) > 2:  # noqa: PLR2004 - an RSE and a path
        raise click.UsageError("one RSE and one PATH are enough")
    rse, path = (*names, "", "")[:2]
    return rse or None, path


def _address(site: Site, path: str, webdav_url: str | None) -> tuple[str | None, str | None]:
    """Where it is on the CS3 side and at the WebDAV door, as far as that is known."""
    below = relative(path)
    door = webdav_url or site.door
    url = f"{door.rstrip('/')}/{quote(below, safe=SAFE)}" if door else None
    if site.root:
        return (None if site.root.id else str(site.root / below)), url
    if path.startswith("/"):
        if webdav_url:
            raise ConfigError(
                f"nobody says where CS3 path {path} is at {webdav_url}",
                hint="name it as it is below that address, without a slash in front",
            )
        return f"/{below}", None
    if below and not door:
        raise ConfigError(
            f"nobody says what {path} is below of", hint="give a CS3 path with a slash in front, or --webdav-url"
        )
    return None, url
