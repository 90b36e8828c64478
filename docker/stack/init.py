"""Tells Rucio of the sites and of the people, as far as it does not know them yet."""

from __future__ import annotations

from configparser import RawConfigParser
from itertools import permutations
from typing import TYPE_CHECKING, Any

import requests
from patience import until
from rucio.client import Client
from rucio.common.exception import Duplicate

from rucio_cs3 import Cs3Client

if TYPE_CHECKING:
    from collections.abc import Callable

SITES = {"SITE-A": "site-a", "SITE-B": "site-b"}
FOLDER, DOOR, GRPC, HTTP = "rucio", "/remote.php/webdav", 19000, 19001
ATTRIBUTES = {"fts": "https://mover:8446", "greedyDeletion": "True"}
PEOPLE = ("einstein", "marie")
# What has to answer before anybody can work, and with what
PAGES = {
    "rucio": (":8443/ping", 200),
    "idp": (":9000/.well-known/openid-configuration", 200),
    "broker": (":8444/health", 200),
    "mover": (":8446/health", 200),
    **dict.fromkeys(SITES.values(), (f":{HTTP}{DOOR}/", 401)),
}
EVERYTHING = {
    "wan": {"read": 1, "write": 1, "delete": 1, "third_party_copy_read": 1, "third_party_copy_write": 1},
    "lan": {"read": 1, "write": 1, "delete": 1},
}


class Init:
    """`made` says what was not there."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.made: list[str] = []

    def once(self, what: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """Do it unless it has been done."""
        try:
            call(*arguments, **options)
        except Duplicate:
            return
        self.made.append(what)

    def site(self, rse: str, host: str) -> None:
        """Its folder for Rucio, and its RSE."""
        login = {"username": "rucio", "password_file": f"/conf/{host}.password", "ca": "/conf/ca.pem"}
        with Cs3Client(gateway=f"{host}:{GRPC}", auth="basic", **login) as files:
            files.files.mkdir(f"/{FOLDER}", exist_ok=True)
        self.once(rse, self.client.add_rse, rse)
        self.once(f"the protocol of {rse}", self.client.add_protocol, rse, protocol(host))
        known = self.client.list_rse_attributes(rse)
        for key, value in ATTRIBUTES.items():
            if key not in known:
                self.client.add_rse_attribute(rse, key, value)
        self.client.set_local_account_limit("root", rse, -1)

    def person(self, name: str) -> None:
        """Whom Rucio knows by the identity provider; einstein by his password, too."""
        mail = f"{name}@example.org"
        self.once(name, self.client.add_account, name, "USER", mail)
        identity = self.client.add_identity
        self.once(f"{name}'s OIDC", identity, name, f"SUB={name}, ISS=https://idp:9000", "OIDC", mail, default=True)
        # with Rucio's generic permissions nobody else can say that an upload is complete
        self.once(f"{name}'s rights", self.client.add_account_attribute, name, "admin", "True")
        self.once(f"{name}'s scope", self.client.add_scope, name, f"user.{name}")
        for rse in SITES:
            self.client.set_local_account_limit(name, rse, -1)

    def password(self, name: str, password: str) -> None:
        """Let the person log in by it."""
        mail = f"{name}@example.org"
        identity = self.client.add_identity
        self.once(f"{name}'s password", identity, name, name, "USERPASS", mail, default=True, password=password)


def protocol(host: str) -> dict[str, Any]:
    """PFNs are addresses at the site's WebDAV door; the plugin goes to its gateway, and people get in by the broker."""
    site = {"gateway": f"{host}:{GRPC}", "webdav_root": DOOR, "auth": "rucio, broker", "broker": "https://broker:8444"}
    return {
        "scheme": "davs",
        "hostname": host,
        "port": HTTP,
        "prefix": f"{DOOR}/{FOLDER}/",
        "impl": "rucio_cs3.protocol.Default",
        "domains": EVERYTHING,
        "extended_attributes": {"cs3": site},
    }


def answers(service: str) -> None:
    """Raises RequestException or ValueError."""
    page, wanted = PAGES[service]
    got = requests.get(f"https://{service}{page}", timeout=15).status_code
    if got != wanted:
        raise ValueError(f"{got} instead of {wanted}")


def main() -> None:
    """Make what is missing, in an order in which a later step finds what it needs."""
    for service in PAGES:
        until(lambda service=service: answers(service), service, requests.RequestException, ValueError)
    init = Init(Client())
    for rse, host in SITES.items():
        init.site(rse, host)
    for source, target in permutations(SITES):
        init.once(f"the distance to {target}", init.client.add_distance, source, target, {"distance": 1})
    for name in PEOPLE:
        init.person(name)
    person = RawConfigParser()
    person.read("/conf/rucio.cfg")
    init.password("einstein", person["client"]["password"])
    print(f"init: made {', '.join(init.made)}" if init.made else "init: everything is there", flush=True)


if __name__ == "__main__":
    main()
