"""The file commands, run in this process on an embedded gateway. What needs a process is in test_files_processes."""

from __future__ import annotations

import functools
import json
import os
import re
import time

import pytest

from rucio_cs3.gateway import Fault, Gateway
from tests.unit.cli.command import called

CHECKSUM = "00620062"  # adler32 of b"a"


@pytest.fixture
def site(gateway):
    return f"cs3://{gateway.address}"


@pytest.fixture
def other(tmp_path):
    """Another gateway."""
    (tmp_path / "other").mkdir()
    with Gateway(tmp_path / "other") as other:
        yield other


@pytest.fixture
def run(folder, monkeypatch, capfd):
    """Runs a command; returns its exit code, stdout and stderr."""
    monkeypatch.setenv("RUCIO_CS3_USERNAME", "einstein")
    monkeypatch.setenv("RUCIO_CS3_PASSWORD", "relativity")
    monkeypatch.setenv("RUCIO_CS3_RETRIES", "0")

    return functools.partial(called, monkeypatch, capfd)


@pytest.fixture
def objects(run):
    """The same with --json: the exit code and the objects."""

    def call(command, *arguments, **options):
        code, out, err = run(command, "--json", *arguments, **options)
        assert err == ""
        return code, [json.loads(line) for line in out.splitlines()]

    return call


def plant(top):
    for name, content in {"a": b"a", "sub/b c%": b"bb", "sub/deep/x": b"xxx"}.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    (top / "empty").mkdir()


def tree(top):
    return {
        str(path.relative_to(top)): path.read_bytes() if path.is_file() else None
        for path in top.rglob("*")
        if ".cs3-gateway" not in path.parts
    }


# cp


def test_up_down_and_from_site_to_site(run, site, gateway, folder):
    plant(folder / "src")
    assert run("cp", "-r", "src", f"{site}/up")[0] == 0
    assert tree(gateway.root / "up") == tree(folder / "src")
    assert run("cp", "-r", f"{site}/up", f"{site}/again")[0] == 0
    assert tree(gateway.root / "again") == tree(folder / "src")
    assert run("cp", "-r", f"{site}/again", "back")[0] == 0
    assert tree(folder / "back") == tree(folder / "src")


def test_it_says_each_file_and_a_summary(run, site, folder):
    (folder / "a").write_bytes(b"a")
    (folder / "b").write_bytes(b"bb")
    assert run("cp", "a", f"{site}/x") == (0, f"a -> {site}/x  1B\n", "")
    code, out, err = run("cp", "a", "b", f"{site}/d")
    assert (code, sorted(out.splitlines())) == (0, [f"a -> {site}/d/a  1B", f"b -> {site}/d/b  2B"])
    assert err.startswith("2 done: 3B in ")


@pytest.mark.parametrize(
    ("arguments", "there"),
    [
        (["a", "{site}/new"], "new"),
        (["a", "{site}/new/"], "new/a"),
        (["a", "{site}/folder"], "folder/a"),
        (["a", "{site}"], "a"),
        (["a", "b", "{site}/new"], "new/b"),
        (["-r", "src", "{site}/new"], "new/f"),
        (["-r", "src", "{site}/folder"], "folder/f"),
        (["-r", "src/", "{site}/new/"], "new/src/f"),
        (["-r", ".", "{site}/new/"], "new/here/a"),
    ],
)
def test_what_goes_where(run, site, gateway, folder, arguments, there):
    (folder / "src").mkdir()
    for name in ("a", "b", "src/f"):
        (folder / name).write_bytes(b"a")
    (gateway.root / "folder").mkdir()
    assert run("cp", *[argument.format(site=site) for argument in arguments])[0] == 0
    assert (gateway.root / there).read_bytes() == b"a"


def test_down_into_what_is_there(run, site, gateway, folder):
    (gateway.root / "a").write_bytes(b"a")
    (folder / "d").mkdir()
    for target in (".", "d", "new/", "name"):
        assert run("cp", f"{site}/a", target)[0] == 0
    assert set(tree(folder)) == {"a", "d", "d/a", "new", "new/a", "name"}


def test_nothing_is_replaced_unless_told(run, site, gateway, folder):
    (gateway.root / "a").write_bytes(b"theirs")
    (folder / "a").write_bytes(b"mine")
    for arguments in (["a", f"{site}/a"], [f"{site}/a", "a"]):
        code, _, err = run("cp", *arguments)
        assert code == 1
        assert err.endswith("it is there already; remove it first, or ask to overwrite (--overwrite, overwrite=True)\n")
    assert (tree(gateway.root)["a"], tree(folder)["a"]) == (b"theirs", b"mine")
    assert run("cp", "--overwrite", "a", f"{site}/a")[0] == 0
    assert tree(gateway.root)["a"] == b"mine"


def test_failures_are_told_and_the_rest_is_done(objects, site, gateway, folder):
    for name in "abc":
        (folder / name).write_bytes(b"a")
    gateway.faults.add(Fault("grpc:InitiateFileUpload", "status", path="/d/.rucio*", status="LOCKED", times=1))
    code, told = objects("cp", "a", "b", "missing", "c", f"{site}/d/")
    *items, summary = told
    failed = {item["error"] for item in items if item["outcome"] == "failed"}
    assert (code, failed) == (1, {"locked", "local_source_missing"})
    assert (summary["outcome"], summary["done"], summary["failed"], summary["bytes"]) == ("summary", 2, 2, 2)
    [done, _] = [item for item in items if item["outcome"] == "done"]
    assert done["checksums"] == {"adler32": CHECKSUM}
    assert set(done) == {"source", "target", "kind", "outcome", "seconds", "size", "checksums"}


def test_one_failure_among_many_is_in_the_last_line(run, site, gateway, folder):
    (folder / "src").mkdir()
    for number in range(50):
        (folder / "src" / f"f{number}").write_bytes(b"a")
    gateway.faults.add(Fault("grpc:InitiateFileUpload", "status", path="/up/.rucio*", status="LOCKED", times=1))
    code, _, err = run("cp", "-r", "src", f"{site}/up")
    assert (code, err.count("Error: ")) == (1, 1)
    assert err.splitlines()[-1].startswith("49 done, 1 failed: 49B in ")
    code, _, err = run("rm", *[f"{site}/up/f{number}" for number in range(50)])
    assert (code, err.count("Error: ")) == (1, 1)
    assert err.splitlines()[-1] == "49 deleted, 1 failed"


def test_a_source_that_cannot_be_listed_does_not_stop_the_next(run, site, gateway, folder):
    for name in ("a", "b"):
        (gateway.root / name).mkdir()
        (gateway.root / name / "f").write_bytes(name.encode())
    gateway.faults.add(Fault("grpc:ListContainer", "status", path="/a", status="PERMISSION_DENIED"))
    names = [f"{site}/a", f"{site}/nowhere", f"{site}/b"]
    code, out, err = run("cp", "-r", *names, "got/")
    assert (code, err.count("Error: ")) == (1, 2)
    assert tree(folder / "got") == {"a": None, "b": None, "b/f": b"b"}
    code, out, err = run("checksum", "--read", "-r", *names)
    assert (code, out, err.count("Error: ")) == (1, f"adler32 00630063  {site}/b/f\n", 2)
    code, out, err = run("find", *names)
    assert (code, out, err.count("Error: ")) == (1, f"{site}/b/f\n", 2)


def test_a_name_that_is_too_long_here_is_one_line(run, site, gateway):
    (gateway.root / "f").write_bytes(b"a")
    for target in ("y" * 300, "new/" + "y" * 300):
        code, _, err = run("cp", f"{site}/f", target)
        assert (code, err.count("\n")) == (1, 1)
        assert "File name too long" in err


def test_the_journal_is_not_copied(run, site, gateway, folder):
    (folder / "src").mkdir()
    (folder / "src" / "a").write_bytes(b"a")
    for _ in range(2):
        code, _, err = run("cp", "-r", "--journal", "src/journal", "./src", f"{site}/up")
        assert (code, "skipped ./src/journal: it is a journal\n" in err) == (0, True)
    assert tree(gateway.root / "up") == {"a": b"a"}


def test_links_and_special_files(run, site, gateway, folder):
    plant(folder / "src")
    (folder / "src" / "link").symlink_to("a")
    os.mkfifo(folder / "src" / "pipe")
    code, _, err = run("cp", "-r", "src", f"{site}/one")
    assert code == 0
    assert "skipped src/link: it is a symlink\n" in err
    assert "skipped src/pipe: it is a pipe\n" in err
    assert run("cp", "-rL", "src", f"{site}/two")[0] == 0
    assert (gateway.root / "two" / "link").read_bytes() == b"a"
    assert not (gateway.root / "one" / "link").exists()


def test_dry_run_does_nothing(run, objects, site, gateway, folder):
    plant(folder / "src")
    code, out, _ = run("cp", "-r", "--dry-run", "src", f"{site}/up")
    assert code == 0
    assert f"src/sub/b c% -> {site}/up/sub/b%20c%25\n" in out
    assert {item["outcome"] for item in objects("cp", "-r", "--dry-run", "src", f"{site}/up")[1]} == {"planned"}
    assert tree(gateway.root) == {}


def test_stdin_and_stdout(run, objects, site, gateway):
    assert run("cp", "-", f"{site}/d/f", stdin=b"content")[0] == 0
    assert (gateway.root / "d" / "f").read_bytes() == b"content"
    assert run("cp", f"{site}/d/f", "-") == (0, "content", "")
    [told] = objects("cp", "-", f"{site}/g", stdin=b"a")[1]
    assert (told["outcome"], told["size"], told["checksums"]) == ("done", 1, {"adler32": CHECKSUM})


def test_the_journal_goes_on(run, objects, site, gateway, folder):
    plant(folder / "src")
    job = ["cp", "-r", "--journal", "journal", "src", f"{site}/up"]
    gateway.faults.add(Fault("http:PUT", "status", path="/up/sub/.rucio*", status="403"))
    assert run(*job)[0] == 1
    gateway.faults.clear()
    code, out, err = run(*job)
    assert (code, out.strip()) == (0, f"src/sub/b c% -> {site}/up/sub/b%20c%25  2B")
    assert "1 done, 2 skipped" in err
    assert tree(gateway.root / "up") == tree(folder / "src")
    gateway.calls.clear()
    assert objects(*job, "--no-check")[1][-1]["skipped"] == 3
    assert run("cp", "-r", "--journal", "journal", "src", f"{site}/other")[2].startswith(
        "Error: journal is the journal of another job"
    )


def test_it_gives_up_when_nothing_gets_through(run, site, gateway, folder):
    (folder / "src").mkdir()
    for number in range(200):
        (folder / "src" / f"f{number}").write_bytes(b"a")
    gateway.faults.add(Fault("grpc:InitiateFileUpload", "full"))
    code, _, err = run("cp", "-r", "--jobs", "2", "src", f"{site}/up")
    assert code == 1
    left = int(re.search(r"Given up, because nothing gets through: 0 done, .*; (\d+) not begun\. To go on: ", err)[1])
    assert 150 < left < 180
    assert err.count("Error: ") < 50


def test_verified_by_reading_back(run, site, gateway, folder):
    (folder / "a").write_bytes(b"a")
    assert run("cp", "--verify", "readback", "a", f"{site}/a")[0] == 0
    assert [call.path for call in gateway.calls if call.method == "GET"] != []


def test_a_copy_into_itself_is_refused(run, site, gateway):
    (gateway.root / "d").mkdir()
    (gateway.root / "d" / "f").write_bytes(b"a")
    for source, target in (("d", "d/e"), ("d", "d"), ("d/f", "d/f"), ("", "d")):
        code, _, err = run("cp", "-r", "--overwrite", f"{site}/{source}", f"{site}/{target}")
        assert code == 1
        assert "which is itself or below it" in err
    assert run("cp", "-r", f"{site}/d", f"{site}/d2")[0] == 0


def test_nor_is_one_under_another_name(run, site, gateway, monkeypatch):
    """What is copied would be found while it is made, and be copied again."""
    monkeypatch.setenv("RUCIO_CS3_GATEWAY", gateway.address)
    monkeypatch.setenv("RUCIO_CS3_TLS", "false")
    (gateway.root / "d" / "e").mkdir(parents=True)
    door = "davs://127.0.0.1/dav"
    for below in ("new", "e/new", ""):
        _, _, err = run("cp", "-r", "--dry-run", "--door", f"{door}=/d", f"{site}/d", f"{door}/{below}")
        assert "which is itself or below it" in err
    assert run("cp", "-r", "--door", f"{door}=/", f"{site}/d", f"{door}/new")[0] == 0
    assert tree(gateway.root / "new") == {"e": None}


def test_errors_name_what_was_typed(run, site, folder, gateway):
    (folder / "a").write_bytes(b"a")
    (gateway.root / "f").write_bytes(b"a")
    missing, below = f"{site}/no%20file%25", f"{site}/f/below"
    for arguments, named in (
        *((["stat", missing], missing), (["rm", missing], missing), (["cp", missing, "x"], missing)),
        *((["cp", missing, "-"], missing), (["cp", "-r", missing, f"{site}/x"], missing)),
        *((["mv", missing, f"{site}/x"], missing), (["mkdir", f"{missing}/x"], f"{missing}/x")),
        *(
            (["cp", "a", below], f"{site}/f"),
            (["cp", "-", below], f"{site}/f"),
            (["cp", "a", f"{below}/"], f"{site}/f"),
        ),
        *((["ls", f"{below}/x"], f"{site}/f"), (["mkdir", "-p", below], f"{site}/f"), (["rm", below], f"{site}/f")),
        *(
            (["cp", "a", f"{site}/f"], f"{site}/f"),
            (["cp", f"{site}/f", "a/x"], "a"),
            (["cp", "no", f"{site}/x"], "no"),
        ),
    ):
        code, out, err = run(*arguments)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith(f"Error: {named}"), err
        assert ("a file stands where a folder is meant" in err) == (below in arguments[-1])


@pytest.mark.parametrize(
    "arguments",
    [
        ["cp", "a"],
        ["cp", "a", "b"],
        ["cp", "-", "-"],
        ["cp", "-", "{site}/d/"],
        ["cp", "--json", "{site}/f", "-"],
        ["cp", "a", "s3://b/a"],
        ["cp", "--jobs", "0", "a", "{site}/a"],
        ["cp", "{site}/a/f", "{site}/b/f", "d/"],
        ["cp", "-r", "a/f", "b/f/", "{site}/d"],
        ["ls", "a"],
        ["ls", "cs3:/127.0.0.1:1/a"],
        ["mv", "{site}/a"],
        ["find", "--size", "big", "{site}/"],
        ["find", "--newer", "then", "{site}/"],
        ["checksum", "-r", "--against", "/etc/hostname", "{site}/"],
    ],
)
def test_mistakes_of_use(run, site, arguments):
    code, out, err = run(*[argument.format(site=site) for argument in arguments])
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("Error: ")


def test_a_folder_without_r(run, site, folder, gateway):
    (folder / "d").mkdir()
    (gateway.root / "d").mkdir()
    for arguments in (["d", f"{site}/x"], [f"{site}/d", "x"]):
        assert run("cp", *arguments)[2].startswith(f"Error: {arguments[0]}: it is a folder; copy it with -r\n")


# ls, du, find


def test_ls(run, objects, site, gateway):
    plant(gateway.root)
    os.utime(gateway.root / "a", (0, 0))
    assert run("ls", site) == (0, "a\nempty/\nsub/\n", "")
    assert run("ls", f"{site}/a")[1] == f"{site}/a\n"
    code, out, _ = run("ls", "-l", site)
    assert out.splitlines()[0] == "f    1 1970-01-01 00:00 a"
    assert run("ls", "-lh", f"{site}/sub")[1].splitlines()[0].startswith("f   2B ")
    assert run("ls", "-R", f"{site}/sub")[1] == f"{site}/sub:\nb c%\ndeep/\n{site}/sub/deep:\nx\n"
    [found] = [each for each in objects("ls", site)[1] if each["kind"] == "file"]
    assert found["name"] == f"{site}/a"
    assert set(found) == {"name", "kind", "size", "mtime", "etag", "id", "checksums"}
    code, out, err = run("ls", f"{site}/nowhere", f"{site}/sub/deep")
    assert (code, out) == (1, f"{site}/sub/deep:\nx\n")
    assert err.startswith(f"Error: {site}/nowhere: ")


def test_a_list_that_is_too_large_says_so(run, site, gateway):
    gateway.faults.add(Fault("grpc:ListContainer", "exception", status="RESOURCE_EXHAUSTED"))
    assert "split the folder: the server cannot send it in one answer" in run("ls", site)[2]


def test_names_do_not_drive_the_terminal(run, site, gateway):
    (gateway.root / "evil\x1b[2Jname").write_bytes(b"")
    assert run("ls", site)[1] == "evil\\x1b[2Jname\n"


def test_du(run, objects, site, gateway):
    plant(gateway.root)
    assert run("du", f"{site}/sub")[1] == f"5\t{site}/sub\n3\t{site}/sub/deep\n"
    assert run("du", "-s", site)[1] == f"6\t{site}/\n"
    assert run("du", "-sh", f"{site}/sub")[1] == f"5B\t{site}/sub\n"
    assert run("du", f"{site}/a")[1] == f"1\t{site}/a\n"
    assert objects("du", "-s", site)[1] == [{"name": f"{site}/", "size": 6, "files": 3}]


def test_find(run, site, gateway):
    plant(gateway.root)
    os.utime(gateway.root / "a", (time.time() - 90_000,) * 2)

    def found(*options):
        code, out, _ = run("find", *options, site)
        assert code == 0
        return {line.removeprefix(f"{site}/") for line in out.splitlines()}

    assert found("--type", "d") == {"empty", "sub", "sub/deep"}
    assert found("--type", "f", "--name", "[ax]") == {"a", "sub/deep/x"}
    assert found("--type", "f", "--newer", "1d") == {"sub/b%20c%25", "sub/deep/x"}
    assert found("--newer", "2100-01-01") == set()
    assert found("--size", "+1") == {"sub/b%20c%25", "sub/deep/x"}
    assert found("--size", "-1K", "--name", "a") == {"a"}
    assert found("--size", "3") == {"sub/deep/x"}


# stat, checksum


def test_stat(run, objects, site, gateway):
    (gateway.root / "a").write_bytes(b"a")
    code, out, _ = run("stat", f"{site}/a")
    assert code == 0
    assert f"name:      {site}/a\nkind:      file\nsize:      1\n" in out
    code, told = objects("stat", f"{site}/a", f"{site}/b")
    assert code == 1
    assert {each.get("error", each.get("kind")) for each in told} == {"file", "not_found"}


def test_checksum(run, site, gateway, folder):
    plant(gateway.root)
    code, _, err = run("checksum", f"{site}/a")  # this storage tells none
    assert code == 1
    assert "--read" in err
    assert run("checksum", "--read", f"{site}/a")[1] == f"adler32 {CHECKSUM}  {site}/a\n"
    for options in ([], ["--read"]):
        code, _, err = run("checksum", *options, f"{site}/sub")
        assert (code, err.startswith(f"Error: {site}/sub: it is a ")) == (1, True)
        assert err.endswith("; for all files below it, give -r\n")
    code, out, _ = run("checksum", "--read", "--algorithm", "md5", "-r", f"{site}/sub")
    assert (code, len(out.splitlines())) == (0, 2)
    (folder / "a").write_bytes(b"a")
    assert run("checksum", "--read", "--against", "a", f"{site}/a")[1] == f"adler32 {CHECKSUM}  {site}/a = a\n"
    (folder / "a").write_bytes(b"b")
    code, _, err = run("checksum", "--read", "--against", "a", f"{site}/a")
    assert code == 1
    assert "it is not the same as a" in err


# rm, mv, mkdir


def test_rm(run, objects, site, gateway):
    plant(gateway.root)
    assert run("rm", f"{site}/a", f"{site}/sub/deep/x")[0] == 0
    code, _, err = run("rm", f"{site}/sub")
    assert code == 1
    assert "delete it with -r" in err
    assert objects("rm", "-r", f"{site}/sub") == (0, [{"name": f"{site}/sub", "outcome": "done"}])
    assert tree(gateway.root) == {"empty": None}
    for root in (site, f"{site}/", f"{site}//"):
        assert "root folder, which stays" in run("rm", "-r", "--yes", root)[2]
    code, told = objects("rm", f"{site}/nowhere")
    assert (code, told[0]["name"], told[0]["error"]) == (1, f"{site}/nowhere", "not_found")


def test_mv(run, site, gateway):
    plant(gateway.root)
    assert run("mv", f"{site}/a", f"{site}/b") == (0, f"{site}/a -> {site}/b\n", "")
    assert run("mv", f"{site}/b", f"{site}/empty")[0] == 0
    assert run("mv", f"{site}/sub/deep/x", f"{site}/sub/b%20c%25", f"{site}/empty/")[0] == 0
    assert set(tree(gateway.root / "empty")) == {"b", "x", "b c%"}
    for source, target in (("empty/b", "empty/x"), ("empty", "empty/in/it"), ("nowhere", "x"), ("", "x")):
        assert run("mv", f"{site}/{source}", f"{site}/{target}")[0] == 1
    assert run("mv", "--overwrite", f"{site}/empty/b", f"{site}/empty/x")[0] == 0
    assert tree(gateway.root / "empty") == {"x": b"a", "b c%": b"bb"}
    assert "a folder does not replace" in run("mv", "--overwrite", f"{site}/sub", f"{site}/empty/x")[2]


def test_mv_is_at_one_site(run, site, gateway, other, monkeypatch):
    (gateway.root / "a").write_bytes(b"a")
    monkeypatch.setenv("RUCIO_CS3_GATEWAY", gateway.address)
    code, _, err = run("mv", f"{site}/a", f"cs3://{other.address}/a/")
    assert code == 1
    assert "copy it with cp and then remove it" in err


def test_mkdir(run, site, gateway):
    assert run("mkdir", f"{site}/d") == (0, f"made {site}/d\n", "")
    assert run("mkdir", f"{site}/d")[0] == 1
    assert run("mkdir", f"{site}/x/y")[0] == 1
    assert run("mkdir", "-p", f"{site}/x/y", f"{site}/d")[0] == 0
    assert set(tree(gateway.root)) == {"d", "x", "x/y"}


def test_a_wrong_password_is_one_line(run, site, monkeypatch):
    monkeypatch.setenv("RUCIO_CS3_PASSWORD", "wrong-word")
    code, out, err = run("ls", site)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "wrong-word" not in err


# whose login


@pytest.mark.parametrize("command", [["cp"], ["ls"], ["stat", "--json"], ["rm", "-r"], ["du"], ["mkdir"], ["mv"]])
def test_a_login_for_no_gateway_in_particular_is_not_shown_to_two(run, site, gateway, other, command):
    (gateway.root / "f").write_bytes(b"a")
    code, out, err = run(*command, f"{site}/f", f"cs3://{other.address}/x")
    assert code == 1
    assert not [*gateway.calls, *other.calls]
    both = " and ".join(sorted([gateway.address, other.address]))
    assert f"nothing says which of {both} the login in RUCIO_CS3_PASSWORD is for; set RUCIO_CS3_GATEWAY to" in out + err
    assert tree(gateway.root) == {"f": b"a"}


def test_it_is_shown_to_one(run, site, gateway, other, monkeypatch):
    (gateway.root / "f").write_bytes(b"a")
    assert run("cp", f"{site}/f", f"{site}/g")[0] == 0
    monkeypatch.setenv("RUCIO_CS3_GATEWAY", gateway.address)
    code, out, err = run("ls", site, f"cs3://{other.address}")
    assert (code, out) == (1, f"{site}/:\nf\ng\n")
    assert err.count("Error: ") == 1
    assert not list(other.calls)


def test_where_the_login_is_for_another_gateway_that_is_said(run, site, gateway, other, monkeypatch):
    monkeypatch.setenv("RUCIO_CS3_GATEWAY", other.address)
    for command in (["ls", site], ["mkdir", f"{site}/d"], ["token", "show", "--gateway", gateway.address]):
        code, _, err = run(*command)
        assert (code, err.count("\n")) == (1, 1)
        assert f"the login in the environment is for {other.address}, and goes only to the host it was made" in err
        assert f"if that is {gateway.address}, set RUCIO_CS3_GATEWAY to it; " in err
    assert not [*gateway.calls, *other.calls]
    said = run("token", "explain", "--gateway", gateway.address)[1]
    assert f"the login in the environment is for {other.address}" in said


@pytest.fixture
def rucio_cfg(tmp_path, monkeypatch, run):
    """Writes section [cs3], and takes the login out of the environment."""
    pytest.importorskip("rucio.common.config", reason="pip install rucio-cs3[rucio]")

    def write(**settings):
        for name in ("USERNAME", "PASSWORD"):
            monkeypatch.delenv(f"RUCIO_CS3_{name}")
        lines = [f"{name} = {value}\n" for name, value in settings.items()]
        (tmp_path / "rucio.cfg").write_text("".join(["[client]\n[cs3]\n", *lines]))
        monkeypatch.setenv("RUCIO_CONFIG", str(tmp_path / "rucio.cfg"))

    return write


def test_the_section_of_rucio_cfg_counts_where_it_names_the_gateway(run, site, gateway, rucio_cfg):
    (gateway.root / "f").write_bytes(b"a")
    rucio_cfg(gateway=gateway.address, username="einstein", password="relativity")
    assert run("ls", site) == (0, "f\n", "")


@pytest.mark.parametrize(
    ("named", "said"), [({}, "names no gateway"), ({"gateway": "other:1"}, "is for other:1")], ids=["none", "another"]
)
def test_and_else_it_is_said_why_it_does_not(run, site, gateway, rucio_cfg, named, said):
    rucio_cfg(username="einstein", password="relativity", **named)
    code, _, err = run("ls", site)
    assert (code, list(gateway.calls)) == (1, [])
    assert f"the login in section [cs3] of rucio.cfg {said}, and goes only" in err
    assert f"if that is {gateway.address}, set gateway there to it; " in err


# spaces


def test_of_what_is_in_no_space_it_is_said_where_the_users_own_is(run, tmp_path, folder):
    (folder / "a").write_bytes(b"a")
    (tmp_path / "spaces").mkdir()
    with Gateway(tmp_path / "spaces", "opencloud") as gateway:
        site = f"cs3://{gateway.address}"
        [home] = {re.search(r"; this storage has spaces, and yours is (\S+)\n", run("ls", site)[2])[1]}
        assert run("cp", "a", f"{home}/a")[0] == 0
        for command in (
            *(["cp", "a", f"{site}/x"], ["cp", "-", f"{site}/x"], ["cp", f"{site}/x", "-"], ["mkdir", f"{site}/x"]),
            *(["stat", f"{site}/users"], ["rm", f"{site}/x"], ["du", site], ["mv", f"{home}/a", f"{site}/x"]),
        ):
            code, _, err = run(*command)
            assert (code, err.count("\n"), err.endswith(f"yours is {home}\n")) == (1, 1, True), err
        assert "spaces" not in run("ls", f"{home}/missing")[2]
