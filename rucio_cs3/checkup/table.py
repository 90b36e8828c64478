"""All checks, in their order, and what each needs: of what went wrong the first cause is told, and not what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rucio_cs3.checkup import clock, configuration, copies, door, folder, login, network, probe, server, versions
from rucio_cs3.checkup.case import without_probe
from rucio_cs3.checkup.model import FAIL, SKIP, Check, Result, failure
from rucio_cs3.errors import Cs3Error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rucio_cs3.checkup.case import Case


def _plain(case: Case) -> str:
    return "" if case.wish.rse else "no RSE is named"


def _unasked(case: Case) -> str:
    return _plain(case) or server.unasked(case)


def _distant(case: Case) -> str:
    return _unasked(case) or copies.alone(case)


def _writing(case: Case) -> str:
    return "nothing may be written" if case.read_only else ""


def _reading(case: Case) -> str:
    return "" if case.read_only else "the probe is read instead"


def _unlimited(case: Case) -> str:
    return _unasked(case) or _writing(case)


UNFORESEEN = "nobody has thought of that: show this line to Rucio's operator, then to the authors of rucio-cs3"
CHECKS = (
    Check("versions", "the packages here", versions.packages),
    Check("rucio.cfg", "rucio.cfg", configuration.files, unless=_plain),
    Check("rucio", "Rucio's server", configuration.rucio, ("rucio.cfg",), _plain),
    Check("rse", "the RSE in Rucio", configuration.rse, ("rucio",), _plain),
    Check("settings", "the settings", configuration.settings, ("rse",), _plain),
    Check("secrets", "files of secrets", configuration.secrets, ("settings",)),
    Check("server.version", "Rucio's version", versions.server, ("rucio",), _unasked),
    Check("server.plugin", "the plugin at Rucio's server", server.plugin, ("settings",), _unasked),
    Check("server.scheme", "the scheme", server.scheme, ("rse",), _plain),
    Check("server.domains", "the priorities of the protocol", server.domains, ("rse",), _plain),
    Check("server.limit", "the account's limit", server.limit, ("rse",), _unlimited),
    Check("server.fts", "the attribute fts", server.fts, ("rse",), _unasked),
    Check("gateway.dns", "the gateway's name", network.of(network.dns, network.gateway), ("settings",)),
    Check("gateway.tcp", "the gateway's port", network.of(network.tcp, network.gateway), ("gateway.dns",)),
    Check("gateway.tls", "the gateway's TLS", network.of(network.security, network.gateway), ("gateway.tcp",)),
    Check("gateway.grpc", "the gateway", network.grpc, ("gateway.tls",)),
    Check("door.dns", "the door's name", network.of(network.dns, network.door), ("settings",), door.missing),
    Check("door.tcp", "the door's port", network.of(network.tcp, network.door), ("door.dns",), door.missing),
    Check(
        "door.tls",
        "the door's TLS",
        network.of(network.security, network.door),
        ("door.tcp", "gateway.tls"),
        door.missing,
    ),
    Check("clock", "the site's clock", clock.door, ("door.tls",), door.missing),
    Check("login", "the logins", login.login, ("gateway.grpc", "secrets")),
    Check("token", "the token", login.token, ("login",)),
    Check("root", "the root folder", folder.root, ("login",)),
    Check("space", "free space", probe.space, ("root",)),
    Check("write", "writing a file", probe.write, ("space",), _writing),
    Check("read", "reading it", probe.read, ("write",), _writing),
    Check("sample", "reading a file", probe.sample, ("root",), _reading),
    Check("checksum", "the storage's checksums", probe.checksum, ("read", "sample"), without_probe),
    Check("range", "reading a part", probe.ranges, ("read", "sample"), without_probe),
    Check("tus", "uploads in parts", probe.tus, ("read",), _writing),
    Check("reva", "the kind of storage", versions.reva, ("read", "sample")),
    Check("door.login", "the login at the door", door.login, ("clock", "root"), door.closed),
    Check("door.file", "the file at the door", door.file, ("door.login", "read", "sample"), door.away),
    Check("rename", "renaming", probe.rename, ("read",), _writing),
    Check("delete", "deleting", probe.delete, ("rename",), _writing),
    Check("distance", "distances", server.distance, ("rse",), _distant),
    Check("other", "the other RSE", copies.other, ("settings",), copies.impossible),
    Check("copy.pull", "a pull from the other RSE", copies.by("pull"), ("other", "door.file"), copies.impossible),
    Check("copy.push", "a push to the other RSE", copies.by("push"), ("other", "door.file"), copies.impossible),
    Check("tidy", "that nothing is left", probe.tidy, ("root",), _writing),
)


def examine(
    case: Case, checks: Sequence[Check] = CHECKS, tell: Callable[[Check], None] = lambda _: None
) -> Iterator[Result]:
    """Take one check after the other; `tell` is called before each."""
    causes: dict[str, str] = {}  # by what could not be seen
    for check in checks:
        tell(check)
        cause = next((causes[need] for need in check.needs if need in causes), None)
        if cause:
            causes[check.name] = cause
            yield Result(check.name, SKIP, f"not reached: {cause}", looked=False)
            continue
        for result in _taken(check, case):
            if result.outcome == FAIL:
                causes[check.name] = check.name
            yield result


def _taken(check: Check, case: Case) -> Iterator[Result]:
    reason = check.unless(case)
    if reason:
        yield Result(check.name, SKIP, reason, looked=False)
        return
    try:
        for found in check.run(case):
            yield Result(check.name, *found)
    except Cs3Error as error:
        yield Result(check.name, *failure(error))
    except Exception as error:  # noqa: BLE001 - whatever Rucio or a site comes up with, the other checks go on
        seen = " ".join(f"{type(error).__name__}: {error}".split())
        yield Result(check.name, FAIL, seen, UNFORESEEN)
