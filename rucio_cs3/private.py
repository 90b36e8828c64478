"""Files that hold secrets: nobody else may read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from rucio_cs3.errors import ConfigError

LARGEST = 100_000  # bytes; no secret is longer


def read_secret(file: str, what: str, *, strict: bool = False) -> str:
    """The content without blanks around it. Its group may read it, because orchestrators mount secrets so.

    `strict` is for places where anybody may have put the file: it has to be ours, and for nobody else.

    Raises:
        ConfigError: names the file, and what is wrong with it.
    """
    try:
        path = Path(file).expanduser()
        flags = os.O_NONBLOCK | (os.O_NOFOLLOW if strict else 0)
        with open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags)) as opened:
            _refuse_public(os.fstat(opened.fileno()), file, what, strict=strict)
            content = opened.read(LARGEST + 1)
        value = content.decode("utf-8").strip()
    except OSError as error:
        raise ConfigError(f"cannot read {what} {file}: {error.strerror}") from error
    except (RuntimeError, KeyError):  # the latter from Python 3.9
        raise ConfigError(f"cannot read {what} {file}: there is no home") from None
    except UnicodeDecodeError:
        raise ConfigError(f"cannot read {what} {file}: it is not text") from None
    if not value:
        raise ConfigError(f"{what} {file} is empty")
    if len(content) > LARGEST:
        raise ConfigError(f"{what} {file} is longer than any secret")
    return value


def refuse_public(file: str | os.PathLike[str], what: str) -> None:
    """Raises ConfigError when others can read it."""
    _refuse_public(Path(file).expanduser().stat(), os.fspath(file), what, strict=False)


def there(path: Path) -> bool:
    """False also for what we are not allowed to look at, such as in somebody else's home."""
    try:
        return path.exists()
    except OSError:
        return False


def _refuse_public(status: os.stat_result, file: str, what: str, *, strict: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{what} {file} is not a file")
    if status.st_mode & (0o077 if strict else 0o007):
        raise ConfigError(f"{what} {file} can be read or changed by others", hint=f"chmod o-rwx {file}")
    if strict and status.st_uid not in {os.getuid(), 0}:
        raise ConfigError(
            f"{what} {file} belongs to another user", hint="it may be a trap: look at it before you use it"
        )
