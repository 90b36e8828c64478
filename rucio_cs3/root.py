"""A folder that everything else is addressed from, and the proof that something below it is really not there.

Servers answer NOT_FOUND for what they cannot show as well: to an expired token, to a lost permission, and by absolute
path when the storage behind it is down. Who books a file as deleted on such an answer has lost it.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, TypeVar

from rucio_cs3.client import shared as shared_client
from rucio_cs3.credentials.caller import NOBODY
from rucio_cs3.errors import (
    Cs3Error,
    InvalidRequest,
    NotDirectory,
    NotFound,
    PermissionDenied,
    ServerError,
    TokenRejected,
    Unavailable,
    Unsupported,
)
from rucio_cs3.flight import Flight
from rucio_cs3.model import Label, Ref

if TYPE_CHECKING:
    from collections.abc import Callable

    from rucio_cs3.client import Cs3Client
    from rucio_cs3.config import Config
    from rucio_cs3.credentials.caller import Caller
    from rucio_cs3.model import Info


log = logging.getLogger(__name__)
PASSING = 3  # failures of a kind that may pass, until they are taken for good
T = TypeVar("T")


class Root:
    """Resolved to a resource id at first use, and remembered."""

    def __init__(self, client: Cs3Client, place: Ref) -> None:
        self.client = client
        self.place = place
        self._ref: Ref | None = None
        self._resolving: Flight[Ref] = Flight()
        self._failed_by_id = 0

    def __repr__(self) -> str:
        return f"<Root {self.place} at {self.client.config.gateway}>"

    def resolve(self) -> Ref:
        """Raises Unavailable when the folder cannot be seen: that is never a NotFound."""
        return self._ref or self._resolving.share(self._resolve)

    def _resolve(self) -> Ref:
        """The id, which says more when something is wrong; the path where a driver cannot look up ids."""
        ref = Ref(id=self._look(self.place).id, label=Label(f"{self.place}/".replace("//", "/")))
        try:
            usable = self.client.files.stat(ref).is_directory
        except (NotFound, InvalidRequest, Unsupported, PermissionDenied, TokenRejected):
            usable = False  # a login may be limited to some paths, and to no ids
        except ServerError:  # what a driver without ids says, and what is said in passing
            usable = False
            self._failed_by_id += 1
            if self._failed_by_id < PASSING:
                return self.place
        if not usable:
            log.warning("%s cannot be addressed by resource id, so its path is used", self)
            ref = self.place
        self._ref = ref
        return ref

    def ref(self, below: str) -> Ref:
        """Raises InvalidName for a path that would leave the root."""
        return self.resolve() / below

    def stat(self, below: str) -> Info:
        """Like Files.stat, with a NotFound that can be believed."""
        ref = self.ref(below)
        return self.ask(lambda: self.client.files.stat(ref))

    def delete(self, below: str) -> None:
        """Delete a file, with a NotFound that can be believed."""
        ref = self.ref(below)
        self.ask(lambda: self.client.files.delete(ref))

    def ask(self, question: Callable[[], T]) -> T:
        """Call `question`, and let its NotFound out only if it stays when the same login has seen the root."""
        seen_by = None
        for _ in range(3):
            logins = self.client.tokens.logins
            try:
                return question()
            except NotFound as missing:
                if seen_by == self.client.tokens.logins:
                    raise
                wrong = self._what_is_wrong()
                if wrong and self.client.tokens.logins == logins:
                    raise wrong from missing
                seen_by = self.client.tokens.logins
        raise Unavailable("logins do not last from one call to the next", path=str(self.place))

    def _what_is_wrong(self) -> Cs3Error | None:
        try:
            self._look(self.resolve())
        except Cs3Error as wrong:
            self._ref = None
            return wrong
        return None

    def _look(self, ref: Ref) -> Info:
        try:
            info = self._seen(ref)
        except NotFound as hidden:
            raise Unavailable(
                f"the root folder cannot be seen as {self.client.config.username or 'this user'}"
                f" at gateway {self.client.config.gateway}",
                path=str(self.place),
                status=hidden.status,
                hint="it does not exist, access to it was lost, or the storage behind it is down",
            ) from hidden
        if not info.is_directory:
            raise NotDirectory("the root is not a folder", path=str(self.place))
        return info

    def _seen(self, ref: Ref) -> Info:
        """Stat with a token that is good: to a bad one some servers answer NOT_FOUND."""
        try:
            return self.client.files.stat(ref)
        except NotFound:
            logins = self.client.tokens.logins
            with contextlib.suppress(NotFound, PermissionDenied):
                self.client.whoami()  # raises if it is the token and no other is to be had
            if self.client.tokens.logins == logins:
                raise
            return self.client.files.stat(ref)


_shared: dict[tuple[Cs3Client, Ref], Root] = {}


def shared(config: Config, place: Ref, caller: Caller = NOBODY) -> Root:
    """The process's one root for this place and caller, resolved once for all who use it."""
    client = shared_client(config, caller)
    return _shared.setdefault((client, place), Root(client, place))
