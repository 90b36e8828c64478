"""Rucio account -> user of a site: by a table, then by a template, and otherwise nobody."""

from __future__ import annotations

import re
from dataclasses import dataclass

# What is believed to be an account's name; Rucio allows 25 characters, its policies choose which.
ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
# What a template may make. No colon: the machine login takes `mail:x` for whoever has that address.
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,254}")
PLACEHOLDER = "{account}"


@dataclass(frozen=True)
class Mapping:
    accounts: dict[str, str]
    template: str
    only: re.Pattern[str]

    def user(self, account: str) -> str | None:
        """The site's user, or None: who is not named gets nothing."""
        if not ACCOUNT.fullmatch(account):
            return None
        return self.accounts.get(account) or self._by_template(account)

    def _by_template(self, account: str) -> str | None:
        if not self.only.fullmatch(account):
            return None
        user = self.template.replace(PLACEHOLDER, account)
        return user if USER.fullmatch(user) else None
