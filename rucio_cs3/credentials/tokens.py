"""The Reva token in force: obtained once for all threads and processes, renewed before it expires or when refused."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rucio_cs3.credentials import jwt
from rucio_cs3.credentials.sources import RevaToken
from rucio_cs3.credentials.store import Kept
from rucio_cs3.errors import ConfigError, Cs3Error, NoLogin
from rucio_cs3.flight import Flight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rucio_cs3.credentials.sources import Login, Source
    from rucio_cs3.credentials.store import Store

RENEWAL_MARGIN = 60.0  # seconds before exp, at most a tenth of the token's life: clocks differ, and a call takes time
TOKEN = re.compile(r"[!-~]{1,65536}")


@dataclass(frozen=True)
class Tried:
    """What became of asking one source. Holds no secret."""

    method: str
    description: str
    outcome: str  # "won", "nothing", "failed" or "not tried"
    reason: str = ""
    expires: float | None = None
    kept: bool = False
    """whether an earlier run had obtained it"""


class Tokens:
    """One caller at a time logs in; the others wait and take its token, or its failure."""

    def __init__(
        self, gateway: str, sources: Callable[[], Sequence[Source]], authenticate: Callable[[Login], str], store: Store
    ) -> None:
        self._gateway = gateway
        self._sources = sources
        self._authenticate = authenticate
        self._store = store
        self._lock = threading.Lock()
        self._login: Flight[str] = Flight()
        self._token: str | None = None
        self._refused: str | None = None
        self._latest: str | None = None
        self._renew_at = 0.0
        self.logins = 0
        self.tried: list[Tried] = []

    def __repr__(self) -> str:
        return f"<Tokens for {self._gateway}>"

    def get(self) -> str:
        """Raises ConfigError, NotAuthenticated, and whatever stops the login."""
        return self._in_force() or self._login.share(self._renew)

    @property
    def held(self) -> str | None:
        """The token in force, without a login."""
        return self._token

    def forget(self, refused: str | None) -> None:
        """Obtain a new one at the next call, unless somebody has done so already."""
        with self._lock:
            if self._token == refused:
                self._token, self._refused = None, refused

    def renewed(self, refused: str) -> str | None:
        """Another token than the `refused` one, or None when the source has no other."""
        logins = self.logins
        self.forget(refused)
        token = self.get()
        return None if token == refused and self.logins == logins else token

    def _in_force(self) -> str | None:
        with self._lock:
            return self._token if time.time() < self._renew_at else None

    def _renew(self) -> str:
        token = self._in_force()  # somebody may have been faster
        if token is None:
            kept = self._obtain()
            token = kept.token
            with self._lock:
                self._token, self._renew_at = token, _renewal_time(kept.expires)
        return token

    def _obtain(self) -> Kept:
        """Ask one source after the other, as far as the order says."""
        sources = self._sources()
        self.tried = []
        for number, source in enumerate(sources):
            try:
                kept, before = self._from(source)
            except Cs3Error as error:
                nothing = isinstance(error, NoLogin)
                self._note(source, "nothing" if nothing else "failed", str(error))
                if not (nothing or source.goes_on) or len(sources) == 1:
                    self._note_rest(sources[number + 1 :], f"{source.method} failed, and the order ends there")
                    raise
            else:
                self.tried.append(Tried(source.method, source.description, "won", "", kept.expires, before))
                self._note_rest(sources[number + 1 :], f"{source.method} comes before it")
                return kept
        reasons = "; ".join(f"{each.method}: {each.reason}" for each in self.tried)
        raise NoLogin(f"no credentials for {self._gateway}: {reasons}", hint="see rucio-cs3 token explain")

    def _note(self, source: Source, outcome: str, reason: str) -> None:
        self.tried.append(Tried(source.method, source.description, outcome, reason))

    def _note_rest(self, sources: Sequence[Source], reason: str) -> None:
        for source in sources:
            self._note(source, "not tried", reason)

    def _from(self, source: Source) -> tuple[Kept, bool]:
        """The token kept by an earlier login of this source, or a new one; and whether it was kept."""
        identity = source.identity()
        if not source.kept:
            return self._new(source), False
        with self._store.slot(self._gateway, source.method, identity) as slot:
            kept = slot.read()
            if kept is None or kept.token == self._refused or time.time() >= _renewal_time(kept.expires):
                kept = self._new(source)
                slot.write(kept)
                return kept, False
            self._count(kept.token)
            return kept, True

    def _new(self, source: Source) -> Kept:
        credential = source.obtain()
        if isinstance(credential, RevaToken):
            if not TOKEN.fullmatch(credential.value):
                raise ConfigError(f"{source.description} is no token: it is empty or not all printable ASCII")
            self._count(credential.value)
            token, expires = credential.value, credential.expires
        else:
            self.logins += 1
            token, expires = self._authenticate(credential), None
            self._latest = token
        return Kept(token, expires or jwt.expiry(token), self._gateway, source.method, source.description)

    def _count(self, token: str) -> None:
        self.logins += token != self._latest
        self._latest = token


def _renewal_time(expires: float | None) -> float:
    """Never, for a token that does not tell, or that is new and looks old: then only a refusal says that it is over."""
    life = (expires or 0) - time.time()
    return time.time() + life - min(RENEWAL_MARGIN, life / 10) if life > 0 else float("inf")
