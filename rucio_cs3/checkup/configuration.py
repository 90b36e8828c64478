"""What is set, and where: rucio.cfg, Rucio's word of the RSE, the settings of the site, and the files of secrets."""

from __future__ import annotations

import configparser
import difflib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rucio_cs3.checkup.model import DEFAULT_REMEDY, failed, failure, passed, skipped, warned
from rucio_cs3.config import FIELDS, SECRETS, convert, login_elsewhere, surroundings
from rucio_cs3.errors import ConfigError, Cs3Error
from rucio_cs3.operate.catalogue import INSTALL, NOT_INSTALLED, Catalogue, one_line
from rucio_cs3.private import read_secret, refuse_public, there
from rucio_cs3.rse import PLACE, door_of, our_entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rucio_cs3.checkup.case import Case
    from rucio_cs3.checkup.model import Finding
    from rucio_cs3.config import Layer

ADD = "rucio-cs3 rse add {} --gateway HOST:PORT --path PATH --webdav URL"
OURS = "cs3"
CHANGES = ("write", "delete")
READ, WRITE, DELETE = (f"availability_{what}" for what in ("read", "write", "delete"))
NEAR = 0.8  # how much alike names are that may be meant for one another


def files(case: Case) -> Iterator[Finding]:
    """rucio.cfg and rse-accounts.cfg."""
    try:
        from rucio.common.config import get_config, get_config_dirs  # noqa: PLC0415 - Rucio may be missing
        from rucio.common.exception import RucioException  # noqa: PLC0415
    except ImportError:
        yield failed(NOT_INSTALLED, INSTALL)
        return
    places = [os.environ["RUCIO_CONFIG"]] if "RUCIO_CONFIG" in os.environ else []
    places += [str(Path(folder, "rucio.cfg")) for folder in get_config_dirs()]
    file = next(filter(lambda place: there(Path(place)), places), None)
    try:
        parser = get_config()
    except (RucioException, configparser.Error) as error:
        yield failed(one_line(error), "correct it, or say where it is: RUCIO_HOME, or RUCIO_CONFIG")
        return
    yield passed(f"{file}: {_sections(parser, case)}")
    yield from _strange_sections(parser, case)
    holds_secrets = any(SECRETS & set(parser.options(name)) for name in parser.sections() if name.startswith(OURS))
    accounts = [str(Path(folder, "rse-accounts.cfg")) for folder in get_config_dirs()]
    for place in filter(None, [file if holds_secrets else None, *accounts]):
        if there(Path(place)):
            yield from _public(place)


def _sections(parser: configparser.ConfigParser, case: Case) -> str:
    found = [f"[{name}]" for name in (f"{OURS}:{case.name}", OURS) if parser.has_section(name)]
    return f"what counts there is {' and '.join(found) or f'no section, as [{OURS}:{case.name}] or [{OURS}]'}"


def _strange_sections(parser: configparser.ConfigParser, case: Case) -> Iterator[Finding]:
    """What looks like our section, and is none."""
    wanted = f"{OURS}:{case.name}"
    if parser.has_section(wanted) and parser.options(wanted):
        return
    small = {name.lower().replace(" ", ""): name for name in parser.sections()}
    for name in difflib.get_close_matches(wanted.lower(), small.keys() - {wanted.lower()}, n=1, cutoff=NEAR):
        if not _is_rse(small[name].partition(":")[2]):
            yield warned(f"section [{small[name]}] is of no RSE that Rucio knows", f"did you mean [{wanted}]?")


def _is_rse(name: str) -> bool:
    """False also where nobody can say so."""
    from rucio.common.exception import RucioException  # noqa: PLC0415 - Rucio may be missing
    from rucio.rse import rsemanager  # noqa: PLC0415

    try:
        return bool(name and rsemanager.get_rse_info(rse=name))
    except (RucioException, OSError):
        return False


def _public(file: str) -> Iterator[Finding]:
    if Path(file).stat().st_mode & stat.S_IRWXO:
        yield warned(f"{file} holds secrets, and others on this machine can read or change it", f"chmod o-rwx {file}")


def rucio(case: Case) -> Iterator[Finding]:
    """Its server answers, and knows us; a daemon asks the database instead."""
    from rucio.common.config import config_has_option  # noqa: PLC0415 - Rucio may be missing
    from rucio.rse import rsemanager  # noqa: PLC0415

    if getattr(rsemanager, "SERVER_MODE", False) and not config_has_option("client", "rucio_host"):
        yield passed("this is a daemon's place: Rucio's database is asked, and not its server")
        return
    try:
        found = Catalogue()
        account = found.whoami()
    except Cs3Error as error:
        yield failure(error, "check [client] in rucio.cfg, and: rucio whoami")
        return
    case.rucio = found
    yield passed(f"{found} takes us for account {account}")


def rse(case: Case) -> Iterator[Finding]:
    """Rucio knows it, and one of its protocol entries is ours."""
    from rucio.common.exception import RSENotFound, RucioException  # noqa: PLC0415 - Rucio may be missing
    from rucio.rse import rsemanager  # noqa: PLC0415

    try:
        case.settings = rsemanager.get_rse_info(rse=case.name)
    except RSENotFound:
        yield failed(f"Rucio knows no RSE {case.name}", f"rucio rse list, or make it one: {ADD.format(case.name)}")
        return
    except (RucioException, OSError) as error:
        yield failed(f"Rucio does not tell about RSE {case.name}: {one_line(error)}", "ask Rucio's operator")
        return
    try:
        case.entry = our_entry(case.name, case.settings["protocols"])
    except ConfigError as error:
        yield failure(error, f"is it another RSE? if not: {ADD.format(case.name)}")
        return
    address = f"{case.entry['scheme']}://{case.entry['hostname']}:{case.entry['port']}{case.entry['prefix']}"
    yield passed(f"its protocol entry {address} is ours")
    yield from _availability(case)


def _availability(case: Case) -> Iterator[Finding]:
    """What Rucio does there at all. What it never changes is not written to here either."""
    off = [name for name in (READ, WRITE, DELETE) if not case.settings.get(name, True)]
    remedy = f"rucio rse update {case.name} --key {{}} --value True"
    if READ in off:
        yield warned(f"its {READ} is off: Rucio reads nothing there", remedy.format(READ))
    entries = case.settings["protocols"]
    ranks = [priority(each, area, what) for each in entries for area in each["domains"] for what in CHANGES]
    if all(rank is None for rank in ranks):
        case.read_only = True
        yield passed("none of its protocol entries is for more than reading, so nothing is written here")
    elif WRITE in off and DELETE in off:
        case.read_only = True
        yield passed(f"its {WRITE} and {DELETE} are off: it is only read, so nothing is written here")
    elif WRITE in off and not case.read_only:
        case.read_only = True
        yield warned(f"its {WRITE} is off: Rucio writes nothing there, nor does this check", remedy.format(WRITE))


def priority(entry: Mapping[str, Any], domain: str, operation: str) -> int | None:
    """None for what is never done; 0 is the first choice."""
    found: int | None = entry["domains"].get(domain, {}).get(operation)
    return found


def settings(case: Case) -> Iterator[Finding]:
    """All that is set for it can be understood, and fits together."""
    from rucio_cs3.protocol import general_layer, layers_of, logged_in, rse_of, rucio_login  # noqa: PLC0415

    wrong = []
    for layer in [layer for layers in layers_of(case.settings) for layer in layers]:
        wrong += list(_wrong(layer))
    if wrong:
        yield from wrong
        return
    case.site = rse_of(case.settings, case.entry)
    case.door_url = door_of(case.entry, tls=case.site.config.tls)
    if case.wish.as_daemon:
        from rucio_cs3.credentials.caller import caller  # noqa: PLC0415

        case.caller = caller(None, rucio_login)
    else:
        case.caller = logged_in()
    gateway = case.site.config.gateway
    case.remedy = lambda: login_elsewhere([*surroundings(), general_layer()], gateway)
    yield passed(f"gateway {gateway} (from {case.site.origins['gateway']}), root folder {case.site.root}")


def _wrong(layer: Layer) -> Iterator[Finding]:
    """Each setting that is none, or has a value that it cannot have; with where it stands."""
    for name, value in layer.settings.items():
        try:
            convert(name, value, layer.origin_of(name) if name in FIELDS else layer.origin)
        except ConfigError as error:
            place = f"{name} is for extended_attributes of the RSE" if name in PLACE else ""
            yield failure(error, place or error.hint or f"correct it in {layer.origin}")


def secrets(case: Case) -> Iterator[Finding]:
    """The files that hold them are there, and for nobody else."""
    config, seen = case.site.config, []
    for name in sorted(SECRETS):
        file = getattr(config, f"{name}_file")
        if file and getattr(config, name) is None:
            try:
                read_secret(file, f"{name}_file")
            except ConfigError as error:
                yield failure(error, error.hint or _where(case, f"{name}_file"))
                return
            seen.append(file)
    if config.client_key:
        try:
            refuse_public(config.client_key, "client_key")
        except (ConfigError, OSError) as error:
            told = error if isinstance(error, Cs3Error) else ConfigError(f"client_key {config.client_key}: {error}")
            yield failure(told, told.hint or _where(case, "client_key"))
            return
        seen.append(config.client_key)
    yield passed(f"{', '.join(seen)}: for nobody else to read") if seen else skipped("no file is named that holds one")


def _where(case: Case, name: str) -> str:
    origin = case.site.origins.get(name)
    return f"correct {name} in {origin}, or the file" if origin else DEFAULT_REMEDY
