"""What the two servers of a gateway share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rucio_cs3.gateway.scopes import owns_home

if TYPE_CHECKING:
    from rucio_cs3.gateway.apps import AppPasswords
    from rucio_cs3.gateway.behaviours import Behaviour
    from rucio_cs3.gateway.calls import Calls
    from rucio_cs3.gateway.elsewhere import Elsewhere
    from rucio_cs3.gateway.faults import Faults
    from rucio_cs3.gateway.locks import Locks
    from rucio_cs3.gateway.login import Identity, Login
    from rucio_cs3.gateway.namespace import Namespace
    from rucio_cs3.gateway.processing import Processing
    from rucio_cs3.gateway.storage import Storage
    from rucio_cs3.gateway.tokens import Tokens
    from rucio_cs3.gateway.uploads import InPlace, Uploads


@dataclass(frozen=True)
class Site:
    behaviour: Behaviour
    namespace: Namespace
    storage: Storage
    uploads: Uploads
    in_place: InPlace
    locks: Locks
    login: Login
    tokens: Tokens
    app_passwords: AppPasswords
    calls: Calls
    faults: Faults
    processing: Processing | None  # where uploads are processed
    webdav_namespace: str  # the CS3 path that the WebDAV door opens on
    tpc: str  # how it makes third-party copies
    elsewhere: Elsewhere  # where they come from or go to

    def settle(self) -> None:
        """Let happen what should have happened by now. To be called before anything is looked at."""
        if self.processing:
            self.processing.settle()

    def sign_in(self, kind: str, client_id: str, secret: str) -> Identity:
        """Who it is, with a home made at the first login where users have homes. Raises Refused."""
        who = self.login.identity(kind, client_id, secret)
        if kind != "machine" and owns_home(who.scopes):
            self.namespace.make_home(who.user)
        return who
