"""Why a copy failed, in one line that Rucio's operators know from FTS3: `SOURCE [2] No such file or directory …`.

Rucio looks for some of the words: that the target is there already, and what its operators list as suspicious.
"""

from __future__ import annotations

import errno

from rucio_cs3 import errors
from rucio_cs3.errors import Cs3Error
from rucio_cs3.mover.model import Failed, Side
from rucio_cs3.transfer.retry import DOWNLOAD, UPLOAD, passes

MISMATCH = "CHECKSUM MISMATCH"  # by which Rucio's operators find replicas that went bad
# What FTS3 gives as number and words. The first class that fits decides.
WORDS: tuple[tuple[type[Cs3Error], int, str], ...] = (
    (errors.NotFound, errno.ENOENT, "No such file or directory"),
    (errors.AlreadyExists, errno.EEXIST, "Destination file exists and overwrite is not enabled"),
    (errors.IsDirectory, errno.EISDIR, "Is a directory"),
    (errors.NotDirectory, errno.ENOTDIR, "Not a directory"),
    (errors.StorageFull, errno.ENOSPC, "No space left on device"),
    (errors.NotAuthenticated, errno.EACCES, "Permission denied"),
    (errors.PermissionDenied, errno.EACCES, "Permission denied"),
    (errors.InvalidName, errno.EINVAL, "Invalid argument"),
    (errors.InvalidRequest, errno.EINVAL, "Invalid argument"),
    (errors.ConfigError, errno.EINVAL, "Invalid configuration"),
    (errors.Locked, errno.EBUSY, "Device or resource busy"),
    (errors.Processing, errno.EBUSY, "Device or resource busy"),
    (errors.Unsupported, errno.EOPNOTSUPP, "Operation not supported"),
    (errors.Stopped, errno.ECANCELED, "Transfer canceled"),
    (errors.DeadlineExceeded, errno.ETIMEDOUT, "Connection timed out"),
    (errors.Unavailable, errno.ECOMM, "Communication error on send"),
    (errors.Interrupted, errno.ECOMM, "Communication error on send"),
    (errors.ChecksumMismatch, errno.EIO, MISMATCH),
    (Cs3Error, errno.EIO, "Input/output error"),
)
LATER = (errors.Locked, errors.Processing, errors.Stopped)  # what a retry in a moment does not help, and one later may


def failed(side: Side, error: Cs3Error, url: str, *, again: bool = False, remedy: str | None = None) -> Failed:
    """For what has gone wrong at one end. Another try may help by the kind of the error, or as `again` says.

    A `remedy` takes the place of the error's own hint.
    """
    if isinstance(error, errors.Stopped):
        side = Side.TRANSFER
    number, words = next((number, words) for kind, number, words in WORDS if isinstance(error, kind))
    words = f"{side.value} {words}" if words == MISMATCH else words
    may_pass = passes(error, DOWNLOAD if side is Side.SOURCE else UPLOAD)
    path = "" if error.path == url else error.path
    said = Cs3Error(error.message, path=path, status=error.status, hint=error.hint if remedy is None else remedy)
    return because(side, number, f"{words}: {url}: {said}", again=again or may_pass or isinstance(error, LATER))


def because(side: Side, number: int, what: str, *, again: bool) -> Failed:
    return Failed(side, " ".join(f"{side.value} [{number}] {what}".split()), again=again)
