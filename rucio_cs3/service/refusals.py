"""Everything a service says instead of what it was asked for, in one table."""

from __future__ import annotations

# code -> HTTP status. Where Rucio or the site said nothing at all, `unavailable` is 504 instead.
STATUS = {
    "bad_request": 400,
    "rucio_token_refused": 401,
    "plaintext_refused": 403,
    "stranger": 403,
    "not_yours": 403,
    "account_not_mapped": 403,
    "not_found": 404,
    "unknown_site": 404,
    "method_not_allowed": 405,
    "duplicate": 409,
    "too_large": 413,
    "rate_limited": 429,
    "internal_error": 500,
    "site_refused": 502,
    "issuer_unavailable": 503,
    "rucio_unavailable": 503,
    "site_unavailable": 503,
}
SILENCE = 504


class Refused(Exception):
    """The answer is an error. Its text goes to the caller, so it holds nothing that somebody else said."""

    def __init__(
        self,
        code: str,
        text: str,
        *,
        silence: bool = False,
        headers: dict[str, str] | None = None,
        more: dict[str, str] | None = None,
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = SILENCE if silence else STATUS[code]
        self.headers = headers or {}
        self.more = more or {}
