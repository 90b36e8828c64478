"""What is examined, and what the checks have found out so far: each fills in what those after it need."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from rucio_cs3.client import Cs3Client
from rucio_cs3.credentials.caller import NOBODY
from rucio_cs3.errors import Cs3Error, NotFound
from rucio_cs3.model import SAFE
from rucio_cs3.operate import names
from rucio_cs3.operate.door import Door
from rucio_cs3.root import Root
from rucio_cs3.transfer.ends import Remote
from rucio_cs3.transfer.upload import discard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from typing_extensions import Self

    from rucio_cs3.checkup.model import Finding, Run
    from rucio_cs3.credentials.caller import Caller
    from rucio_cs3.model import Info, Ref
    from rucio_cs3.operate.catalogue import Catalogue
    from rucio_cs3.rse import Rse

SIZE = 256 << 10  # bytes of a probe
Given = TypeVar("Given")


@dataclass(frozen=True)
class Wish:
    """What the operator asks for."""

    rse: str | None = None
    as_daemon: bool = False
    read_only: bool = False
    other: str | None = None
    """the RSE to copy from and to"""


@dataclass
class Probe:
    """A file of ours, by its name below the root."""

    name: str
    content: bytes = field(repr=False)
    info: Info | None = None


class Case:
    """One RSE, or a plain site. What has no value here was not found out yet, and the table sees to the order."""

    settings: Mapping[str, Any]
    """of the RSE, as Rucio tells them"""
    entry: Mapping[str, Any]
    """the protocol entry that is ours"""
    site: Rse

    def __init__(self, name: str, wish: Wish) -> None:
        self.name = name
        self.wish = wish
        self.began = time.time()
        self.door_url: str | None = None
        """the address of the root folder at the WebDAV door"""
        self.probe: Probe | None = None
        """the file that there is to look at: ours, or where nothing may be written somebody's"""
        self.caller: Caller = NOBODY
        self.remedy: Callable[[], str] = lambda: ""
        self.rucio: Catalogue | None = None
        """None at a daemon's place, where the database is asked"""
        self.other: Case | None = None
        self.read_only = wish.read_only
        self._left: list[str] = []
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave nothing at the site."""
        try:
            self.tidy()
        finally:
            self._cleanup.close()

    def enter(self, other: Case) -> Case:
        """Have it closed with this one."""
        return self._cleanup.enter_context(other)

    @functools.cached_property
    def client(self) -> Cs3Client:
        """Fails at once where a user's would try again, and does not verify: that is for the checks to see."""
        client = Cs3Client(self.site.config.but(retries=0, verify="none", resume="off"), caller=self.caller)
        client.tokens.remedy = self.remedy
        self._cleanup.callback(client.close)
        return client

    @functools.cached_property
    def root(self) -> Root:
        return Root(self.client, self.site.root)

    @functools.cached_property
    def door(self) -> Door:
        """Raises ConfigError where the token would go there in the clear."""
        return self._cleanup.enter_context(Door(self.url(), self.client))

    def ref(self, name: str) -> Ref:
        return self.root.ref(name)

    def url(self, name: str = "") -> str:
        """At the door."""
        return (self.door_url or "") + quote(name, safe=SAFE)

    @property
    def door_host(self) -> tuple[str, int]:
        parts = urlsplit(self.url())
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    def content(self, name: str) -> bytes:
        """As it comes, without a look at checksums."""
        with self.client.open_read(self.ref(name)) as file:
            return file.read()

    def new_probe(self, size: int = SIZE) -> Probe:
        """A name that will be gone in the end, whatever happens, and something to write there."""
        return Probe(self.new_name(), os.urandom(size))

    def write(self, probe: Probe) -> Info:
        """What is there when the storage's own checks are over. Raises NotFound, and what else stops it."""
        ref = self.ref(probe.name)
        self.client.upload(io.BytesIO(probe.content), ref, temporary=True, root=self.root.resolve())
        return Remote(self.client, ref, label=probe.name).settled()

    def new_name(self) -> str:
        name = names.new()
        self._left.append(name)
        return name

    def gone(self, name: str) -> None:
        self._left.remove(name)

    def tidy(self) -> list[str]:
        """Remove what is there of ours; what may yet appear of a copy that broke off, too. Returns what stays."""
        left, self._left = self._left, []
        for name in left:
            discard(self.client.files, self.ref(name), late=True)
        there = self.other.tidy() if self.other else []
        return [*(name for name in left if self._is_there(name)), *there]

    def _is_there(self, name: str) -> bool:
        try:
            self.client.files.stat(self.ref(name))
        except NotFound:
            return False
        except Cs3Error:
            return True
        return True


def _given(
    what: Callable[[Case], Given | None],
) -> Callable[[Callable[[Case, Given], Iterable[Finding]]], Run]:
    """For checks that are taken only where there is one: the table sees to it."""

    def check(look: Callable[[Case, Given], Iterable[Finding]]) -> Run:
        @functools.wraps(look)
        def run(case: Case) -> Iterable[Finding]:
            given = what(case)
            assert given is not None
            return look(case, given)

        return run

    return check


of_probe = _given(lambda case: case.probe)
asking_rucio = _given(lambda case: case.rucio)


def without_probe(case: Case) -> str:
    """Why there is nothing to look at."""
    return "" if case.probe else "there is no file to look at"
