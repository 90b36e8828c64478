"""When a transfer is begun anew. Each time in a new session: a second PUT on the same one appends on some servers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

from rucio_cs3 import deadline
from rucio_cs3.errors import (
    ChecksumMismatch,
    Interrupted,
    NotFound,
    NotStored,
    PreconditionFailed,
    ServerError,
    SizeMismatch,
    TokenRejected,
    Unavailable,
    WrongContent,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rucio_cs3.credentials.tokens import Tokens

T = TypeVar("T")

DOWNLOAD = (
    Interrupted,  # the connection broke
    SizeMismatch,  # it was cut, or the file was replaced meanwhile
    ChecksumMismatch,  # a byte went wrong on the way
    ServerError,  # 500: Reva's word for many passing things
    Unavailable,  # the data server is restarting
)
UPLOAD = (
    *DOWNLOAD,
    NotStored,  # it vanished after a good answer
    NotFound,  # somebody removed the folder that we remember as made
    PreconditionFailed,  # the same, in the second line's words
)
FIRST_PAUSE = 0.2  # seconds, doubled each time
LONGEST_PAUSE = 30.0


def retry(operation: Callable[[int], T], on: tuple[type[Exception], ...], *, times: int, tokens: Tokens) -> T:
    """Call `operation(attempt)` until it succeeds, fails in another way, or has failed `times` + 1 times."""
    token_renewed = False
    attempt = 0
    while True:
        used = tokens.get()
        try:
            return operation(attempt)
        except TokenRejected:
            if token_renewed:
                raise
            token_renewed = True
            tokens.forget(used)
        except on as error:
            if attempt >= times or isinstance(error, WrongContent):
                raise
            deadline.sleep(min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE) * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            attempt += 1
