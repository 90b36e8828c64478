"""With OIDC tokens, as for FTS: Rucio asks for one for each site, and nothing else lets the mover in there."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from demo.mover import Mover
from demo.storage import Protocol
from rucio_cs3 import Cs3Client
from rucio_cs3.errors import Cs3Error
from rucio_cs3.gateway import BEHAVIOURS, DEMO_USERS, Gateway
from tests.conformance import daemons, storages
from tests.idp.idp import RUCIO
from tests.rucio.conftest import Site
from tests.rucio.guarded import FOLDER, SERVICE, Guarded, know, unique
from tests.rucio.two_sites.conftest import Orchestra

pytestmark = pytest.mark.timeout(300)  # several of Rucio's daemons
CONTENT = os.urandom((3 << 20) + 17)  # more than what is not worth a third-party copy
HOSTS = ("127.0.0.1", "127.0.0.2")  # Rucio makes the audiences of them
OIDC = {"oidc_support": "True", "oidc_base_path": "/remote.php/webdav"}


@pytest.fixture(scope="module")
def sites(idp, pki, tmp_path_factory):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Guarded(tmp_path_factory.mktemp("site"), host, idp, pki)) for host in HOSTS]


@pytest.fixture(scope="module")
def tokens_mover(sites, tmp_path_factory):
    """Without a login of its own at any site."""
    tables = {f"SITE{number}": site.table() for number, site in enumerate(sites)}
    with Mover(tmp_path_factory.mktemp("mover"), tables) as mover:
        yield mover


@pytest.fixture(scope="module")
def orchestra(sandbox, client, sites, tokens_mover, idp, idpsecrets):
    know(idp, idpsecrets)
    orchestra = Orchestra(sandbox, client, tokens_mover)
    for site in sites:
        rse = orchestra.add(site.rse(unique("TOKENS"), sandbox, client))
        for key, value in OIDC.items():
            client.add_rse_attribute(rse.rse, key, value)
    return orchestra


def test_each_token_is_shown_to_its_site(sites, orchestra, new_name):
    here, there = orchestra.sites
    here.register(new_name, CONTENT)
    assert orchestra.settle(orchestra.rule(new_name, there)) == ["OK"]
    assert there.path(new_name).read_bytes() == CONTENT
    reads, writes = "offline_access storage.read:/rucio/", "offline_access storage.modify:/rucio/ storage.read:/rucio/"
    assert [site.tokens.shown() for site in sites] == [{(RUCIO.id, HOSTS[0], reads)}, {(RUCIO.id, HOSTS[1], writes)}]
    assert "COPY" in {call.method for call in sites[1].gateway.calls}, "the doors were not asked to do it themselves"
    orchestra.agree()


def test_a_site_that_wants_another_audience(sites, orchestra, new_name, monkeypatch):
    here, there = orchestra.sites
    here.register(new_name, CONTENT)
    monkeypatch.setattr(sites[1].tokens, "audience", "elsewhere.example.org")
    before = there.stored()
    orchestra.rule(new_name, there)
    orchestra.play("submitter")
    orchestra.mover.wait()
    assert "DESTINATION [13] Permission denied" in orchestra.mover.ask("/status.json")["failures"][0]["reason"]
    assert there.stored() == before


def test_a_token_that_is_over_by_then(sites, orchestra, idp, new_name):
    here, there = orchestra.sites
    here.register(new_name, CONTENT)
    rule = orchestra.rule(new_name, there)
    with idp.short_lived(-1):
        orchestra.play("submitter")
    orchestra.mover.wait()
    assert "[13] Permission denied" in orchestra.mover.ask("/status.json")["failures"][0]["reason"]
    orchestra.play("poller", "finisher")
    assert orchestra.settle(rule) == ["OK"]
    assert there.path(new_name).read_bytes() == CONTENT


needed = pytest.mark.skipif(
    "first" not in storages.programs(os.environ.get(storages.REVA, "")),
    reason=f"no daemon of the first line: set {storages.REVA}",
)


class Real:
    """A Reva of the first line, and an RSE there."""

    def __init__(self, address, dav, sandbox, client):
        self.files = Cs3Client(gateway=address, tls=False, username="einstein", password="relativity")
        self.files.files.mkdir(f"/{FOLDER}")
        door = urlsplit(f"{dav}/{FOLDER}/")
        self.rse = Site(unique("REAL"), None, sandbox, client)
        client.add_rse(self.rse.rse)
        client.set_local_account_limit("root", self.rse.rse, -1)
        place = {"gateway": address, "tls": False, "webdav_root": urlsplit(dav).path}
        entry = Protocol("davs", door.hostname, door.port, door.path, extended_attributes={"cs3": place})
        self.rse.add_protocol(entry)
        doors = [f"davs://{door.netloc}{door.path}"]
        self.table = {"gateway": address, "tls": False, "doors": doors, "cs3_root": f"/{FOLDER}"}


@pytest.fixture
def real_sites(idp, tmp_path, sandbox, client):
    program = storages.programs(os.environ[storages.REVA])["first"]
    with contextlib.ExitStack() as stack:

        def start(host):
            folder = tmp_path / f"revad-{host}"
            folder.mkdir()
            running = daemons.running(program, BEHAVIOURS["reva-local"], folder, idp.url, host, copies=True)
            real = Real(*stack.enter_context(running), sandbox, client)
            stack.callback(real.files.close)
            return real

        yield [start(host) for host in HOSTS]


@needed
def test_on_a_real_reva(real_sites, sandbox, client, idp, idpsecrets, tmp_path, new_name):
    """Streamed, for its door here is one without TLS, and so none for tokens."""
    know(idp, idpsecrets)
    here, there = real_sites
    below = "/".join(Site("", Path("/"), sandbox, client).path(new_name).parts[1:])
    here.files.upload(io.BytesIO(CONTENT), f"/{FOLDER}/{below}")
    with Mover(tmp_path, {site.rse.rse: site.table for site in real_sites}) as mover:
        orchestra = Orchestra(sandbox, client, mover)
        for site in real_sites:
            orchestra.add(site.rse)
            for key, value in OIDC.items():
                client.add_rse_attribute(site.rse.rse, key, value)
        here.rse.announce(new_name, CONTENT)
        assert orchestra.settle(orchestra.rule(new_name, there.rse)) == ["OK"], mover.ask("/status.json")["failures"]
    with there.files.open_read(f"/{FOLDER}/{below}") as file:
        assert file.read() == CONTENT


@pytest.fixture(params=["embedded", "real"])
def site_of(request, idp, tmp_path):
    """A site of a behaviour, which trusts the provider, and who has this token there."""
    with contextlib.ExitStack() as stack:

        def start(behaviour, line, token):
            program = storages.programs(os.environ.get(storages.REVA, "")).get(line)
            if request.param == "embedded":
                users = [*DEMO_USERS, SERVICE]
                address = stack.enter_context(Gateway(tmp_path, behaviour, users=users, oidc_issuer=idp.url)).address
            elif program:
                running = daemons.running(program, BEHAVIOURS[behaviour], tmp_path, idp.url)
                address, _ = stack.enter_context(running)
            else:
                pytest.skip(f"no daemon of the {line} line: set {storages.REVA}")
            return stack.enter_context(Cs3Client(gateway=address, tls=False, auth="bearer", bearer_token=token))

        yield start


@pytest.fixture
def for_reading_elsewhere(idp):
    asked = {"scope": "storage.read:/rucio/", "audience": "elsewhere.example.org"}
    return idp.token(RUCIO, "client_credentials", **asked)["access_token"]


def test_reva_looks_at_neither_audience_nor_scope(site_of, for_reading_elsewhere):
    """!! Whoever has such a token may do what its user may, everywhere."""
    site_of("reva-local", "first", for_reading_elsewhere).files.mkdir("/not-for-rucio")


def test_the_second_line_knows_people_only(site_of, for_reading_elsewhere):
    """It asks the provider whose token it is; of a service the provider has nothing to tell."""
    with pytest.raises(Cs3Error, match="could not check the bearer login"):
        site_of("opencloud", "second", for_reading_elsewhere).whoami()
