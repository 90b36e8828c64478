"""Application passwords: made on the site by whoever is logged in, for a program that must not hold the real one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

from cs3.auth.applications.v1beta1 import applications_api_pb2 as applications
from cs3.auth.provider.v1beta1 import resources_pb2 as auth
from cs3.types.v1beta1 import types_pb2 as types

from rucio_cs3.errors import Cs3Error, InvalidRequest, NotFound, ServerError, Unsupported
from rucio_cs3.model import AppPassword, Ref

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rucio_cs3.cs3.channel import Channel
    from rucio_cs3.cs3.files import Files

WHOLE = "/"
BELOW = "."  # how paths begin that go with an id
HANDLE = 12  # characters
READ_ONLY = {auth.ROLE_VIEWER, auth.ROLE_LEGACY}


class Apps:
    """The application passwords of the user who is logged in."""

    def __init__(self, channel: Channel, files: Files) -> None:
        self._channel = channel
        self._files = files

    def create(
        self, label: str, *, paths: Iterable[str] = (WHOLE,), read_only: bool = False, expires: float | None = None
    ) -> AppPassword:
        """Make one that is good for `paths`, until `expires` in seconds since 1970. Only now is the password told.

        `/` stands for all that the user may do. Any other path must exist. It and what is below it are reached by path,
        or by its own id and a path, and not by ids of what is below it. It is no good for asking who one is, either.

        Reva compares paths as they are spelt: a password for /data opens /data2 too, and /data/../other. That keeps
        a program from mistakes, and not a thief from the files.

        Raises:
            InvalidRequest: no path is given, for which Reva makes a password that opens nothing; or it is too late.
            NotFound: a path does not exist.
        """
        scopes = self._scopes(paths, read_only=read_only)
        if not scopes:
            raise InvalidRequest("an application password without a path opens nothing", hint="give a path, or /")
        if expires is not None and expires <= time.time():
            raise InvalidRequest("the application password would have expired already", hint="give a later time")
        request = applications.GenerateAppPasswordRequest(
            label=label,
            token_scope=scopes,
            expiration=None if expires is None else types.Timestamp(seconds=int(expires)),
        )
        made = self._channel.call("GenerateAppPassword", request).app_password
        handle = ""
        with contextlib.suppress(Cs3Error):  # the password is there and told only once, so nothing may get in the way
            handle = self._handle(made.user, made.password)
        return _model(made, handle=handle, password=made.password)

    def list(self) -> Sequence[AppPassword]:
        """All of them, without the passwords, the oldest first."""
        return sorted((_model(entry) for entry in self._entries()), key=lambda known: (known.created, known.handle))

    def find(self, password: str) -> AppPassword | None:
        """The one with this password; None where the user has none such, or it has expired."""
        entries = self._entries()
        handle = self._handle_among(entries, password)
        return next((_model(entry) for entry in entries if _digest(entry.password) == handle), None)

    def revoke(self, which: AppPassword | str) -> None:
        """End one of them, by its handle, or by the password itself. Tokens that were made with it live on.

        Raises:
            NotFound: the user has no such application password.
        """
        asked = (which.handle or which.password) if isinstance(which, AppPassword) else which
        entries = self._entries()
        known = {_digest(entry.password): entry.password for entry in entries}
        hashed = known.get(asked) or known.get(self._handle_among(entries, asked))
        if not hashed:
            raise NotFound("there is no such application password", hint="list them: the handle is what is wanted")
        self._channel.call("InvalidateAppPassword", applications.InvalidateAppPasswordRequest(password=hashed))

    def _entries(self) -> Sequence[Any]:
        found: Sequence[Any] = self._channel.call(
            "ListAppPasswords", applications.ListAppPasswordsRequest()
        ).app_passwords
        return found

    def _handle_among(self, entries: Sequence[Any], password: str) -> str:
        """Empty for what is no password of theirs."""
        with contextlib.suppress(ServerError, NotFound, Unsupported):  # Reva's word for a wrong one is INTERNAL
            return self._handle(entries[0].user, password) if entries else ""
        return ""

    def _handle(self, user: Any, password: str) -> str:
        """The handle of a password that is known."""
        request = applications.GetAppPasswordRequest(user=user, password=password)
        return _digest(self._channel.call("GetAppPassword", request).app_password.password)

    def _scopes(self, paths: Iterable[str], *, read_only: bool) -> dict[str, Any]:
        if isinstance(paths, str):  # or each of its letters would be one
            paths = (paths,)
        refs = {Ref(path) for path in paths}
        if Ref(WHOLE) in refs and not read_only:
            return {"user": _scope({"path": WHOLE}, auth.ROLE_OWNER)}
        role = auth.ROLE_VIEWER if read_only else auth.ROLE_EDITOR
        return {
            f"resourceinfo:{ref}:{path}": _scope({"id": rid, "path": path}, role)
            for ref in refs
            for rid in [self._id(ref)]
            for path in (ref.path, BELOW)
        }

    def _id(self, ref: Ref) -> dict[str, str]:
        """Wanted even where it is empty: Reva breaks down when a call is by id, and the scope has none."""
        rid = self._files.stat(ref).id
        return {"storage_id": rid.storage_id, "opaque_id": rid.opaque_id}


def _scope(resource: dict[str, Any], role: int) -> Any:
    value = json.dumps(resource).encode()
    return auth.Scope(resource=types.OpaqueEntry(decoder="json", value=value), role=role)


def _digest(hashed: str) -> str:
    """A name for a password that gives nothing away: its hash, which the site wants to hear, is for guessers."""
    return hashlib.sha256(hashed.encode()).hexdigest()[:HANDLE] if hashed else ""


def _model(entry: Any, *, handle: str | None = None, password: str = "") -> AppPassword:
    return AppPassword(
        handle=_digest(entry.password) if handle is None else handle,
        label=entry.label,
        paths=tuple(sorted(path for name, scope in entry.token_scope.items() for path in _paths(name, scope))),
        read_only=all(scope.role in READ_ONLY and name != "user" for name, scope in entry.token_scope.items()),
        created=float(entry.ctime.seconds),
        used=float(entry.utime.seconds),
        expires=float(entry.expiration.seconds) or None,
        password=password,
    )


def _paths(name: str, scope: Any) -> tuple[str, ...]:
    """What a scope opens, as far as it can be told. `user` is everything, whatever path it names."""
    if name == "user":
        return (WHOLE,)
    try:
        path = str(json.loads(scope.resource.value)["path"])
    except (ValueError, KeyError, TypeError):
        return (name,)
    return () if path == BELOW else (path,)
