"""Programs of other people on the WebDAV door, as the distribution has them."""

from __future__ import annotations

import filecmp
import importlib
import io
import logging
import warnings
from urllib.parse import urlsplit

import pytest
import trustme

from demo import storage
from rucio_cs3.client import Cs3Client
from rucio_cs3.gateway import Gateway, Tls
from tests.conformance.programs import Programs, needed
from tests.conformance.wire import Wire

CONTENT = bytes(range(256)) * 1000
FILES = {"plain": b"content", "empty": b"", "large": CONTENT * 20, "a b#c?d%41+e": b"hard", "d/deep/ünï": b"deep"}
BEHAVIOURS = ["reva-local", "reva-localhome", "reva-ceph"]


@pytest.fixture
def door(serve):
    return serve("reva-localhome")


@pytest.fixture
def programs(door, tmp_path):
    gateway, wire = door
    return Programs(gateway.webdav_url, wire.token, tmp_path)


@pytest.fixture
def tree(tmp_path):
    for name, content in FILES.items():
        file = tmp_path / "tree" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return tmp_path / "tree"


@needed("rclone")
@pytest.mark.parametrize("behave", BEHAVIOURS)
def test_rclone_copies_a_tree_there_and_back(serve, tree, tmp_path, behave):
    gateway, wire = serve(behave)
    programs = Programs(gateway.webdav_url, wire.token, tmp_path)
    programs.rclone("copy", tree, "dav:there")
    listed = programs.rclone("lsf", "-R", "--files-only", "dav:there").stdout.splitlines()
    assert sorted(listed) == sorted(FILES)
    assert "0 differences" in programs.rclone("check", "--download", tree, "dav:there").stderr
    home = gateway.behaviour.mount.rstrip("/")
    assert {name: wire.content(f"{home}/there/{name}") for name in FILES} == FILES
    programs.rclone("copy", "dav:there", tmp_path / "back")
    assert filecmp.dircmp(tree, tmp_path / "back").diff_files == []
    assert (tmp_path / "back" / "d/deep/ünï").read_bytes() == b"deep"
    assert "0 differences" in programs.rclone("check", "--download", "dav:there", tmp_path / "back").stderr


@needed("rclone")
def test_rclone_sees_a_difference(programs, tree, door):
    programs.rclone("copy", tree, "dav:there")
    door[1].put("/home/there/plain", b"CONTENT")
    assert programs.rclone("check", "--download", tree, "dav:there", check=False).returncode == 1


@needed("rclone")
def test_rclone_moves_copies_and_deletes_on_the_server(programs, tree, door):
    gateway, wire = door
    programs.rclone("copy", tree, "dav:there")
    gateway.calls.clear()
    programs.rclone("copyto", "dav:there/plain", "dav:there/copy")
    programs.rclone("moveto", "dav:there/plain", "dav:there/moved")
    assert {call.method for call in gateway.calls} >= {"COPY", "MOVE"}
    assert not {call.method for call in gateway.calls} & {"GET", "PUT"}
    assert wire.content("/home/there/copy") == wire.content("/home/there/moved") == b"content"
    programs.rclone("purge", "dav:there")
    assert wire.names("/home") == []


@needed("curl")
def test_curl(programs, tree, tmp_path, door):
    for name in ("large", "empty"):
        programs.curl("-T", tree / name, f"{programs.url}/{name}")
        programs.curl("-o", tmp_path / "back", f"{programs.url}/{name}")
        assert (tmp_path / "back").read_bytes() == FILES[name] == door[1].content(f"/home/{name}")
    assert programs.curl(f"{programs.url}/missing", check=False).returncode == 22


@needed("curl")
def test_curl_cannot_go_on_with_a_download(programs, tree, tmp_path):
    """As on the real one, ranges are announced and never served."""
    programs.curl("-T", tree / "large", f"{programs.url}/f")
    (tmp_path / "part").write_bytes(FILES["large"][:1000])
    done = programs.curl("-C", "-", "-o", tmp_path / "part", f"{programs.url}/f", check=False)
    assert done.returncode != 0 or (tmp_path / "part").read_bytes() == FILES["large"][:1000]


@needed("davix-put")
def test_davix(programs, tree, tmp_path, door):
    door[1].mkdir("/home/d")
    programs.davix("put", tree / "large", f"{programs.url}/d/f")
    assert door[1].content("/home/d/f") == FILES["large"]
    programs.davix("get", f"{programs.url}/d/f", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == FILES["large"]
    programs.davix("rm", f"{programs.url}/d/f")
    assert door[1].names("/home/d") == []


@needed("davix-ls")
def test_davix_cannot_list_as_on_the_real_one(programs):
    """Its PROPFIND asks for <resourcetype><collection/></resourcetype>, and Reva takes empty elements only."""
    done = programs.davix("ls", programs.url, check=False)
    assert done.returncode != 0
    assert "HTTP 400" in done.stderr


@needed("gfal-copy")
def test_gfal(programs, tree, tmp_path, door):
    url = f"{programs.url}/d/f"
    programs.gfal("mkdir", f"{programs.url}/d")
    programs.gfal("copy", f"file://{tree}/large", url)
    assert "Size: 5120000" in programs.gfal("stat", url).stdout
    programs.gfal("rename", url, f"{url}-moved")
    programs.gfal("copy", f"{url}-moved", f"file://{tmp_path}/back")
    assert (tmp_path / "back").read_bytes() == FILES["large"] == door[1].content("/home/d/f-moved")
    programs.gfal("rm", f"{url}-moved")
    assert door[1].names("/home/d") == []


@needed("gfal-ls")
def test_gfal_cannot_list_nor_sum_as_on_the_real_one(programs, door):
    door[1].put("/home/f", b"content")
    assert "HTTP 400" in programs.gfal("ls", programs.url, check=False).stderr
    assert "not supported" in programs.gfal("sum", f"{programs.url}/f", "ADLER32", check=False).stderr


@pytest.fixture
def rucios_webdav(tmp_path, monkeypatch):
    """Rucio's own plugin for WebDAV, at a door with TLS: over plain HTTP it gets its own addresses wrong."""
    config = pytest.importorskip("rucio.common.config", reason="pip install rucio-cs3[rucio]")
    plugin = importlib.import_module("rucio.rse.protocols.webdav")
    (tmp_path / "rucio.cfg").write_text("[client]\nrucio_host = http://localhost\n")
    monkeypatch.setenv("RUCIO_CONFIG", str(tmp_path / "rucio.cfg"))
    config.clean_cached_config()
    ca, served = trustme.CA(), tmp_path / "served"
    served.mkdir()
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "site.pem"))
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with Gateway(served, tls=Tls(tmp_path / "site.pem", tmp_path / "site.pem")) as gateway, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it verifies nothing
        wire = Wire(gateway.address, ca=str(tmp_path / "ca.pem")).login()
        address = urlsplit(gateway.webdav_url)
        entry = {
            "scheme": "https",
            "hostname": address.hostname,
            "port": address.port,
            "prefix": f"{address.path}/",
            "extended_attributes": None,
            "auth_token": wire.token,
            "domains": {},
            "impl": "webdav.Default",
        }
        rse = {"rse": "DOOR", "id": "1", "deterministic": True, "sign_url": None, "protocols": [entry]}
        made = plugin.Default(entry, rse, logger=logging.log)
        made.connect()
        yield made, gateway.webdav_url, wire
        made.close()
        wire.close()
    config.clean_cached_config()


def test_rucios_own_webdav_plugin(rucios_webdav, tree, tmp_path):
    plugin, url, wire = rucios_webdav
    plugin.put("large", f"{url}/a/b/f", source_dir=str(tree))
    assert wire.content("/a/b/f") == FILES["large"]
    assert plugin.exists(f"{url}/a/b/f")
    assert not plugin.exists(f"{url}/a/b/missing")
    assert plugin.stat(f"{url}/a/b/f")["filesize"] == len(FILES["large"])
    plugin.rename(f"{url}/a/b/f", f"{url}/a/b/g")
    plugin.get(f"{url}/a/b/g", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == FILES["large"]
    plugin.delete(f"{url}/a/b/g")
    assert wire.names("/a/b") == []


# The addresses that Rucio hands out


@needed("curl")
@pytest.mark.parametrize("options", [(), ("--behave", "reva-localhome")], ids=["reva-local", "reva-localhome"])
def test_a_pfn_of_the_demo_is_opened_by_curl(tmp_path, options):
    """What our client puts where the RSE says, anybody fetches from the address that Rucio would tell."""
    with storage.Gateway(tmp_path / "demo", *options) as gateway:
        entry = gateway.davs("rucio")
        place = entry.extended_attributes["cs3"]
        login = {"gateway": place["gateway"], "tls": False, "username": "einstein", "password": "relativity"}
        below = entry.prefix[len(place["webdav_root"]) :]
        with Cs3Client(**login) as client:
            client.upload(io.BytesIO(CONTENT), f"{place['cs3_root']}{below}data file#1")
        wire = Wire(place["gateway"]).login()
        programs = Programs("", wire.token, tmp_path)
        wire.close()
        url = f"http://{entry.hostname}:{entry.port}{entry.prefix}data%20file%231"
        programs.curl("-o", tmp_path / "back", url)
    assert (tmp_path / "back").read_bytes() == CONTENT
