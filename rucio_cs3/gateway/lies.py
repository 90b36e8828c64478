"""What faults do to gRPC calls: each kind in one function, which may refuse, abort, wait, or do harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rucio_cs3.gateway.status import Aborted, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from rucio_cs3.gateway.faults import Fault, Struck
    from rucio_cs3.gateway.namespace import Place
    from rucio_cs3.gateway.storage import Storage

BAD_TOKEN = "auth: core access token is invalid"  # noqa: S105 - a message, not a token
NO_TOKEN = "auth: core access token not found"  # noqa: S105
READS = {"Stat", "ListContainer"}
# On the second line every call reaches the gateway, and most fail when it asks another service in the caller's name.
NOBODY = "user not found in context"
ANONYMOUS: dict[str, Exception] = {
    "GetHome": Aborted("UNKNOWN", NOBODY),
    "CreateHome": Refused("PERMISSION_DENIED", "can't create home for anonymous user"),
    "ListStorageSpaces": Refused("INTERNAL", f"gateway could not call ListStorageSpaces:{NOBODY}"),
}
TOKENLESS = {"Authenticate", "WhoAmI", "CreateSymlink", "ListContainerStream", "ListRecycleStream"}


class Target(NamedTuple):
    """What a call is about: `places` are where its references lead, as far as they lead anywhere."""

    method: str
    by_id: bool
    places: list[Place]
    storage: Storage


def strike(target: Target, struck: Struck) -> None:
    """Let the faults act that come before the call. Raises Refused or Aborted when that ends it."""
    for fault in struck:
        if fault.kind in STRIKES:
            STRIKES[fault.kind](fault, target, struck)


def reject_token(method: str, struck: Struck) -> None:
    """Answer a bad token as the first line of Reva does, or with the lie of the second on request."""
    if struck.get("token_not_found"):
        reject_in_status(method, "garbage")
    raise Aborted("PERMISSION_DENIED", BAD_TOKEN)


def reject_in_status(method: str, token: str) -> None:
    """Answer a bad token, or none, as the second line does. Raises nothing for calls that need no token there."""
    if method in READS:
        raise Refused("NOT_FOUND", "gateway could not find space for ref")
    if method in ANONYMOUS:
        raise ANONYMOUS[method]
    if method not in TOKENLESS:
        raise Refused(*(("PERMISSION_DENIED", BAD_TOKEN) if token else ("UNAUTHENTICATED", NO_TOKEN)))


def _status(fault: Fault, _: Target, __: Struck) -> None:
    raise Refused(fault.status, "fault: status")


def _exception(fault: Fault, _: Target, __: Struck) -> None:
    raise Aborted(fault.status, "fault: exception")


def _full(_: Fault, __: Target, ___: Struck) -> None:
    raise Refused("INSUFFICIENT_STORAGE", "insufficient storage")


def _stall(fault: Fault, _: Target, struck: Struck) -> None:
    struck.faults.wait(fault.seconds)


def _token_expired(_: Fault, target: Target, struck: Struck) -> None:
    reject_token(target.method, struck)


def _no_permission(_: Fault, target: Target, __: Struck) -> None:
    code = "PERMISSION_DENIED" if target.method == "InitiateFileUpload" else "NOT_FOUND"
    raise Refused(code, "gateway could not find space for ref")


def _storage_down(_: Fault, target: Target, __: Struck) -> None:
    if not target.by_id:
        raise Refused("NOT_FOUND", "gateway could not find space for ref")
    if target.method in READS:
        raise Aborted("UNAVAILABLE", "connection refused")
    raise Refused("INTERNAL", "connection refused")


def _destroys_root(_: Fault, target: Target, __: Struck) -> None:
    if target.method == "Delete":
        target.storage.empty(target.places[0])
        raise Refused("INTERNAL", "error deleting file")


def _move_hangs(fault: Fault, target: Target, struck: Struck) -> None:
    if target.method != "Move":
        return
    source, destination = target.places
    if f"{destination.below}/".startswith(f"{source.below}/") and source.local.is_dir():
        target.storage.lose(source.key)
        struck.faults.wait(fault.seconds)
        raise Aborted("UNAVAILABLE", "fault: the daemon was restarted")


STRIKES: dict[str, Callable[[Fault, Target, Struck], None]] = {
    "status": _status,
    "exception": _exception,
    "full": _full,
    "stall": _stall,
    "token_expired": _token_expired,
    "no_permission": _no_permission,
    "storage_down": _storage_down,
    "destroys_root": _destroys_root,
    "move_hangs": _move_hangs,
}
