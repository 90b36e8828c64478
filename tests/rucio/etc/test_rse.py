"""etc/rse: each template makes an RSE in a real Rucio, and files move through it."""

from __future__ import annotations

import io
import zlib
from urllib.parse import urlsplit

import pytest
import requests

from demo.mover import Mover
from demo.storage import LOGIN
from tests.conformance import storages
from tests.conformance.conftest import issuer  # noqa: F401 - a fixture
from tests.rucio.conftest import SCOPE, numbers
from tests.rucio.etc.described import ETC, make, template
from tests.rucio.two_sites.conftest import Orchestra

pytestmark = pytest.mark.timeout(300)  # several rounds of Rucio's daemons
CONTENT = bytes(range(256)) * 1000
MOVER = "http://127.0.0.1:1"
FITTING = {
    "reva": "reva-localhome",
    "cernbox-project": "reva-local",
    "opencloud-space": "opencloud",
    "import": "reva-localhome",
}
CASES = [(name, f"{real}{of}") for name, of in FITTING.items() for real in ("", "real-")]
CASES = [case for case in CASES if case[1] in storages.names()]
WRITABLE = [case for case in CASES if case[0] != "import"]


@pytest.fixture(scope="module")
def fleet(issuer):  # noqa: F811
    with storages.Fleet(issuer) as fleet:
        yield fleet


class Made:
    """An RSE of a template at a storage, on a folder of its own."""

    def __init__(self, name, storage, sandbox, client, tmp_path):
        number = next(numbers)
        self.rse = f"ETC-{number}"
        self.storage, self.sandbox, self.client = storage, sandbox, client
        folder = f"etc-{number}"
        self.folder = f"{storage.home}/{folder}".replace("//", "/")
        door = urlsplit(storage.dav)
        values = {"hostname": door.hostname, "port": door.port, "gateway": storage.address, "mover": MOVER}
        with storage.client() as site:
            site.files.mkdir(self.folder)
            home = site.files.stat(storage.home).id
        values |= {"folder": folder, "path": self.folder, "space": f"{home.storage_id}${home.space_id}"}
        file = tmp_path / f"{self.rse}.toml"
        file.write_text(template(name, values), encoding="utf-8")
        self.template = make(sandbox, self.rse, file)
        client.add_rse_attribute(self.rse, "greedyDeletion", True)
        client.set_local_account_limit("root", self.rse, -1)

    @property
    def config(self):
        """What users and daemons set here; these storages speak no TLS."""
        login = {"username": self.storage.user, "password": self.storage.password, "tls": False}
        return {"cs3": dict.fromkeys([*LOGIN, "gateway"]), f"cs3:{self.rse}": login}

    @property
    def table(self):
        """In mover.toml, of the RSE's folder."""
        entry = self.template["protocol"]
        door = f"davs://{entry['hostname']}:{entry['port']}{entry['prefix']}".rstrip("/")
        login = {"username": self.storage.user, "password": self.storage.password}
        return {"gateway": self.storage.address, "tls": False, "doors": [door], "cs3_root": self.folder, **login}

    def pfn(self, name):
        [replica] = self.client.list_replicas([{"scope": SCOPE, "name": name}], rse_expression=self.rse)
        [pfn] = replica["pfns"]
        return pfn

    def rucio(self, *arguments):
        return self.sandbox.rucio(*arguments, config=self.config).stdout

    def download(self, name, folder):
        said = self.rucio("download", f"{SCOPE}:{name}", "--rses", self.rse, "--dir", folder, "--no-subdir")
        assert (folder / name).exists(), said
        return (folder / name).read_bytes()

    def stored(self, below):
        with self.storage.client() as site, site.open_read(f"{self.folder}/{below}") as file:
            return file.read()

    def reap(self):
        return self.sandbox.daemon("reaper", "--rses", self.rse, "--delay-seconds", "0", config=self.config)


@pytest.fixture
def add(fleet, sandbox, client, tmp_path):
    return lambda name, storage: Made(name, fleet.get(storage), sandbox, client, tmp_path)


def test_all_templates_are_here():
    assert {path.stem for path in (ETC / "rse").iterdir()} == set(FITTING)


def by_the_door(pfn, user, password):
    """Who knows nothing of Rucio opens a PFN as what it is."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(pfn.replace("davs://", "http://"), auth=(user, password), timeout=60)
    return answer.content


@pytest.mark.parametrize(("name", "storage"), WRITABLE)
def test_files_go_there_and_come_back(add, name, storage, make_file, new_name, tmp_path):
    made = add(name, storage)
    local = make_file("local", CONTENT)
    said = made.rucio("upload", "--rse", made.rse, "--scope", SCOPE, local, "--lfn", new_name)
    below = made.pfn(new_name).partition(made.template["protocol"]["prefix"])[2]
    assert made.stored(below) == CONTENT, said
    assert by_the_door(made.pfn(new_name), made.storage.user, made.storage.password) == CONTENT
    assert made.download(new_name, tmp_path / "down") == CONTENT
    for rule in made.client.list_did_rules(SCOPE, new_name):
        made.client.update_replication_rule(rule["id"], {"lifetime": 0})
    made.sandbox.daemon("judge-cleaner")
    made.reap()
    with pytest.raises(FileNotFoundError):
        made.stored(below)


def imported(made, name, content):
    """Somebody has put a file there, and Rucio is told."""
    with made.storage.client() as site:
        site.files.mkdir(f"{made.folder}/run 1")
        site.upload(io.BytesIO(content), f"{made.folder}/run 1/{name}")
    entry = made.template["protocol"]
    pfn = f"davs://{entry['hostname']}:{entry['port']}{entry['prefix']}run%201/{name}"
    row = {"scope": SCOPE, "name": name, "bytes": len(content), "adler32": f"{zlib.adler32(content):08x}", "pfn": pfn}
    made.client.add_replicas(made.rse, [row])
    return pfn


@pytest.mark.parametrize(("name", "storage"), [case for case in CASES if case[0] == "import"])
def test_what_others_have_put_there_is_read_and_never_changed(add, name, storage, make_file, new_name, tmp_path):
    made = add(name, storage)
    pfn = imported(made, new_name, CONTENT)
    assert made.pfn(new_name) == pfn
    assert made.download(new_name, tmp_path / "down") == CONTENT
    other = f"{new_name}-other"
    made.rucio(
        "upload", "--rse", made.rse, "--scope", SCOPE, make_file("local", b"x"), "--lfn", other, "--pfn", f"{pfn}x"
    )
    with made.storage.client() as site:
        assert [entry.name for entry in site.files.list(f"{made.folder}/run 1")] == [new_name]
    made.client.set_tombstone([{"rse": made.rse, "scope": SCOPE, "name": new_name}])
    made.reap()
    assert made.stored(f"run 1/{new_name}") == CONTENT


def test_a_rule_copies_from_where_files_were_imported_to_a_space(add, sandbox, client, new_name, tmp_path):
    source, target = add("import", "reva-localhome"), add("opencloud-space", "opencloud")
    imported(source, new_name, CONTENT)
    with Mover(tmp_path, {made.rse: made.table for made in (source, target)}) as mover:
        orchestra = Orchestra(sandbox, client, mover)
        for made in (source, target):
            client.delete_rse_attribute(made.rse, "fts")
            client.add_rse_attribute(made.rse, "fts", mover.url)
        orchestra.link(source, target)
        assert orchestra.settle(orchestra.rule(new_name, target)) == ["OK"]
    assert target.stored(target.pfn(new_name).partition(target.template["protocol"]["prefix"])[2]) == CONTENT
