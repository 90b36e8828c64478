"""Two embedded gateways are two sites, a mover copies between them, and Rucio's conveyor tells it what."""

from __future__ import annotations

import random
import zlib
from typing import TYPE_CHECKING

import pytest

from demo.mover import Mover, site_of
from demo.storage import Gateway
from tests.rucio.conftest import SCOPE, faults_at
from tests.unit.mover.conftest import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.rucio.conftest import Site

ROUNDS = 8  # Rucio tries four times
HALF_DONE = (".rucio-cs3-", ".rucio.upload", ".part")
LARGE = bytes(range(256)) * (1 << 17)  # 32 MiB
SIZES = [0, 1, 4096, 70_000, 1_000_003]


@pytest.fixture(scope="session")
def other_gateway(tmp_path_factory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("other-gateway"), "--faults") as gateway:
        yield gateway


@pytest.fixture(scope="session")
def mover(tmp_path_factory, gateway, other_gateway) -> Iterator[Mover]:
    # whether it tries again is tested elsewhere; here Rucio does, without a wait
    settings = "[limits]\nretries = 0\n"
    sites = {"here": site_of(gateway), "there": site_of(other_gateway)}
    with Mover(tmp_path_factory.mktemp("mover"), sites, settings) as mover:
        yield mover


@pytest.fixture
def other_faults(other_gateway) -> Iterator[Callable[..., None]]:
    """Let the other storage do wrong until the test is over."""
    with faults_at(other_gateway) as set_faults:
        yield set_faults


@pytest.fixture
def slow_target(there, other_faults) -> Callable[..., None]:
    """Make it take 16 s to write LARGE there, until called."""
    other_faults({"on": "http:PUT", "kind": "slow", "rate": 2 << 20, "path": f"*{there.folder.name}*"})
    return other_faults


class Orchestra:
    """Rucio's daemons for transfers, and the sites that they move files between."""

    def __init__(self, sandbox, client, mover: Mover) -> None:
        self.client = client
        self.mover = mover
        self.play = sandbox.rounds
        self.sites: list[Site] = []

    def add(self, site: Site, *, joined: bool = True) -> Site:
        """Join it to the others, in both directions."""
        self.client.add_rse_attribute(site.rse, "fts", self.mover.url)
        for other in self.sites if joined else ():
            self.link(site, other)
            self.link(other, site)
        self.sites.append(site)
        return site

    def link(self, source: Site, target: Site, distance: int = 1) -> None:
        self.client.add_distance(source.rse, target.rse, {"distance": distance})

    def use(self, mover: Mover) -> None:
        """Move to another mover, as one moves to FTS: by an attribute of the RSEs."""
        self.mover = mover
        for site in self.sites:
            self.client.delete_rse_attribute(site.rse, "fts")
            self.client.add_rse_attribute(site.rse, "fts", mover.url)

    def rule(self, name: str, *sites: Site, **options) -> str:
        """Want a copy at each of the sites; return the rule's id."""
        did = [{"scope": SCOPE, "name": name}]
        expression = "|".join(site.rse for site in sites)
        return self.client.add_replication_rule(did, len(sites), expression, **options)[0]

    def dataset(self, site: Site, name: str, count: int) -> dict[str, bytes]:
        """Make files of mixed sizes at the site, which Rucio knows."""
        content = random.Random(count).randbytes
        files = {f"{name}-{number}": content(SIZES[number % len(SIZES)]) for number in range(count)}
        for file, data in files.items():
            site.put(file, data)
        rows = [{"scope": SCOPE, "name": file, **known(data)} for file, data in files.items()]
        self.client.add_replicas(site.rse, rows)
        self.client.add_dataset(SCOPE, name)
        self.client.attach_dids(SCOPE, name, [{"scope": SCOPE, "name": file} for file in files])
        return files

    def wait_for_bytes(self) -> None:
        """Until the mover is in the middle of a copy."""
        wait_for(lambda: any(copy["bytes"] for copy in self.mover.ask("/status.json")["running"]))

    def states(self, *rules: str) -> list[str]:
        return [self.client.get_replication_rule(rule)["state"] for rule in rules]

    def why(self, rule: str) -> str:
        return self.client.get_replication_rule(rule)["error"]

    def settle(self, *rules: str) -> list[str]:
        """Play until the rules are no longer on their way; return what became of them."""
        for _ in range(ROUNDS):
            if "REPLICATING" not in self.states(*rules):
                break
            self.play("submitter")
            self.mover.wait()
            self.play("poller", "finisher")
        return self.states(*rules)

    def repair(self, rule: str) -> list[str]:
        """Try again what is stuck, at once instead of in two hours."""
        self.client.update_replication_rule(rule, {"boost_rule": True})
        self.play("repairer")
        return self.settle(rule)

    def suspicious(self, site: Site) -> list[str]:
        return [row["name"] for rows in self.client.list_suspicious_replicas(site.rse) for row in rows]

    def agree(self, *, debris: int = 0) -> None:
        """See that catalogue and storages, listed both, say the same. `debris` is what a killed program left behind."""
        left = 0
        for site in self.sites:
            found = {path.rpartition("/")[2]: known(content) for path, content in site.stored().items()}
            half_done = {name for name in found if any(mark in name for mark in HALF_DONE)}
            left += len(half_done)
            assert {name: told for name, told in found.items() if name not in half_done} == self._available(site)
        assert left <= debris, "something is left half done"

    def _available(self, site: Site) -> dict[str, dict[str, object]]:
        dids = [{"scope": SCOPE, "name": did} for did in self.client.list_dids(SCOPE, {}, did_type="file")]
        rows = self.client.list_replicas(dids, rse_expression=site.rse, all_states=True) if dids else ()
        return {
            row["name"]: {"bytes": row["bytes"], "adler32": row["adler32"]}
            for row in rows
            if row["states"].get(site.rse) == "AVAILABLE"
        }


def known(content: bytes) -> dict[str, object]:
    """What the catalogue knows of such a file."""
    return {"bytes": len(content), "adler32": f"{zlib.adler32(content):08x}"}


@pytest.fixture
def orchestra(sandbox, client, mover) -> Orchestra:
    return Orchestra(sandbox, client, mover)


@pytest.fixture
def add_at(add_site, orchestra) -> Callable[..., Site]:
    """Make an RSE at a gateway, for the mover to copy to and from."""

    def add(gateway: Gateway, **options) -> Site:
        site = add_site(at=gateway)
        site.add_protocol(gateway.davs(site.folder.name))
        return orchestra.add(site, **options)

    return add


@pytest.fixture
def here(add_at, gateway) -> Site:
    return add_at(gateway)


@pytest.fixture
def there(add_at, other_gateway) -> Site:
    return add_at(other_gateway)
