"""An embedded CS3 gateway on a folder, with the manners of real storages: for demos, and for tests of your own code.

It is the peer of the client, and shares no code with it.
"""

from __future__ import annotations

from rucio_cs3.gateway.behaviours import BEHAVIOURS, DEFAULT, TPC, Behaviour
from rucio_cs3.gateway.calls import Call
from rucio_cs3.gateway.faults import KINDS as FAULT_KINDS
from rucio_cs3.gateway.faults import BadFault, Fault
from rucio_cs3.gateway.server import CannotServe, Gateway, Tls
from rucio_cs3.gateway.silent import silent_gateway
from rucio_cs3.gateway.users import DEMO_USERS, BadUsers, User, load_users

__all__ = [
    "BEHAVIOURS",
    "DEFAULT",
    "DEMO_USERS",
    "FAULT_KINDS",
    "TPC",
    "BadFault",
    "BadUsers",
    "Behaviour",
    "Call",
    "CannotServe",
    "Fault",
    "Gateway",
    "Tls",
    "User",
    "load_users",
    "silent_gateway",
]
