"""`rucio-cs3 rse add`, `show`, `settings` and `rotate`, on a real Rucio and storages of both lines."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from demo.process import BIN
from rucio_cs3.client import Cs3Client
from rucio_cs3.gateway import DEMO_USERS, Fault, Gateway, Tls
from tests.rucio.conftest import SCOPE
from tests.unit.cli.command import called

numbers = itertools.count(1)
EINSTEIN = DEMO_USERS[0]
BEHAVIOURS = ("reva-localhome", "opencloud")
LOGIN = {"username": EINSTEIN.username, "password": EINSTEIN.password}


@dataclass
class Storage:
    """A gateway, and a folder of a user's there."""

    gateway: Gateway
    home: str
    space: str | None
    login: dict[str, str] = field(default_factory=lambda: dict(LOGIN))

    def client(self, **settings):
        return Cs3Client(gateway=self.gateway.address, tls=False, **{**self.login, **settings})

    def names(self, path):
        with self.client() as client:
            return sorted(entry.name for entry in client.files.list(path))


@pytest.fixture(scope="module", params=BEHAVIOURS)
def storage(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    quota = None if request.param == "opencloud" else 10**9
    with Gateway(root, request.param, tpc="as-seen", quota=quota, machine_secret="old-secret") as gateway:
        with Cs3Client(gateway=gateway.address, tls=False, **LOGIN) as client:
            home = client.files.home()
            spaces = client.spaces.list() if gateway.behaviour.has_spaces else []
        yield Storage(gateway, home, spaces[0].id.space if spaces else None)


@pytest.fixture
def folder(storage):
    """A new one, which an operator has made to be an RSE."""
    path = f"{storage.home}/rse-{next(numbers)}"
    with storage.client() as client:
        client.files.mkdir(path)
    return path


@pytest.fixture
def name():
    return f"NEW-{next(numbers)}"


class Done(NamedTuple):
    """As subprocess has it."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(client, storage, monkeypatch, capfd):
    """Run `rucio-cs3 rse` in this process, which the sandbox's client has made a user's; the login is in variables."""

    def call(*arguments, stdin=b"", **settings):
        login = {"gateway": storage.gateway.address, **storage.login, **settings}
        with monkeypatch.context() as patch:
            for key, value in login.items():
                if value is not None:
                    patch.setenv(f"RUCIO_CS3_{key.upper()}", str(value))
            return Done(*called(patch, capfd, "rse", *arguments, stdin=stdin))

    return call


@pytest.fixture
def process(sandbox):
    """The same in a process of its own, with these sections in rucio.cfg."""

    def call(*arguments, config):
        environ = sandbox.user.with_config(config).environ
        pipes = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
        argv = [str(word) for word in (BIN / "rucio-cs3", "rse", *arguments)]
        return subprocess.run(argv, env=environ, timeout=120, check=False, **pipes)

    return call


@pytest.fixture
def options(storage, folder):
    """What an operator types for the folder."""
    gateway = ["--gateway", storage.gateway.address, "--no-tls"]
    return [*gateway, "--path", folder, "--webdav", storage.gateway.webdav_url]


def told(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def found(said):
    return {each["what"]: each for each in said["found"]}


def states(said):
    return {step["what"].split(" = ")[0]: step["state"] for step in said["steps"]}


def in_rucio(client, name, others=()):
    """All that Rucio knows of an RSE, but for what is its own."""
    settings = {key: value for key, value in client.get_rse(name).items() if key not in {"id", "rse"}}
    attributes = {key: value for key, value in client.list_rse_attributes(name).items() if key != name}
    ways = [way for other in others for way in ((name, other), (other, name))]
    return settings, attributes, [client.get_distance(*way)[0]["distance"] for way in ways]


@pytest.fixture
def rse(command, name, options):
    """One that has been made."""
    told(command("add", name, *options, "--no-probe", "--yes", "--json"))
    return name


@pytest.fixture
def other(client):
    """Another RSE, to have a distance to."""
    name = f"OTHER-{next(numbers)}"
    client.add_rse(name)
    return name


# add


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
    [offered] = json.loads(command("add", name, *gateway, "--json").stdout)["spaces"]
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


def changed(options, **others):
    """The same with other values."""
    words = list(options)
    for option, value in others.items():
        words[words.index(f"--{option}") + 1] = value
    return words


def test_what_cannot_be_is_refused_in_one_line(command, client, name, options, storage, folder):
    parent, _, own = folder.rpartition("/")
    refusals = [
        (changed(options, gateway="127.0.0.1:1"), {"gateway": "127.0.0.1:1"}, "nothing listens there"),
        (changed(options, gateway="nowhere"), {}, "is not host:port"),
        ([word for word in options if word != "--no-tls"], {}, "does not speak TLS"),
        (options, {"password": "wrong"}, "refused the basic login of einstein"),
        (options, {"password": None}, "no credentials are set"),
        (changed(options, path=f"{folder}/missing"), {}, f"{folder} is there"),
        (changed(options, path=f"{parent}/{own}x/y"), {}, own),
        (changed(options, path="relative"), {}, "begin it with a slash"),
        (changed(options, webdav=f"{storage.gateway.webdav_url}/nowhere"), {}, "does not show"),
        (changed(options, webdav="ftp://here/x"), {}, "not the address of a WebDAV door"),
        (changed(options, webdav="http://cloud.example.org/webdav"), {}, "in the clear"),
        ([*options, "--distance", "NOWHERE=1"], {}, "no RSE NOWHERE"),
        ([*options, "--space", "a$b"], {}, "keep one of them"),
    ]
    for words, login, why in refusals:
        done = command("add", name, *words, "--yes", **login)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
        assert why in done.stderr, done.stderr
    assert name not in [each["rse"] for each in client.list_rses()]


def test_another_folder_at_the_door_is_refused(command, name, options, storage, folder):
    with storage.client() as there:
        there.files.mkdir(f"{folder}/a")
        there.files.mkdir(f"{folder}/b")
    own = folder.rpartition("/")[2]
    words = changed(options, path=f"{folder}/a", webdav=f"{storage.gateway.webdav_url}/{own}/b")
    done = command("add", name, *words, "--yes")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "is another folder" in done.stderr


def test_a_storage_that_takes_no_files_is_not_announced(command, client, name, options, storage):
    storage.gateway.faults.add(Fault(on="grpc:InitiateFileUpload", kind="full"))
    try:
        done = command("add", name, *options, "--yes")
    finally:
        storage.gateway.faults.clear()
    assert done.returncode == 1
    assert "write, read and delete" in done.stderr
    assert "--read-only" in done.stderr
    assert name not in [each["rse"] for each in client.list_rses()]


def test_who_is_no_admin_is_told(process, client, sandbox, name, options, storage):
    account = f"user{next(numbers)}"
    client.add_account(account, "USER", f"{account}@example.org")
    client.add_identity(account, account, "USERPASS", f"{account}@example.org", password="secret-of-theirs")
    token = sandbox.folder / f"token-{account}"
    login = {"account": account, "username": account, "password": "secret-of-theirs", "auth_token_file_path": token}
    config = {"client": login, f"cs3:{name}": storage.login}
    done = process("add", name, *options, "--yes", config=config)
    assert done.returncode == 1
    assert "Rucio refuses to make deterministic RSE" in done.stderr
    assert "let an admin run the commands shown" in done.stderr
    shown = process("add", name, *options, config=config)
    assert f"Rucio account {account} does not look like an admin's" in shown.stdout


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


TAKES_AN_RSE = [
    *("rse add", "rse check", "rse check --with", "rse rotate", "rse settings", "rse show"),
    *("token show", "token explain", "token app-password list --rse", "credentials", "dump", "ls --rse"),
]


@pytest.mark.parametrize("words", TAKES_AN_RSE)
def test_names_are_completed(words, client, rse, monkeypatch, capfd):
    """As bash asks, with the beginning of one typed."""

    def completed(begun):
        monkeypatch.setenv("_RUCIO_CS3_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", f"rucio-cs3 {words} {begun}")
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) + 1))
        return called(monkeypatch, capfd)[1].split()

    assert f"plain,{rse}" in completed(rse[:4])
    assert completed("no-such") == []


# show


def test_show_tells_both_sides_and_where_settings_stand(command, client, rse, storage):
    client.set_rse_limits(rse, "MinFreeSpace", 1000)
    said = json.loads(command("show", rse, "--json").stdout)
    assert said["rucio"]["limits"] == {"MinFreeSpace": 1000}
    assert (said["site"]["username"], said["site"]["login"]) == ("einstein", "basic")
    assert found(said["site"])["WebDAV door"]["works"]
    stands = {each["name"]: (each["value"], each["origin"]) for each in said["site"]["settings"]}
    assert stands["gateway"] == (storage.gateway.address, "extended_attributes of the RSE")
    assert stands["password"] == (None, "RUCIO_CS3_PASSWORD")
    shown = command("show", rse)
    assert shown.returncode == 0
    for words in ("In Rucio", "limit MinFreeSpace", '"webdav_root": ', "RUCIO_CS3_PASSWORD", "not shown"):
        assert words in shown.stdout
    assert storage.login["password"] not in shown.stdout + json.dumps(said)


def test_show_tells_what_stands_in_rucio_when_the_site_does_not_answer(command, client, rse):
    done = command("show", rse, password="wrong")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "In Rucio" in done.stdout
    assert "refused the basic login" in done.stderr
    said = command("show", rse, "--json", password="wrong")
    assert (said.returncode, said.stderr) == (1, "")
    assert json.loads(said.stdout)["site"]["failure"]["error"] == "not_authenticated"


def test_show_of_what_is_none_of_ours(command, client, other):
    for name, why in (("NOWHERE", "no RSE NOWHERE"), (other, "has no protocol with impl")):
        done = command("show", name)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert why in done.stderr
        said = command("show", name, "--json")
        assert (said.returncode, said.stderr) == (1, "")
        assert why in json.loads(said.stdout)["message"]


# for programs

OPERATORS = (Path(__file__).parents[2] / "docs" / "operators.md").read_text(encoding="utf-8")


def documented(command):
    """The keys that the page tells of."""
    [row] = re.findall(rf"^\| `rse {command}` \| (.*) \|$", OPERATORS, re.MULTILINE)
    return set(re.findall(r"`(\w+)`", row))


def test_what_is_said_in_json_is_documented(command, rse, options):
    said = {
        "add": [told(command("add", rse, *options, "--json"))],
        "show": [shown := json.loads(command("show", rse, "--json").stdout), shown["site"]],
        "check": [checked := json.loads(command("check", rse, "--json").stdout), *checked["checks"]],
        "settings": [json.loads(command("settings", rse, "--json").stdout)],
    }
    for name, objects in said.items():
        assert {key for each in objects for key in each} <= documented(name), name


# settings


def storage_usage(client, name):
    return [(each["used"], each["free"]) for each in client.get_rse_usage(name) if each["source"] == "storage"]


def test_free_space_is_what_the_reaper_reads(command, client, rse, storage, folder):
    with storage.client() as there:
        quota = there.files.quota(folder)
    if not quota.total:
        pytest.skip("it sets no quota")
    done = command("settings", rse, "--min-free", "1M")
    assert done.returncode == 0, done.stderr
    assert storage_usage(client, rse) == [(quota.used, quota.available)]
    assert client.get_rse_limits(rse)["MinFreeSpace"] == 1 << 20
    assert rse in done.stdout
    again = json.loads(command("settings", rse, "--json").stdout)
    assert (again["free"], again["total"], again["min_free"]) == (quota.available, quota.total, 1 << 20)
    assert again["notes"] == []


def test_who_sets_no_limit_is_told_that_the_reaper_makes_no_room(command, rse, storage):
    done = command("settings", rse)
    assert ("without a limit MinFreeSpace" in done.stderr) == (storage.space is None)


def test_one_that_fails_does_not_stop_the_others(command, client, rse, other, storage):
    done = command("settings", other, rse, "NOWHERE", "--json")
    assert done.returncode == 1
    said = {each["name"]: each["outcome"] for each in map(json.loads, done.stdout.splitlines())}
    assert said == {other: "failed", rse: "skipped" if storage.space else "done", "NOWHERE": "failed"}
    assert bool(storage_usage(client, rse)) == (storage.space is None)


def test_all_are_those_with_our_protocol(command, client, rse, other):
    done = command("settings", "--all", "--json")
    outcomes = {each["name"]: each["outcome"] for each in map(json.loads, done.stdout.splitlines())}
    assert outcomes[rse] in {"done", "skipped"}
    assert other not in outcomes


def test_without_a_quota_that_is_said_and_nothing_is_set(command, client, rse, storage):
    if storage.space is None:
        pytest.skip("it sets one")
    client.set_rse_usage(rse, "storage", 1, 2)
    done = command("settings", rse)
    assert done.returncode == 0
    assert "nothing is set" in done.stdout
    assert "sets no quota" in done.stderr
    assert "Rucio still has what it was told" in done.stderr
    assert storage_usage(client, rse) == [(1, 2)]


# rotate


@pytest.fixture
def secret_file(tmp_path):
    def write(content):
        file = tmp_path / "secret"
        file.touch(0o600)
        file.write_text(content)
        return file

    return write


def app_login(file):
    return {"password": None, "username": "einstein", "app_password_file": file}


def test_an_application_password_is_exchanged_without_a_gap(process, rse, storage, folder, secret_file):
    """The section holds the daemon's, the environment the operator's login."""
    if not storage.gateway.behaviour.has_app_passwords:
        pytest.skip("it has none")
    with storage.client() as there:
        old = there.apps.create("reaper", paths=[folder])
        file = secret_file(old.password)
        daemon = {f"cs3:{rse}": {"username": "einstein", "app_password_file": file}}
        operator = {"cs3": {"gateway": storage.gateway.address, **storage.login}, **daemon}

        planned = process("rotate", rse, config=operator)
        assert planned.returncode == 0, planned.stderr
        assert f"reaper ({old.handle}), which opens {folder}" in planned.stdout
        assert file.read_text() == old.password

        limited = process("rotate", rse, "--yes", config={"cs3": dict.fromkeys(LOGIN), **daemon})
        assert limited.returncode == 1
        assert "log in as einstein" in limited.stderr
        assert file.read_text() == old.password

        done = process("rotate", rse, "--yes", config=operator)
        assert done.returncode == 0, done.stderr
        new = file.read_text().strip()
        [left] = there.apps.list()
        assert (left.label, left.paths) == ("reaper", (folder,))
        assert there.apps.find(new).handle == left.handle != old.handle
        assert file.stat().st_mode & 0o777 == 0o600
        assert [each.name for each in file.parent.iterdir()] == [file.name]
        assert new not in done.stdout + done.stderr
    with storage.client(password=None, app_password=new) as daemon_there:
        assert daemon_there.files.stat(folder).is_directory


def test_a_machine_secret_is_exchanged_when_it_works(command, rse, storage, secret_file, tmp_path):
    file, new = secret_file("wrong-by-now"), tmp_path / "new"
    new.touch(0o600)
    login = {"password": None, "machine_secret_file": file}

    new.write_text("no-good")
    refused = command("rotate", rse, "--new", new, "--yes", **login)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert "refused the machine login of einstein" in refused.stderr
    assert file.read_text() == "wrong-by-now"

    planned = command("rotate", rse, "--new", "-", stdin=b"old-secret\n", **login)
    assert "the new one works" in planned.stdout
    assert "Nothing was changed" in planned.stderr
    assert file.read_text() == "wrong-by-now"

    done = command("rotate", rse, "--new", "-", "--yes", stdin=b"old-secret\n", **login)
    assert done.returncode == 0, done.stderr
    assert file.read_text() == "old-secret\n"
    assert {each.name for each in file.parent.iterdir()} >= {"secret", "new"}
    assert not list(file.parent.glob(".secret-*"))
    assert "old-secret" not in done.stdout + done.stderr


def test_what_cannot_be_exchanged_is_said(command, rse, secret_file):
    for login, words, why in (
        ({}, ["--new", "-"], "password of RSE"),
        ({"password": None, "token": "x"}, ["--new", "-"], "no secret to be exchanged"),
        ({"password": None, "password_file": secret_file("x")}, [], "give it with --new"),
    ):
        done = command("rotate", rse, *words, "--yes", **login)
        assert done.returncode
        assert why in done.stderr
