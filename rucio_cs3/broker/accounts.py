"""Rucio account -> user of a site: by a table, then by a template, and otherwise nobody.

An account of another VO than Rucio's own is written account@vo: it is not the one of that name here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# What is believed to be an account's name; Rucio allows 25 characters, its policies choose which.
ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
VO = re.compile(r"[A-Za-z0-9_.-]{3}")
BASE_VO = "def"  # which every Rucio has, and most have no other
# What a template may make. No colon: the machine login takes `mail:x` for whoever has that address.
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,254}")
PLACEHOLDER = "{account}"


@dataclass(frozen=True)
class Mapping:
    accounts: dict[str, str]
    template: str
    only: re.Pattern[str]
    vo: str = BASE_VO
    """whose accounts the template is for"""

    def user(self, account: str) -> str | None:
        """The site's user, or None: who is not named gets nothing."""
        name, at, vo = account.partition("@")
        if not ACCOUNT.fullmatch(name) or (at and not VO.fullmatch(vo)):
            return None
        return self.accounts.get(account) or self._by_template(name, vo or BASE_VO)

    def _by_template(self, name: str, vo: str) -> str | None:
        if vo != self.vo or not self.only.fullmatch(name):
            return None
        user = self.template.replace(PLACEHOLDER, name)
        return user if USER.fullmatch(user) else None
