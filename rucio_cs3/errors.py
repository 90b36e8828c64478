"""What can go wrong, as one tree.

Cs3Error
├── ConfigError              (ValueError)           a setting is wrong or missing
│   └── NoLogin                                     a source of logins has nothing to give
├── InvalidName              (ValueError)           a name no storage can hold, or one that would leave its root
├── InvalidRequest           (ValueError)           the storage refuses the call as it is
├── NotAuthenticated         (PermissionError)      the login was refused
│   ├── TokenRejected                               the Reva token was refused: expired, forged, of another site
│   └── LoginRefused                                by a service that gives out tokens, which says why
├── PermissionDenied         (PermissionError)      known, but not allowed
├── NotFound                 (FileNotFoundError)
├── AlreadyExists            (FileExistsError)
├── IsDirectory              (IsADirectoryError)    a folder stands where a file is meant
├── NotDirectory             (NotADirectoryError)
├── PreconditionFailed                              the storage's state is not what the call asked for
├── Locked
├── Processing                                      the storage has not finished with the file
├── StorageFull
├── ListingTooLarge                                 more entries than the server can send in one answer
├── Unsupported              (NotImplementedError)
├── Unavailable              (ConnectionError)      unreachable, down, or its answer cannot be believed
│   └── Untrusted                                   its certificate is not one that we trust
├── DeadlineExceeded         (TimeoutError)
├── Stopped                                         somebody wanted it to end
├── ServerError                                     the storage failed and does not say why
├── TransferError                                   bytes did not arrive
│   ├── Interrupted          (ConnectionError)      the connection broke on the way
│   │   ├── Replaced                                the file changed while it was read
│   │   └── SessionGone                             what was sent before it broke cannot be gone on with
│   ├── NotStored                                   the storage took them and has no such file
│   │   └── TurnedDown                              it looked at them, and does not want them
│   ├── SizeMismatch
│   └── ChecksumMismatch
│       └── WrongContent                            whole and right, but not the file that was expected
└── LocalFileError           (OSError)
    ├── LocalSourceError                            the file to upload
    │   └── LocalSourceMissing
    └── LocalTargetError                            the place to download to

Every error carries a stable `code`, the CS3, gRPC or HTTP `status` it came from, the `path`, and a `hint`: what to do.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import ClassVar


class Cs3Error(Exception):
    """Base of everything this package raises on purpose."""

    code: ClassVar[str] = "error"
    default_hint: ClassVar[str] = ""
    retry_after: float | None = None
    """seconds, where the server said when it wants to be asked again"""
    counted = False
    """by rucio_cs3.observe"""

    def __init__(self, message: str, *, path: str = "", status: str = "", hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.status = status
        self.hint = self.default_hint if hint is None else hint

    def __str__(self) -> str:
        what = f"{self.path}: {self.message}" if self.path else self.message
        status = f" [{self.status}]" if self.status else ""
        hint = f"; {self.hint}" if self.hint else ""
        return " ".join(f"{what}{status}{hint}".split())


class ConfigError(Cs3Error, ValueError):
    code = "config"


class NoLogin(ConfigError):
    code = "no_login"


class InvalidName(Cs3Error, ValueError):
    code = "invalid_name"


class InvalidRequest(Cs3Error, ValueError):
    code = "invalid_request"


class NotAuthenticated(Cs3Error, PermissionError):
    code = "not_authenticated"
    default_hint = "check the user name and secret that rucio-cs3 is configured with for this site"


class TokenRejected(NotAuthenticated):
    code = "token_rejected"
    default_hint = "the token has expired, was made for another site, or is limited to less than this: get another one"


class LoginRefused(NotAuthenticated):
    code = "login_refused"
    default_hint = "log in to Rucio, or to the provider, again; see rucio-cs3 token explain"
    reason = ""
    """the service's own word"""


class PermissionDenied(Cs3Error, PermissionError):
    code = "permission_denied"
    default_hint = "ask the owner of the folder for access, or log in as somebody who has it"


class NotFound(Cs3Error, FileNotFoundError):
    code = "not_found"


class AlreadyExists(Cs3Error, FileExistsError):
    code = "already_exists"


class IsDirectory(Cs3Error, IsADirectoryError):
    code = "is_directory"


class NotDirectory(Cs3Error, NotADirectoryError):
    code = "not_directory"


class PreconditionFailed(Cs3Error):
    code = "precondition_failed"


class Locked(Cs3Error):
    code = "locked"
    default_hint = "wait until whoever has the file open closes it"


class Processing(Cs3Error):
    code = "processing"
    default_hint = "try again when the storage has finished with the file"


class StorageFull(Cs3Error):
    code = "storage_full"
    default_hint = "free space or raise the quota"


class ListingTooLarge(Cs3Error):
    code = "listing_too_large"
    default_hint = "split the folder: the server cannot send it in one answer"


class Unsupported(Cs3Error, NotImplementedError):
    code = "unsupported"


class Unavailable(Cs3Error, ConnectionError):
    code = "unavailable"
    default_hint = "check the address and whether the site is up, then try again"
    lasts = False
    """until a setting is corrected, here or at the site, as far as can be seen"""


class Untrusted(Unavailable):
    code = "untrusted"
    lasts = True
    default_hint = "check ca, and the site's certificate"


class DeadlineExceeded(Cs3Error, TimeoutError):
    code = "deadline_exceeded"
    default_hint = "the site is slow or silent: try again, or raise the timeout"


class Stopped(Cs3Error):
    code = "stopped"


class ServerError(Cs3Error):
    code = "server_error"
    default_hint = "try again; if it stays, show the site's operator this line"


class TransferError(Cs3Error):
    code = "transfer"


class Interrupted(TransferError, ConnectionError):
    code = "interrupted"
    default_hint = "try again"


class Replaced(Interrupted):
    code = "replaced"


class SessionGone(Interrupted):
    code = "session_gone"


class NotStored(TransferError):
    code = "not_stored"
    default_hint = "nothing was kept: try again"


class TurnedDown(NotStored):
    code = "turned_down"
    default_hint = "ask the site's operator what its check of uploads found"


class SizeMismatch(TransferError):
    code = "size_mismatch"
    default_hint = "nothing was kept: try again"


class ChecksumMismatch(TransferError):
    code = "checksum_mismatch"
    default_hint = "nothing was kept: try again"


class WrongContent(ChecksumMismatch):
    code = "wrong_content"
    default_hint = "it is not the file that was expected: check its name and the checksum given"


class LocalFileError(Cs3Error, OSError):
    code = "local_file"

    @classmethod
    def of(cls, error: OSError, path: str) -> LocalFileError:
        """Name the local file."""
        return cls(error.strerror or str(error), path=path, status=type(error).__name__)


class LocalSourceError(LocalFileError):
    code = "local_source"
    default_hint = "check that the file exists and can be read"


class LocalSourceMissing(LocalSourceError):
    code = "local_source_missing"


class LocalTargetError(LocalFileError):
    code = "local_target"
    default_hint = "check that the folder exists, can be written to and has room"


# gRPC and CS3 name their codes alike; CS3 adds the last ones.
CS3_STATUS: dict[str, type[Cs3Error]] = {
    "CANCELLED": Interrupted,
    "UNKNOWN": ServerError,
    "INVALID_ARGUMENT": InvalidRequest,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "PERMISSION_DENIED": PermissionDenied,
    "UNAUTHENTICATED": NotAuthenticated,
    "RESOURCE_EXHAUSTED": Unavailable,  # but see the channel for listings
    "FAILED_PRECONDITION": PreconditionFailed,
    "ABORTED": PreconditionFailed,
    "OUT_OF_RANGE": InvalidRequest,
    "UNIMPLEMENTED": Unsupported,
    "INTERNAL": ServerError,
    "UNAVAILABLE": Unavailable,
    "DATA_LOSS": ServerError,
    "REDIRECTION": Unsupported,
    "INSUFFICIENT_STORAGE": StorageFull,
    "LOCKED": Locked,
    "TOO_EARLY": Processing,
}

HTTP_STATUS: dict[int, type[Cs3Error]] = {
    206: Interrupted,  # to a PUT: the bytes wait in a session and were not committed
    400: InvalidRequest,
    401: TokenRejected,
    403: PermissionDenied,
    404: NotFound,
    405: Unsupported,
    407: Unavailable,
    408: DeadlineExceeded,
    409: PreconditionFailed,
    412: PreconditionFailed,
    416: InvalidRequest,
    419: ChecksumMismatch,
    423: Locked,
    425: Processing,
    429: Unavailable,
    460: ChecksumMismatch,
    500: ServerError,
    501: Unsupported,
    502: Unavailable,
    503: Unavailable,
    504: DeadlineExceeded,
    507: StorageFull,
}

# Some things Reva says in words alone, under codes that mean something else.
CS3_WORDS: dict[str, type[Cs3Error]] = {
    "core access token": TokenRejected,
    "error dismantling token": TokenRejected,
    "user not found in context": TokenRejected,
    "larger than max": ListingTooLarge,
}


JWT = re.compile(r"eyJ[\w-]{16,}[\w.-]*")  # whole, or cut off
HIDDEN = "…"


def without_tokens(message: str) -> str:
    """Sites like to repeat what they were shown, and errors end up in logs and tickets."""
    return JWT.sub(HIDDEN, message)


def from_cs3(status: str, message: str, *, path: str = "") -> Cs3Error:
    """The error for a CS3 or gRPC status name such as NOT_FOUND."""
    by_words = (kind for words, kind in CS3_WORDS.items() if words in message)
    kind = next(by_words, CS3_STATUS.get(status, ServerError))
    return kind(without_tokens(message) or "the storage gives no reason", path=path, status=status)


def from_http(status: int, message: str, *, path: str = "") -> Cs3Error:
    """The error for an HTTP status that is not the wanted one."""
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Unsupported(
            "the data server redirects, and a token goes only to the host it was made for",
            path=path,
            status=f"HTTP {status}",
        )
    hint = (
        "the proxy wants a login in http_proxy or https_proxy: http://user:password@host:port"
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
        else None
    )
    kind = HTTP_STATUS.get(status, ServerError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else InvalidRequest)
    reason = without_tokens(message) or "the data server gives no reason"
    return kind(reason, path=path, status=f"HTTP {status}", hint=hint)
