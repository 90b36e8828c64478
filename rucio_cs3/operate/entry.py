"""What Rucio is to be told of an RSE: its protocol entry, attributes and distances."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rucio_cs3.config import SECRETS
from rucio_cs3.errors import ConfigError
from rucio_cs3.model import slashed
from rucio_cs3.rse import IMPL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rucio_cs3.model import Ref
    from rucio_cs3.operate.door import Door
    from rucio_cs3.operate.opening import Opening

LAN = ("read", "write", "delete")
EVERYTHING = {"wan": (*LAN, "third_party_copy_read", "third_party_copy_write"), "lan": LAN}
# Rucio wants a write to take the addresses of files. The RSE's availability is what keeps uploads and rules away.
READING = {"wan": ("read", "write", "third_party_copy_read"), "lan": ("read",)}


@dataclass(frozen=True)
class Wanted:
    """One RSE as Rucio should know it."""

    name: str
    protocol: Mapping[str, Any]
    deterministic: bool = True
    read_only: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    distances: Mapping[str, int] = field(default_factory=dict)
    """to other RSEs, and back"""


def domains(*, read_only: bool) -> dict[str, dict[str, int | None]]:
    """With priority 1 what may be done, and None what may not: to Rucio 41 0 is the first choice."""
    may = READING if read_only else EVERYTHING
    return {area: {name: 1 if name in may[area] else None for name in names} for area, names in EVERYTHING.items()}


def at_door(door: Door, opening: Opening, config: Mapping[str, Any], *, read_only: bool) -> dict[str, Any]:
    """PFNs are the files' addresses at the site's WebDAV door: what every Rucio server can list."""
    cs3 = {"gateway": config["gateway"], **_plaintext(config), "webdav_root": opening.path, **_place(opening)}
    return {
        "scheme": "davs",
        "hostname": door.address.hostname,
        "port": int(door.address.port),
        "prefix": opening.prefix,
        "impl": IMPL,
        "domains": domains(read_only=read_only),
        "extended_attributes": {"cs3": cs3},
    }


def at_gateway(root: Ref, config: Mapping[str, Any], *, read_only: bool) -> dict[str, Any]:
    """PFNs name the gateway itself, for sites without a WebDAV door."""
    hostname, _, port = config["gateway"].rpartition(":")
    entry = {
        "scheme": "cs3s" if config["tls"] else "cs3",
        "hostname": hostname,
        "port": int(port),
        "prefix": slashed(root.path),
        "impl": IMPL,
        "domains": domains(read_only=read_only),
    }
    return {**entry, "extended_attributes": {"cs3": {"space": root.id.space}}} if root.id else entry


def shown(value: Any) -> Any:
    """What Rucio tells, without a secret that somebody has put there, where everybody can read it."""
    if isinstance(value, dict):
        return {key: "not shown" if key in SECRETS else shown(inner) for key, inner in value.items()}
    return [shown(inner) for inner in value] if isinstance(value, list) else value


def command(name: str, protocol: Mapping[str, Any]) -> list[str]:
    """The line that adds the entry."""
    words = ["rucio", "rse", "protocol", "add", name]
    for key in ("scheme", "hostname", "port", "prefix", "impl"):
        words += [f"--{key}", str(protocol[key])]
    words += ["--domain-json", json.dumps(protocol["domains"])]
    extended = protocol.get("extended_attributes")
    return [*words, "--extended-attributes-json", json.dumps(extended)] if extended else words


def listed_by_stock_servers(protocol: Mapping[str, Any], schemes: tuple[str, ...]) -> None:
    """Raises ConfigError for a scheme that Rucio has to be taught. `schemes` are those that it is known to list."""
    if protocol["scheme"] not in schemes:
        raise ConfigError(
            f"without a WebDAV door the scheme is {protocol['scheme']}, which a stock Rucio server does not list",
            hint="give --webdav URL; or where servers and daemons have [policy] package = rucio_cs3.policy,"
            " --policy-package says so",
        )


def _plaintext(config: Mapping[str, Any]) -> dict[str, bool]:
    return {} if config["tls"] else {"tls": False}


def _place(opening: Opening) -> dict[str, str]:
    """By id where the site has spaces: a path may lead to another one of the same name."""
    if opening.root.id is None and not opening.info.id.is_space:
        return {"cs3_root": opening.root.path}
    return {"space": opening.info.id.space}
