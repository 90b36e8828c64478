"""The Reva token in force: obtained once for all threads and processes, renewed before it expires or when refused."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rucio_cs3 import observe
from rucio_cs3.credentials import jwt
from rucio_cs3.credentials.sources import LEEWAY, RevaToken, why_no_token
from rucio_cs3.credentials.store import Kept
from rucio_cs3.errors import ConfigError, Cs3Error, NoLogin, ServerError
from rucio_cs3.flight import Flight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rucio_cs3.credentials.sources import Login, Source
    from rucio_cs3.credentials.store import Store

DOUBT = 60.0  # seconds in which a site does not take back a token that it has just given
EXPLAIN = "rucio-cs3 token explain says what was tried"
RENEWAL_MARGIN = 60.0  # seconds before exp, at most a tenth of the token's life: clocks differ, and a call takes time


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

    @property
    def result(self) -> str:
        """For who counts them: kept, obtained, nothing, failed."""
        if self.outcome != "won":
            return self.outcome
        return "kept" if self.kept else "obtained"


class Tokens:
    """One caller at a time logs in; the others wait and take its token, or its failure."""

    def __init__(
        self,
        gateway: str,
        sources: Callable[[], Sequence[Source]],
        authenticate: Callable[[Login], str],
        store: Store,
        shown: Callable[[], str | None] = lambda: None,
    ) -> None:
        """What one who shows something else than before gets, has to be obtained with that."""
        self._gateway = gateway
        self._sources = sources
        self._authenticate = authenticate
        self._store = store
        self._shown = shown
        self._obtained_with: str | None = None
        self._lock = threading.Lock()
        self._login: Flight[str] = Flight()
        self._login_of: str | None = None
        self._token: str | None = None
        self._refused: str | None = None
        self._latest: str | None = None
        self._renew_at = 0.0
        self._replacement: tuple[str | None, float] = None, 0.0
        self.logins = 0
        """how many tokens were obtained so far"""
        self.tried: list[Tried] = []
        """what became of each source at the last login"""
        self.remedy: Callable[[], str] = lambda: ""
        """what else is to be said where there is no login"""

    def __repr__(self) -> str:
        return f"<Tokens for {self._gateway}>"

    def get(self) -> str:
        """Raises ConfigError, NotAuthenticated, and whatever stops the login."""
        return self._in_force() or self._flight().share(self._renew)

    def _flight(self) -> Flight[str]:
        """A login is shared by those who show the same token."""
        shown = self._shown()
        with self._lock:
            if self._login_of != shown:
                self._login_of, self._login = shown, Flight()
            return self._login

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
        """Another token than the `refused` one, or None when the source has no other, or when none would help.

        Gateways refuse in the same words what a token does not cover, such as a limited application password's: one
        that has just replaced another is no better for being replaced again.
        """
        replacement, until = self._replacement
        if refused == replacement and time.monotonic() < until and not _is_old(refused):
            return None
        logins = self.logins
        self.forget(refused)
        token = self.get()
        if token == refused and self.logins == logins:
            return None
        self._replacement = token, time.monotonic() + DOUBT
        return token

    def _in_force(self) -> str | None:
        with self._lock:
            current = time.time() < self._renew_at and self._obtained_with == self._shown()
            return self._token if current else None

    def _renew(self) -> str:
        token = self._in_force()  # somebody may have been faster
        if token is None:
            shown = self._shown()
            with observe.phase("login"):
                kept = self._obtain()
            token = kept.token
            with self._lock:
                self._obtained_with = shown
                self._token, self._renew_at = token, _end_of(kept)
        return token

    def _obtain(self) -> Kept:
        """Ask one source after the other, as far as the order says."""
        sources = self._sources()
        tried: list[Tried] = []
        failure: Cs3Error | None = None
        try:
            for source in sources:
                try:
                    kept, before = self._from(source)
                except Cs3Error as error:
                    nothing = isinstance(error, NoLogin)
                    tried.append(
                        Tried(source.method, source.description, "nothing" if nothing else "failed", str(error))
                    )
                    if not (nothing or source.goes_on) or len(sources) == 1:
                        raise
                    failure = failure if nothing else error
                else:
                    tried.append(Tried(source.method, source.description, "won", "", kept.expires, before))
                    return kept
        finally:
            rest = sources[len(tried) :]
            why = _why_not_tried(tried)
            for each in tried:
                observe.renewed(each.method, each.result)
            self.tried = tried + [Tried(source.method, source.description, "not tried", why) for source in rest]
        if failure:
            reasons = "; ".join(f"{each.method}: {each.reason}" for each in tried)
            raise type(failure)(f"no login for {self._gateway} works: {reasons}", hint=EXPLAIN)
        methods = ", ".join(each.method for each in tried)
        raise NoLogin(
            f"no credentials are set for {self._gateway}, and none are found by {methods}",
            hint=f"{self.remedy() or 'set username and password, or another login'}; {EXPLAIN}",
        )

    def _from(self, source: Source) -> tuple[Kept, bool]:
        """The token kept by an earlier login of this source, or a new one; and whether it was kept."""
        made: list[Kept] = []

        def obtain() -> Kept:
            made.append(self._new(source))
            return made[0]

        kept = self._shared(source, obtain) if source.kept else obtain()
        self._count(kept.token)
        return kept, not made

    def _shared(self, source: Source, obtain: Callable[[], Kept]) -> Kept:
        def whole(identity: str) -> str:
            return f"{self._gateway}\0{source.method}\0{identity}"

        identity = source.identity()  # who has none is not asked
        place = whole(source.place or identity)
        return self._store.share(place, lambda: whole(source.identity()), self._is_good, obtain)

    def _is_good(self, kept: Kept) -> bool:
        return kept.token != self._refused and time.time() < _end_of(kept)

    def _new(self, source: Source) -> Kept:
        credential = source.obtain()
        if isinstance(credential, RevaToken):
            token, expires = credential.value, credential.expires
            wrong = why_no_token(token)
            if wrong:
                raise ConfigError(f"{source.description} is no token: {wrong}")
        else:
            token, expires = self._authenticate(credential), None
            if why_no_token(token):
                raise ServerError(f"gateway {self._gateway} answers a login with what is no token")
            self._count(token, anew=True)
        expires = expires or jwt.expiry(token)
        return Kept(token, expires, _renewal_time(expires), self._gateway, source.method, source.description)

    def _count(self, token: str, *, anew: bool = False) -> None:
        """A login that brings the same token is one all the same: the site has taken it for good again."""
        self.logins += anew or token != self._latest
        self._latest = token


def _is_old(token: str) -> bool:
    """Also one that ends so soon that by the site's clock it may be over."""
    expires = jwt.expiry(token)
    return expires is not None and expires - LEEWAY < time.time()


def _renewal_time(expires: float | None) -> float | None:
    """None for a token that does not tell, or that is new and looks old: then only a refusal says that it is over."""
    life = (expires or 0) - time.time()
    return time.time() + life - min(RENEWAL_MARGIN, life / 10) if life > 0 else None


def _end_of(kept: Kept) -> float:
    return float("inf") if kept.renew is None else kept.renew


def _why_not_tried(tried: Sequence[Tried]) -> str:
    if not tried:
        return ""
    last = tried[-1]
    return (
        f"{last.method} comes before it" if last.outcome == "won" else f"{last.method} failed, and the order ends there"
    )
