"""A Rucio storage element as its protocol entry describes it: which gateway, which folder, and how PFNs map to paths.

Two kinds of PFN. With `webdav_root` in the entry's extended attributes, the PFN is the file's address at the site's
WebDAV door, and the part of it below `webdav_root` is found below `cs3_root` (or `space`). Without, the PFN names the
gateway itself and the path is the CS3 path. PFNs are URLs: what a URL cannot hold is percent-encoded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from rucio_cs3.config import FIELDS, FOR_ISSUER, LOCAL, SECRETS, Config, Found, Layer, unknown
from rucio_cs3.errors import ConfigError, InvalidName
from rucio_cs3.loopback import is_loopback
from rucio_cs3.model import SAFE, Ref, ResourceId, relative

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

IMPL = "rucio_cs3.protocol.Default"
PLACE = ("webdav_root", "cs3_root", "space")


@dataclass(frozen=True)
class Rse:
    """One protocol entry of one RSE."""

    name: str
    config: Config
    root: Ref
    origins: Mapping[str, str] = field(compare=False)
    """where each setting stands"""

    @classmethod
    def of(
        cls,
        name: str,
        entry: Mapping[str, Any],
        special: Sequence[Layer],
        general: Sequence[Layer] = (),
    ) -> Rse:
        """Read a protocol entry, with what is set here for this RSE, and for all sites (each strongest first).

        Raises:
            ConfigError: names the RSE and the attribute.
        """
        attributes = _cs3_attributes(name, entry)
        place = {key: attributes.pop(key) for key in PLACE if key in attributes}
        found = Found(Layer("extended_attributes of the RSE", attributes))
        if "webdav_root" not in place:
            found.add(Layer("hostname and port of the RSE", {"gateway": f"{entry['hostname']}:{entry['port']}"}))
        found.add(Layer("scheme of the RSE", {"tls": entry["scheme"] != "cs3"}))
        ours = (Found(*special).settings, *(layer.settings for layer in general))
        _refuse_impersonation(name, found.settings, ours)
        for layer in reversed(special):
            found.put(layer)
        if "gateway" not in found.settings:
            raise ConfigError(f"RSE {name}: no gateway is given", hint='set it in extended_attributes: {"cs3": {...}}')
        for layer in general:  # of which only those that name the same gateway may bring a login
            named = {**layer.settings, "gateway": layer.settings.get("gateway", "")}
            found.add(layer._replace(settings=named))
        config = Config.of(found.settings, f"RSE {name}", found.origins)
        if not config.tls:
            _refuse_plaintext(name, config.gateway, ours)
        _refuse_foreign_issuer(name, config, ours)
        return cls(name, config, _root(name, _slashed(entry["prefix"]), place), found.origins)


def our_entry(name: str, entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The one with a WebDAV address, if several are ours. Raises ConfigError."""
    ours = [entry for entry in entries if entry["impl"] == IMPL]
    if not ours:
        others = ", ".join(sorted({str(entry["impl"]) for entry in entries})) or "none at all"
        raise ConfigError(f"RSE {name} has no protocol with impl {IMPL}, but {others}", hint="is it another RSE?")
    return next(filter(_has_door, ours), ours[0])


def door_of(entry: Mapping[str, Any], *, tls: bool) -> str | None:
    """The root folder's address for programs that speak WebDAV."""
    if not _has_door(entry):
        return None
    return path_to_pfn({**entry, "scheme": "https" if tls else "http"}, _slashed(entry["prefix"]))


def _has_door(entry: Mapping[str, Any]) -> bool:
    return "webdav_root" in ((entry.get("extended_attributes") or {}).get("cs3") or {})


def path_to_pfn(entry: Mapping[str, Any], path: str) -> str:
    """The URL of an absolute path as the protocol entry writes it."""
    return f"{entry['scheme']}://{entry['hostname']}:{entry['port']}{quote(path, safe=SAFE)}"


def pfn_to_path(pfn: str, entry: Mapping[str, Any]) -> str:
    """The path of a PFN below the entry's prefix, decoded.

    Raises:
        InvalidName: it is not a PFN of this entry.
    """
    scheme, _, rest = pfn.partition("://")
    address, slash, path = rest.partition("/")
    expected = f"{entry['hostname']}:{entry['port']}"
    if scheme != entry["scheme"] or address not in {expected, entry["hostname"]}:
        raise InvalidName(f"not a PFN of this RSE, which begin with {entry['scheme']}://{expected}", path=pfn)
    try:
        decoded = _single_slashes(unquote(slash + path, errors="strict"))
    except UnicodeDecodeError:  # else two files would have one name
        raise InvalidName("it is not UTF-8, percent-encoded", path=pfn) from None
    prefix = _slashed(entry["prefix"])
    if not decoded.startswith(prefix):
        raise InvalidName(f"outside the prefix {prefix} of this RSE", path=pfn)
    return relative(decoded[len(prefix) :])


def _cs3_attributes(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    attributes = entry.get("extended_attributes") or {}
    cs3 = attributes.get("cs3", {}) if isinstance(attributes, dict) else None
    if not isinstance(cs3, dict):
        raise ConfigError(
            f'RSE {name}: extended_attributes of scheme {entry["scheme"]} are not of the form {{"cs3": {{...}}}}',
            hint="correct them with: rucio rse protocol",
        )
    for key in PLACE:
        if not isinstance(cs3.get(key, ""), str):
            raise ConfigError(f"RSE {name}: {key} in extended_attributes is not text")
    for key in sorted(cs3.keys() - {*PLACE, *FIELDS}):
        raise unknown(key, f"RSE {name}: extended_attributes", {*PLACE, *FIELDS})
    for key in sorted(cs3.keys() & LOCAL):
        change = ", and change it" if key in SECRETS else ""
        raise ConfigError(
            f"RSE {name}: extended_attributes hold {key}, and everybody can read them, and others change them",
            hint=f"move it to section [cs3:{name}] of rucio.cfg{change}",
        )
    return dict(cs3)


def _refuse_plaintext(name: str, gateway: str, ours: Iterable[Mapping[str, Any]]) -> None:
    """Whoever may edit an RSE must not thereby read the logins of all who use it off the wire."""
    meant = any(not Config.of({"gateway": gateway, "tls": each["tls"]}).tls for each in ours if "tls" in each)
    if not is_loopback(gateway.rpartition(":")[0]) and not meant:
        raise ConfigError(
            f"RSE {name} asks for plaintext to {gateway}, and a login is not sent in the clear because an RSE says so",
            hint=f"if you mean it, set tls = false in section [cs3:{name}] of rucio.cfg",
        )


def _refuse_impersonation(name: str, attributes: Mapping[str, Any], ours: Iterable[Mapping[str, Any]]) -> None:
    """Whoever may edit an RSE must not thereby say as whom a machine secret logs in."""
    anybody = {"accounts", "machine_secret", "machine_secret_file"}
    if "username" in attributes and any(anybody & each.keys() and "username" not in each for each in ours):
        raise ConfigError(
            f"RSE {name} says who to be at the site, and a machine secret is not used for whom an RSE names",
            hint=f"set username or accounts in section [cs3:{name}] of rucio.cfg, and take username out of the RSE",
        )


def _refuse_foreign_issuer(name: str, config: Config, ours: Iterable[Mapping[str, Any]]) -> None:
    """Whoever may edit an RSE must not thereby have our secrets sent to a provider of his own."""
    for settings in ours:
        secret = next((key for key in sorted(FOR_ISSUER & settings.keys()) if getattr(config, key)), None)
        if secret and config.issuer and settings.get("issuer") != config.issuer:
            raise ConfigError(
                f"RSE {name} says that issuer is {config.issuer}: {secret} is not sent there because an RSE says so",
                hint=f"if you mean it, set issuer beside {secret}, in section [cs3:{name}] of rucio.cfg",
            )


def _root(name: str, prefix: str, place: Mapping[str, str]) -> Ref:
    below = prefix
    if "webdav_root" in place:
        door = _slashed(place["webdav_root"])
        if not prefix.startswith(door):
            raise ConfigError(f"RSE {name}: its prefix {prefix} is not below webdav_root {door}")
        below = prefix[len(door) :]
    if "space" in place:
        return Ref(below, ResourceId.parse(place["space"]))
    return Ref(_slashed(place.get("cs3_root", "/")) + below)


def _slashed(path: str) -> str:
    return _single_slashes(f"/{path}/")


def _single_slashes(path: str) -> str:
    while "//" in path:
        path = path.replace("//", "/")
    return path
