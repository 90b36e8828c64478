"""When a transfer is begun anew, or gone on with. What is repeated is safe to be: nothing counts before it is verified.

The statuses of CS3, gRPC and HTTP become errors in rucio_cs3.errors, and the table here has a row for each error.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from rucio_cs3 import deadline, errors, observe
from rucio_cs3.errors import Cs3Error, TokenRejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from rucio_cs3.config import Config
    from rucio_cs3.credentials.tokens import Tokens

T = TypeVar("T")


class Rule(NamedTuple):
    """Whether a failure may pass when a download, or an upload, is tried again."""

    download: bool
    upload: bool
    why: str


BOTH, UPLOADS, NEITHER = (True, True), (False, True), (False, False)

# A row holds for the errors below it in the tree as well, unless they have one of their own.
RULES: dict[type[Cs3Error], Rule] = {
    errors.Interrupted: Rule(*BOTH, "cut, reset, CANCELLED, or 206 to a PUT: not all bytes arrived"),
    errors.SizeMismatch: Rule(*BOTH, "it was cut, or the file was replaced meanwhile"),
    errors.ChecksumMismatch: Rule(*BOTH, "a byte went wrong on the way: also 419, and 460 on older servers"),
    errors.WrongContent: Rule(*NEITHER, "the same bytes would come again"),
    errors.ServerError: Rule(*BOTH, "500, INTERNAL, UNKNOWN, DATA_LOSS: Reva's words for many passing things"),
    errors.Unavailable: Rule(
        *BOTH, "429, 502, 503, UNAVAILABLE, RESOURCE_EXHAUSTED, no connection: it is restarting, or busy"
    ),
    errors.Untrusted: Rule(*NEITHER, "a TLS certificate does not change, and trust is not tried for"),
    errors.DeadlineExceeded: Rule(*BOTH, "a stall, 408, 504, DEADLINE_EXCEEDED: another connection may do better"),
    errors.Stopped: Rule(*NEITHER, "somebody wants it to end"),
    errors.NotStored: Rule(*UPLOADS, "it vanished after a good answer"),
    errors.TurnedDown: Rule(*NEITHER, "the storage would turn the same bytes down again"),
    errors.NotFound: Rule(*UPLOADS, "404, NOT_FOUND: somebody removed the folder that we remember as made"),
    errors.PreconditionFailed: Rule(*UPLOADS, "409, 412, FAILED_PRECONDITION, ABORTED: the same, in other words"),
    errors.NotAuthenticated: Rule(*NEITHER, "UNAUTHENTICATED: the login is wrong"),
    errors.TokenRejected: Rule(*NEITHER, "401: not with this token, but once with another one, see below"),
    errors.PermissionDenied: Rule(*NEITHER, "403, PERMISSION_DENIED: rights do not come by asking"),
    errors.AlreadyExists: Rule(*NEITHER, "ALREADY_EXISTS: the caller says what may be overwritten"),
    errors.IsDirectory: Rule(*NEITHER, "it stays one"),
    errors.NotDirectory: Rule(*NEITHER, "it stays none"),
    errors.Locked: Rule(*NEITHER, "423, LOCKED: for as long as somebody has the file open"),
    errors.Processing: Rule(*NEITHER, "425, TOO_EARLY: after an upload it is waited for, up to processing_timeout"),
    errors.StorageFull: Rule(*NEITHER, "507, INSUFFICIENT_STORAGE: trying does not make room"),
    errors.ListingTooLarge: Rule(*NEITHER, "RESOURCE_EXHAUSTED from a listing: it does not get smaller"),
    errors.InvalidRequest: Rule(*NEITHER, "400, 416, INVALID_ARGUMENT, OUT_OF_RANGE: the same would be asked again"),
    errors.Unsupported: Rule(*NEITHER, "405, 501, UNIMPLEMENTED, REDIRECTION: it cannot, or will not"),
    errors.LocalFileError: Rule(*NEITHER, "a failure of this machine's own"),
    errors.ConfigError: Rule(*NEITHER, "somebody has to correct it"),
    errors.InvalidName: Rule(*NEITHER, "somebody has to choose another one"),
}
DOWNLOAD = tuple(kind for kind, rule in RULES.items() if rule.download)
UPLOAD = tuple(kind for kind, rule in RULES.items() if rule.upload)
LOOKS = (errors.DeadlineExceeded, errors.Interrupted, errors.ServerError, errors.Unavailable)  # see `again`
FIRST_PAUSE = 0.2  # seconds, doubled each time
LONGEST_PAUSE = 30.0
LONGEST_WISH = 300.0  # seconds that a server may ask us to wait


def retry(
    operation: Callable[[int], T],
    on: tuple[type[Cs3Error], ...],
    *,
    times: int,
    tokens: Tokens,
    reached: Callable[[], int] = lambda: 0,
) -> T:
    """Call `operation(attempt)` until it succeeds, fails in a way that is not in `on`, or has failed too often.

    That is `times` + 1 times without getting further: `reached` says how far it has come.
    """
    token_renewed = False
    attempt = failures = 0
    best = reached()
    while True:
        used = tokens.get()
        try:
            return operation(attempt)
        except Cs3Error as error:
            if reached() > best:
                best, failures, token_renewed = reached(), 0, False
            if isinstance(error, TokenRejected) and not token_renewed:
                token_renewed = True
                tokens.forget(used)
                observe.retried(error)
                continue
            if failures >= times or not passes(error, on):
                raise
            deadline.sleep(_pause(error, failures))
            observe.retried(error)
            attempt += 1
            failures += 1


def again(look: Callable[[int], T], config: Config, tokens: Tokens) -> T:
    """For calls that are cheap beside the bytes, and safe to repeat: what was sent is not thrown away for them."""
    return retry(look, LOOKS, times=config.retries, tokens=tokens)


def passes(error: BaseException, on: tuple[type[Cs3Error], ...]) -> bool:
    """Whether it is worth trying again: the nearest kind above it that has a row decides."""
    return next((kind in on for kind in type(error).__mro__ if kind in RULES), False)


def _pause(error: Cs3Error, failures: int) -> float:
    """In seconds. Raises the error when the server wants to be left alone for longer than we can wait."""
    pause = min(FIRST_PAUSE * 2**failures, LONGEST_PAUSE) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
    wish = error.retry_after
    if wish is None:
        return deadline.at_most(pause)
    if wish > min(LONGEST_WISH, deadline.at_most(math.inf)):
        error.hint = f"the server wants to be asked again in {wish:.0f} seconds, not before"
        raise error
    return deadline.at_most(max(pause, wish))
