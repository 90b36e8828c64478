"""Tokens kept between runs: a folder that only we can read, and one process at a time that renews."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import stat
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rucio_cs3 import deadline
from rucio_cs3.errors import ConfigError, Cs3Error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self


log = logging.getLogger(__name__)
PATIENCE = 120.0  # seconds to wait for another process that renews, before we do so as well
POLL = 0.02
SALT = 32  # bytes
DRAFT = ".rucio-cs3-"
OURS = re.compile(r"[0-9a-f]{64}\.(json|failed)|\.rucio-cs3-\w+")
LEFT = 3600.0  # seconds after which a draft or a failure is of no use to anybody


@dataclass(frozen=True)
class Kept:
    """A token, and what may be said of it."""

    token: str = field(repr=False)
    expires: float | None
    renew: float | None
    """when to get another one, which is some time before it expires; None when it does not tell"""
    gateway: str
    method: str
    description: str

    def __post_init__(self) -> None:
        """Raises TypeError for what a file may hold, and no token is."""
        texts = (self.token, self.gateway, self.method, self.description)
        times = (self.expires, self.renew)
        if not all(isinstance(text, str) for text in texts) or not all(
            isinstance(t, (float, int, type(None))) for t in times
        ):
            raise TypeError


def kept_in(cache: str | None) -> Path | None:
    """What the setting means: None when nothing is to be kept, or nowhere."""
    if cache == "off":
        return None
    return at_home(cache or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "rucio-cs3", "tokens"))


def at_home(path: Path | str) -> Path | None:
    """None for a user without a home."""
    try:
        return Path(path).expanduser()
    except (RuntimeError, KeyError):  # the latter from Python 3.9
        return None


class Store:
    """`folder` None keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def share(
        self, place: str, identity: Callable[[], str], good: Callable[[Kept], bool], obtain: Callable[[], Kept]
    ) -> Kept:
        """A token of this login: one that is kept and good, or a new one, which one process obtains for all.

        Who waits for another process shares its failure too, or each would fail by itself, one after the other.
        `identity` may be secret, because it is not kept; `place` is what stays of it when obtaining changes it.

        Raises:
            Cs3Error: what `obtain` raises, here or in the process that we waited for.
        """
        folder = self._usable()
        salt = _salt(folder) if folder else None
        if folder is None or salt is None:
            return obtain()
        began = time.time()
        with Lock(folder / f"lock-{_name(salt, place)[:2]}") as lock:
            while True:
                mine = lock.taken()
                slot = Slot(folder / f"{_name(salt, identity())}.json")
                kept = slot.read()
                if kept and good(kept):
                    return kept
                slot.raise_failure_since(began)
                if mine:
                    break
                time.sleep(deadline.at_most(POLL))
            try:
                kept = obtain()
            except Cs3Error as error:
                if not deadline.is_over():  # else it is a failure of our own
                    slot.fail(error)
                raise
            Slot(folder / f"{_name(salt, identity())}.json").write(kept)
            return kept

    def all(self) -> Iterator[tuple[Path, Kept]]:
        folder = self._usable()
        for path in sorted(path for path in folder.glob("*.json") if OURS.fullmatch(path.name)) if folder else []:
            kept = Slot(path).read()
            if kept:
                yield path, kept

    def forget(self, gateway: str | None = None) -> int:
        """Remove the tokens for a gateway, or all; returns how many there were."""
        gone = 0
        for path, kept in self.all():
            if gateway in {None, kept.gateway}:
                path.unlink(missing_ok=True)
                gone += 1
        return gone

    def _usable(self) -> Path | None:
        if self._folder is None:
            return None
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_public(self._folder, os.lstat(self._folder), "700")
        except OSError as error:  # a daemon may have no home
            log.debug("tokens are not kept: %s: %s", self._folder, error.strerror)
            return None
        return self._folder


class Slot:
    """The file of one login, and beside it the one that says how the last attempt at it failed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failure = path.with_suffix(".failed")

    def read(self) -> Kept | None:
        """None for what is missing, has expired or makes no sense. Raises ConfigError when others can read it."""
        try:
            kept = Kept(**_read_private(self._path))
        except ConfigError:
            raise
        except (OSError, ValueError, TypeError):
            return None
        return None if kept.expires is not None and kept.expires <= time.time() else kept

    def write(self, kept: Kept) -> None:
        """A disk that is full costs a login at the next run, no more."""
        with _unless_disk_fails():
            write_private(self._path, asdict(kept))
            self._failure.unlink(missing_ok=True)
            _sweep(self._path.parent)

    def fail(self, error: Cs3Error) -> None:
        """Tell those who wait."""
        said = {"message": error.message, "path": error.path, "status": error.status, "hint": error.hint}
        with _unless_disk_fails():
            write_private(self._failure, {"at": time.time(), "code": error.code, "said": said})

    def raise_failure_since(self, began: float) -> None:
        """Raises what another process met while we waited for it."""
        try:
            found = _read_private(self._failure)
            recent = began <= found["at"] <= time.time()  # clocks are put back, and nothing ends an old failure then
            error = _kinds()[found["code"]](**found["said"]) if recent else None
        except ConfigError:
            raise
        except (OSError, ValueError, TypeError, KeyError):
            return
        if error:
            raise error


class Lock:
    """A lock between processes, and between threads. The kernel takes it from a holder that dies."""

    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        self._path = path
        self._end = time.monotonic() + patience
        self._fd: int | None = None

    def __enter__(self) -> Self:
        with _unless_disk_fails():
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            with contextlib.suppress(OSError):  # in so many words, because a forked child may have it open too
                fcntl.flock(self._fd, fcntl.LOCK_UN)
            os.close(self._fd)

    def wait(self) -> None:
        while not self.taken():
            time.sleep(deadline.at_most(POLL))

    def taken(self) -> bool:
        """True also where there are no locks, and when the holder takes so long that it may never end."""
        if self._fd is None or time.monotonic() >= self._end:
            return True
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:  # some network file systems have none
            log.debug("cannot lock %s: %s", self._path, error.strerror)
        return True


def write_private(path: Path, value: Any) -> None:
    """As JSON: all of it or nothing, and never readable by others."""
    write_private_text(path, json.dumps(value))


def write_private_text(path: Path, text: str) -> None:
    fd, draft = tempfile.mkstemp(dir=path.parent, prefix=DRAFT)  # 0600
    try:
        with open(fd, "w", encoding="utf-8") as file:  # noqa: PTH123 - a file descriptor
            file.write(text)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _read_private(path: Path) -> Any:
    if path.is_symlink():
        _refuse_public(path, path.lstat(), "600")
    flags = os.O_NOFOLLOW | os.O_NONBLOCK
    with open(path, encoding="utf-8", opener=lambda name, mode: os.open(name, mode | flags)) as file:
        _refuse_public(path, os.fstat(file.fileno()), "600")
        return json.load(file)


def _refuse_public(path: Path, status: os.stat_result, mode: str) -> None:
    """Raises ConfigError, which is no OSError: what might be a trap is not passed over in silence."""
    if stat.S_ISLNK(status.st_mode):
        raise ConfigError(
            f"{path}, where tokens are kept, is a symbolic link", hint="remove it, or set cache elsewhere"
        )
    if status.st_uid != os.geteuid():
        raise ConfigError(f"{path}, where tokens are kept, belongs to another user", hint="set cache to another folder")
    if status.st_mode & 0o077:
        raise ConfigError(f"others can read {path}, where tokens are kept", hint=f"chmod {mode} {path}, or remove it")


def _name(salt: bytes, identity: str) -> str:
    return hmac.new(salt, identity.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _salt(folder: Path) -> bytes | None:
    """Made by whoever is first. Without it, names would tell who guesses a password whether he is right."""
    path = folder / "salt"
    with _unless_disk_fails(), Lock(folder / "lock-salt") as lock:
        if not _whole(path):
            lock.wait()
        if not _whole(path):
            write_private_text(path, secrets.token_hex(SALT))
        return path.read_bytes()
    return None


def _whole(path: Path) -> bool:
    return path.is_file() and path.stat().st_size == 2 * SALT


def _kinds() -> dict[str, type[Cs3Error]]:
    """Our errors by their codes."""
    found, todo = {}, [Cs3Error]
    while todo:
        kind = todo.pop()
        found[kind.code] = kind
        todo += kind.__subclasses__()
    return found


@contextlib.contextmanager
def _unless_disk_fails() -> Iterator[None]:
    """What cannot be kept, because a disk is full or read-only, is obtained again."""
    try:
        yield
    except Cs3Error:
        raise
    except OSError as error:
        log.debug("tokens are not kept: %s", error.strerror)


def _sweep(folder: Path) -> None:
    """Take away what has expired, and what processes that were killed have left: never what is not ours."""
    ours = [path for path in folder.iterdir() if OURS.fullmatch(path.name)]
    for path in (path for path in ours if path.suffix == ".json"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            if (json.loads(path.read_text(encoding="utf-8"))["expires"] or float("inf")) < time.time():
                path.unlink()
    for path in (path for path in ours if path.suffix != ".json"):
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime < time.time() - LEFT:
                path.unlink()
