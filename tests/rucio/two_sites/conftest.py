"""Two embedded gateways are two sites, a mover copies between them, and Rucio's conveyor tells it what."""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING

import pytest

from demo.mover import Mover
from demo.storage import Gateway
from tests.rucio.conftest import SCOPE, faults_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.rucio.conftest import Site

ROUNDS = 12
PATIENCE = 90  # seconds for the mover to be done with what it has
WAITED = ("SUBMITTED", "READY", "ACTIVE")
OURS = (".rucio-cs3-", ".rucio.upload", ".part")


@pytest.fixture(scope="session")
def other_gateway(tmp_path_factory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("other-gateway"), "--faults") as gateway:
        yield gateway


@pytest.fixture(scope="session")
def mover(tmp_path_factory, gateway, other_gateway) -> Iterator[Mover]:
    with Mover(tmp_path_factory.mktemp("mover"), {"here": gateway, "there": other_gateway}) as mover:
        yield mover


@pytest.fixture
def other_faults(other_gateway) -> Iterator[Callable[..., None]]:
    """Let the other storage do wrong until the test is over."""
    with faults_at(other_gateway) as set_faults:
        yield set_faults


class Orchestra:
    """Rucio's daemons for transfers, and the sites that they move files between."""

    def __init__(self, sandbox, client, mover: Mover) -> None:
        self.sandbox = sandbox
        self.client = client
        self.mover = mover
        self.config = {"conveyor": {"scheme": "davs", "transfertool": "fts3"}}
        self.sites: list[Site] = []

    def add(self, site: Site) -> Site:
        """Join it to the others, in both directions."""
        self.client.add_rse_attribute(site.rse, "fts", self.mover.url)
        for other in self.sites:
            self.link(site, other)
            self.link(other, site)
        self.sites.append(site)
        return site

    def link(self, source: Site, target: Site) -> None:
        self.client.add_distance(source.rse, target.rse, {"distance": 1})

    def rule(self, name: str, *sites: Site, **options) -> str:
        """Want a copy at each of the sites; return the rule's id."""
        did = [{"scope": SCOPE, "name": name}]
        expression = "|".join(site.rse for site in sites)
        return self.client.add_replication_rule(did, len(sites), expression, **options)[0]

    def conveyor(self, *daemons: str) -> str:
        done = self.sandbox.conveyor(*daemons, config=self.config)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def submit(self) -> str:
        return self.conveyor("submitter")

    def learn(self) -> str:
        """Let Rucio hear what came of it."""
        return self.conveyor("poller", "finisher")

    def wait(self) -> None:
        """Until the mover has done what it was asked for."""
        self.until(
            lambda: (
                not any(count for state, count in self.mover.ask("/status.json")["files"].items() if state in WAITED)
            )
        )

    def until(self, done: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < end, f"after {PATIENCE} s: {self.mover.ask('/status.json')}"
            time.sleep(0.05)  # nothing tells us, as nothing tells Rucio

    def settle(self, *rules: str) -> list[str]:
        """Play until the rules are no longer on their way; return what became of them."""
        for _ in range(ROUNDS):
            states = [self.client.get_replication_rule(rule)["state"] for rule in rules]
            if "REPLICATING" not in states:
                break
            self.submit()
            self.wait()
            self.learn()
        return states

    def agree(self) -> None:
        """Catalogue and storages, listed both, say the same."""
        for site in self.sites:
            known = self._known(site)
            found = {path.rpartition("/")[2]: content for path, content in site.stored().items()}
            assert not [name for name in found if any(mark in name for mark in OURS)], "something is left half done"
            assert {name: f"{zlib.adler32(content):08x}" for name, content in found.items()} == known

    def _known(self, site: Site) -> dict[str, str]:
        dids = [{"scope": SCOPE, "name": did} for did in self.client.list_dids(SCOPE, {}, did_type="file")]
        replicas = self.client.list_replicas(dids, rse_expression=site.rse, all_states=True) if dids else ()
        return {row["name"]: row["adler32"] for row in replicas if row["states"].get(site.rse) == "AVAILABLE"}


@pytest.fixture
def orchestra(sandbox, client, mover) -> Orchestra:
    return Orchestra(sandbox, client, mover)


@pytest.fixture
def add_here(add_site, gateway, orchestra) -> Callable[[], Site]:
    """Make an RSE at the first site."""
    return lambda: _joined(orchestra, add_site, gateway)


@pytest.fixture
def add_there(add_site, other_gateway, orchestra) -> Callable[[], Site]:
    """Make an RSE at the second site."""
    return lambda: _joined(orchestra, add_site, other_gateway)


@pytest.fixture
def here(add_here) -> Site:
    return add_here()


@pytest.fixture
def there(add_there) -> Site:
    return add_there()


def _joined(orchestra: Orchestra, add_site: Callable[..., Site], gateway: Gateway) -> Site:
    site = add_site(at=gateway)
    site.add_protocol(gateway.davs(site.folder.name))
    return orchestra.add(site)
