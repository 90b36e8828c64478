"""Faults on request: what goes wrong on real sites, for the calls and paths and as often as you say.

gateway.faults.add(Fault(on="http:PUT", path="*/data.root", kind="cut", after=1_000_000, times=1))
"""

from __future__ import annotations

import fnmatch
import threading
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import grpc
from cs3.rpc.v1beta1 import code_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

BOTH, GRPC, HTTP, PROCESSING = ("grpc", "http"), ("grpc",), ("http",), ("processing",)

# Every kind, the doors it can stand at, and what it does.
KINDS: dict[str, tuple[tuple[str, ...], str]] = {
    "status": (BOTH, "answer with `status`: a CS3 code such as NOT_FOUND, or an HTTP code"),
    "full": (BOTH, "there is no room: INSUFFICIENT_STORAGE, or 507"),
    "stall": (BOTH, "say nothing more after `after` bytes, until released or for `seconds`"),
    "no_answer": (BOTH, "do it, then close the connection instead of answering"),
    "token_expired": (BOTH, "take the token for an expired one"),
    "no_permission": (BOTH, "hide what the user may not see: NOT_FOUND, or 404, as the second line of Reva does"),
    "storage_down": (BOTH, "by path NOT_FOUND, by id UNAVAILABLE or INTERNAL, as the second line; 500 over HTTP"),
    "exception": (GRPC, "end the call with the gRPC code in `status`"),
    "token_not_found": (GRPC, "answer bad tokens in the CS3 status, NOT_FOUND to Stat, as the second line does"),
    "destroys_root": (GRPC, "Delete empties the folder, root or not, and answers INTERNAL, as the second line does"),
    "move_hangs": (GRPC, "Move of a folder into itself loses the tree and never returns, as on the second line"),
    "cut": (HTTP, "close the connection after `after` bytes of the body"),
    "reset": (HTTP, "reset the connection after `after` bytes of the body"),
    "slow": (HTTP, "move `rate` bytes a second"),
    "wrong_byte": (HTTP, "change the byte at `after`"),
    "short": (HTTP, "take `after` bytes for the whole body"),
    "long": (HTTP, "add `after` bytes to the body"),
    "turned_down": (PROCESSING, "take the upload, and take it back when it has been processed"),
    "never_processed": (PROCESSING, "take the upload, and process it for ever"),
}


TYPES: dict[str, Any] = {"times": (int, type(None)), "skip": int, "after": int, "rate": int, "seconds": (int, float)}


class BadFault(ValueError):
    """The fault makes no sense; the message says why."""


@dataclass(frozen=True)
class Fault:
    """`on` is `door:method`, either of them or both as `*`; `path` is a shell pattern for the CS3 path.

    The doors are grpc, http, and for what is done to uploads afterwards processing. A fault strikes `times` times,
    after having let the first `skip` calls pass.
    """

    on: str
    kind: str
    path: str = "*"
    skip: int = 0
    times: int | None = None
    status: str = ""
    after: int = 0
    rate: int = 1 << 20
    seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadFault(f"unknown kind {self.kind!r}: one of {', '.join(KINDS)}")
        doors, _ = KINDS[self.kind]
        if ":" not in self.on and self.on != "*":
            raise BadFault(f"on {self.on!r}: door:method is wanted, such as grpc:Stat or http:PUT")
        if not any(fnmatch.fnmatchcase(door, self.door) for door in doors):
            raise BadFault(f"{self.kind} is for {' and '.join(doors)}, not for {self.on}")
        if self.kind in ("status", "exception") and not self._status_fits():
            raise BadFault(f"{self.kind} on {self.on} needs a status such as NOT_FOUND; only http takes numbers")

    def _status_fits(self) -> bool:
        if self.status.isdigit():
            return self.door == "http"
        known = grpc.StatusCode.__members__ if self.kind == "exception" else code_pb2.Code.keys()
        return (self.status if self.kind == "exception" else f"CODE_{self.status}") in known

    @property
    def door(self) -> str:
        return self.on.partition(":")[0]

    @property
    def method(self) -> str:
        return self.on.partition(":")[2] or "*"

    def matches(self, door: str, method: str, path: str) -> bool:
        pairs = ((door, self.door), (method, self.method), (path, self.path))
        return door in KINDS[self.kind][0] and all(fnmatch.fnmatchcase(*pair) for pair in pairs)

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> Fault:
        """Raises BadFault for what is not a fault."""
        unknown = set(entry) - {field.name for field in fields(cls)}
        if unknown or not {"on", "kind"} <= set(entry):
            raise BadFault(f"a fault has on, kind, and optionally the rest; not {', '.join(sorted(unknown)) or 'less'}")
        for name, value in entry.items():
            if not isinstance(value, TYPES.get(name, str)):
                raise BadFault(f"{name}: {value!r} is not what is wanted there")
        return cls(**entry)


class Faults:
    """The faults in force. Whoever stalls waits here, and stopping the gateway wakes them all."""

    def __init__(self) -> None:
        self._armed: list[tuple[Fault, list[int]]] = []
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._closed = False

    def add(self, *faults: Fault) -> None:
        with self._lock:
            self._armed += [(fault, []) for fault in faults]

    def clear(self) -> None:
        """Take all faults away, and let go of those who stall."""
        with self._lock:
            self._armed.clear()
        self.release()

    def release(self) -> None:
        """Let go of those who stall now."""
        with self._lock:
            self._released.set()
            if not self._closed:
                self._released = threading.Event()

    def close(self) -> None:
        """Let go of everybody, for good."""
        self._closed = True
        self.clear()

    def __iter__(self) -> Iterator[Fault]:
        with self._lock:
            return iter([fault for fault, _ in self._armed])

    def take(self, door: str, method: str, path: str) -> Struck:
        """What strikes this call. Faults with `times` are used up by it."""
        struck = []
        with self._lock:
            for fault, uses in [entry for entry in self._armed if entry[0].matches(door, method, path)]:
                uses.append(1)
                if len(uses) > fault.skip:
                    struck.append(fault)
                if fault.times is not None and len(uses) >= fault.skip + fault.times:
                    self._armed.remove((fault, uses))
        return Struck(self, struck)

    def wait(self, seconds: float) -> None:
        """Until released, or that long."""
        with self._lock:
            released = self._released
        released.wait(seconds)

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self]


class Struck:
    """The faults that strike one call."""

    def __init__(self, faults: Faults, struck: Iterable[Fault]) -> None:
        self.faults = faults
        self._by_kind = {fault.kind: fault for fault in struck}

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._by_kind.values())

    def get(self, *kinds: str) -> Fault | None:
        return next((fault for kind, fault in self._by_kind.items() if kind in kinds), None)
