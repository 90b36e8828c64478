"""`rucio-cs3 rse add`: what it does, on a real Rucio and storages of both lines."""

from __future__ import annotations

import io
import json
import zlib

import pytest

from rucio_cs3.gateway import Gateway, Tls
from tests.rucio.conftest import SCOPE
from tests.rucio.operate.conftest import LOGIN, found, in_rucio, states, told


def test_without_yes_nothing_changes(command, client, name, options, storage, folder):
    done = command("add", name, *options)
    assert done.returncode == 0, done.stderr
    assert "Nothing was written there." in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Nothing was changed. To do it: rucio-cs3 rse add")
    assert storage.login["password"] not in done.stdout + done.stderr
    said = told(command("add", name, *options, "--json"))
    assert set(states(said).values()) == {"new"}
    assert not said["applied"]
    assert name not in [each["rse"] for each in client.list_rses()]
    assert storage.names(folder) == []


def test_yes_does_it_and_the_plugin_works(
    process, client, sandbox, name, options, storage, folder, make_file, new_name
):
    login = {f"cs3:{name}": storage.login}
    said = told(process("add", name, *options, "--yes", "--json", config=login))
    assert said["applied"]
    assert {step["outcome"] for step in said["steps"]} == {"done"}
    assert found(said)["write, read and delete"]["works"]
    assert storage.names(folder) == []
    [entry] = client.get_protocols(name)
    assert {key: entry[key] for key in said["protocol"]} == said["protocol"]

    client.set_local_account_limit("root", name, -1)
    local = make_file(new_name, b"content")
    sandbox.rucio("upload", "--rse", name, "--scope", SCOPE, local, config=login)
    [replica] = client.list_replicas([{"scope": SCOPE, "name": new_name}])
    [pfn] = replica["rses"][name]
    with storage.client() as there:
        below = pfn.rpartition(said["protocol"]["prefix"])[2]
        assert there.files.stat(f"{folder}/{below}").size == 7


def test_what_is_only_read_takes_no_upload_and_gives_its_files(
    process, client, sandbox, name, options, storage, folder, make_file, new_name, tmp_path
):
    login = {f"cs3:{name}": storage.login}
    kind = ["--read-only", "--non-deterministic"]
    told(process("add", name, *options, *kind, "--yes", "--json", config=login))
    [entry] = client.get_protocols(name)
    assert {rank for ranks in entry["domains"].values() for rank in ranks.values()} == {None, 1}
    client.set_local_account_limit("root", name, -1)
    with storage.client() as there:
        there.upload(io.BytesIO(b"content"), f"{folder}/theirs")
    pfn = f"davs://{entry['hostname']}:{entry['port']}{entry['prefix']}theirs"
    row = {"scope": SCOPE, "name": new_name, "bytes": 7, "adler32": f"{zlib.adler32(b'content'):08x}", "pfn": pfn}
    client.add_replicas(name, [row])

    words = ["--scope", SCOPE, make_file("local", b"x"), "--lfn", f"{new_name}-mine", "--pfn", f"{pfn}-mine"]
    assert "not available for writing" in sandbox.rucio("upload", "--rse", name, *words, config=login).stdout
    assert storage.names(folder) == ["theirs"]
    words = ["--rses", name, "--dir", tmp_path / "down", "--no-subdir"]
    sandbox.rucio("download", f"{SCOPE}:{new_name}", *words, config=login)
    assert (tmp_path / "down" / new_name).read_bytes() == b"content"


def test_run_again_it_is_so_already(command, client, name, options, other):
    options = [*options, "--distance", f"{other}=2", "--fts", "https://mover.example.org:8446", "--yes", "--json"]
    first = told(command("add", name, *options))
    before = in_rucio(client, name, [other])
    second = told(command("add", name, *options))
    assert set(states(first).values()) == {"new"}
    assert set(states(second).values()) == {"so already"}
    assert not [step["commands"] for step in second["steps"] if step["commands"]]
    assert in_rucio(client, name, [other]) == before


KINDS = {
    "plain": [],
    "all": ["--fts", "https://fts.example.org:8446", "--attribute", "greedyDeletion=True", "--attribute", "site=here"],
    "read-only": ["--read-only", "--non-deterministic"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_commands_typed_by_hand_do_the_same(command, client, sandbox, name, options, other, kind):
    """All of `rucio …` that is shown, for another name, and the RSEs are alike."""
    options = [*options, *KINDS[kind], "--distance", f"{other}=3"]
    by_hand = f"{name}-HAND"
    said = told(command("add", by_hand, *options, "--json"))
    for words in (words for step in said["steps"] for words in step["commands"]):
        assert words[0] == "rucio"
        done = sandbox.rucio(*words[1:])
        assert done.returncode == 0, done.stdout
    told(command("add", name, *options, "--yes", "--json"))
    assert in_rucio(client, by_hand, [other]) == in_rucio(client, name, [other])
    again = told(command("add", by_hand, *options, "--json"))
    assert set(states(again).values()) == {"so already"}


def test_what_differs_is_changed_and_by_hand_too(command, client, sandbox, name, options, other, storage, folder):
    with storage.client() as there:
        there.files.mkdir(f"{folder}/below")
    by_hand = f"{name}-HAND"
    old = [*options, "--distance", f"{other}=3", "--attribute", "site=here", "--read-only"]
    new = [*options, "--distance", f"{other}=4", "--attribute", "site=there", "--prefix", "below"]
    told(command("add", name, *old, "--yes", "--json"))
    told(command("add", by_hand, *old, "--yes", "--json"))

    said = told(command("add", by_hand, *new, "--json"))
    changes = {change["name"]: (change["old"], change["new"]) for step in said["steps"] for change in step["changes"]}
    assert changes["site"] == ("here", "there")
    assert changes[f"{by_hand} -> {other}"] == changes[f"{other} -> {by_hand}"] == (3, 4)
    assert changes["availability_write"] == (False, True)
    assert [prefix.rstrip("/").rpartition("/")[2] for prefix in changes["prefix"]] == [
        folder.rpartition("/")[2],
        "below",
    ]
    for words in (words for step in said["steps"] for words in step["commands"]):
        assert sandbox.rucio(*words[1:]).returncode == 0

    shown = command("add", name, *new, "--yes").stdout
    assert "site: here -> there" in shown
    assert in_rucio(client, by_hand, [other]) == in_rucio(client, name, [other])


def availability(client, name):
    settings = client.get_rse(name)
    return [settings[f"availability_{what}"] for what in ("read", "write", "delete")]


def test_whether_it_is_only_read_can_be_changed_and_back(command, client, name, options):
    for words, is_open in (([], True), (["--read-only"], False), ([], True)):
        said = told(command("add", name, *options, *words, "--no-probe", "--yes", "--json"))
        assert availability(client, name) == [True, is_open, is_open]
        assert [change["new"] for step in said["steps"] for change in step["changes"] if "avail" in change["name"]] == (
            [is_open] * 2 if said["steps"][0]["state"] == "so already" else []
        )
        again = told(command("add", name, *options, *words, "--no-probe", "--json"))
        assert set(states(again).values()) == {"so already"}


def test_what_is_closed_is_opened_where_it_is_not_to_be_only_read(command, client, name, options):
    """Such as one of which only half was made, with --read-only. It is said before it is done."""
    client.add_rse(name)
    client.update_rse(name, {"availability_write": False, "availability_delete": False})
    shown = command("add", name, *options).stdout
    assert "availability_write: false -> true" in shown
    assert f"rucio rse update {name} --key availability_delete --value True" in shown
    assert availability(client, name) == [True, False, False]
    told(command("add", name, *options, "--yes", "--json"))
    assert availability(client, name) == [True, True, True]


def test_what_looks_like_nothing_is_a_difference_too(command, client, name, options):
    """0 is Rucio's first choice, and false is said of TLS."""
    old = told(command("add", name, *options, "--yes", "--json"))["protocol"]
    cs3 = {key: value for key, value in old["extended_attributes"]["cs3"].items() if key != "tls"}
    wrong = {"domains": {"wan": {"delete": 0}}, "extended_attributes": {"cs3": cs3}}
    client.update_protocols(name, "davs", wrong, hostname=old["hostname"], port=old["port"])
    said = told(command("add", name, *options, "--read-only", "--yes", "--json"))
    assert {change["name"] for step in said["steps"] for change in step["changes"]} >= set(wrong)
    [entry] = client.get_protocols(name)
    assert entry["domains"] == said["protocol"]["domains"]
    assert entry["domains"]["wan"]["delete"] is None
    assert entry["extended_attributes"] == old["extended_attributes"]


def test_a_step_that_fails_says_how_far_it_came(command, client, name, options):
    bad = ["--attribute", "a/b=c", "--attribute", "site=here"]
    done = command("add", name, *options, *bad, "--yes")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "set attribute a/b = c" in done.stderr
    assert "2 steps are done, 1 after it are not" in done.stderr
    said = json.loads(command("add", name, *options, *bad, "--yes", "--json").stdout)
    assert (said["applied"], said["outcome"], said["error"]) == (False, "failed", "invalid_request")
    assert [step["outcome"] for step in said["steps"]] == [None, None, "failed", "not done"]
    assert len(client.get_protocols(name)) == 1
    again = told(command("add", name, *options, "--attribute", "site=here", "--yes", "--json"))
    assert list(states(again).values()) == ["so already", "so already", "new"]


def test_an_entry_that_moved_is_replaced(command, client, name, options, storage, folder):
    told(command("add", name, *options, "--yes", "--json"))
    [entry] = client.get_protocols(name)
    moved = {**entry, "hostname": "old.example.org"}
    client.delete_protocols(name, "davs")
    client.add_protocol(name, {key: value for key, value in moved.items() if value is not None})
    said = told(command("add", name, *options, "--yes", "--json"))
    assert [step["what"].split(" davs")[0] for step in said["steps"]][1:] == ["add protocol", "take away protocol"]
    assert client.get_protocols(name) == [entry]


def test_another_protocol_goes_only_when_asked(command, client, name, options, tmp_path):
    client.add_rse(name)
    posix = {"scheme": "file", "hostname": "localhost", "port": 0, "prefix": f"{tmp_path}/"}
    client.add_protocol(name, {**posix, "impl": "rucio.rse.protocols.posix.Default"})
    done = command("add", name, *options, "--yes")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "file (rucio.rse.protocols.posix.Default)" in done.stderr
    assert "--replace" in done.stderr
    assert [entry["scheme"] for entry in client.get_protocols(name)] == ["file"]
    told(command("add", name, *options, "--replace", "--yes", "--json"))
    assert [entry["scheme"] for entry in client.get_protocols(name)] == ["davs"]


def test_spaces_are_offered_to_choose_from(command, name, storage):
    gateway = ["--gateway", storage.gateway.address, "--no-tls"]
    done = command("add", name, *gateway)
    assert done.returncode == 2
    if storage.space is None:
        assert f"give --path, a folder such as {storage.home}/rucio" in done.stderr
        return
    assert storage.space in done.stdout
    assert "--space ID --prefix FOLDER" in done.stderr
    said = json.loads(command("add", name, *gateway, "--json").stdout)
    assert (said["outcome"], said["error"]) == ("failed", "config")
    assert said["message"] in done.stderr
    [offered] = said["spaces"]
    assert offered == {"id": storage.space, "name": "Albert Einstein", "kind": "personal", "path": storage.home}


def test_in_a_space(command, client, name, storage, folder):
    if storage.space is None:
        pytest.skip("it has no spaces")
    below = folder.rpartition("/")[2]
    host = storage.gateway.webdav_url.partition("/remote.php")[0]
    words = ["--gateway", storage.gateway.address, "--no-tls", "--space", storage.space, "--prefix", below]
    said = told(command("add", name, *words, "--webdav", host, "--yes", "--json"))
    assert said["protocol"]["prefix"] == f"/dav/spaces/{storage.space}/{below}/"
    assert said["protocol"]["extended_attributes"]["cs3"]["space"] == storage.space
    assert found(said)["write, read and delete"]["works"]


def test_without_a_door(command, client, name, storage, folder):
    words = ["--gateway", storage.gateway.address, "--no-tls", "--path", folder]
    done = command("add", name, *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "--webdav URL" in done.stderr
    assert "rucio_cs3.policy" in done.stderr
    said = told(command("add", name, *words, "--policy-package", "--yes", "--json"))
    assert (said["protocol"]["scheme"], said["protocol"]["prefix"]) == ("cs3", f"{folder}/")
    assert client.get_protocols(name)[0]["prefix"] == f"{folder}/"


def test_with_tls(client, name, command, pki, tmp_path):
    login = {"gateway": None, **LOGIN}
    with Gateway(tmp_path, "reva-localhome", tls=Tls(pki / "site.pem", pki / "site.key")) as gateway:
        words = ["--gateway", gateway.address, "--path", "/home", "--webdav", gateway.data_url]
        login["gateway"] = gateway.address
        said = told(command("add", name, *words, "--ca", pki / "ca.pem", "--json", **login))
        assert said["protocol"]["extended_attributes"]["cs3"] == {
            "gateway": gateway.address,
            "webdav_root": "/remote.php/webdav",
            "cs3_root": "/home",
        }
        assert found(said)["TLS"]["facts"]["version"].startswith("TLSv1.")
        assert "ca = " in command("add", name, *words, "--ca", pki / "ca.pem", **login).stdout
        for ca, why in (([], "set ca = FILE"), (["--ca", pki / "other.pem"], "not signed by an authority known here")):
            done = command("add", name, *words, *ca, **login)
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
            assert why in done.stderr
