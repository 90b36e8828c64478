from __future__ import annotations

import shutil
import subprocess
import zlib

import pytest

from demo.storage import LOGIN

CONTENTS = {
    "one byte": b"\0",
    "text": b"some bytes\n",
    "larger than any one read": bytes(range(256)) * 20_000,
    "nothing at all": b"",
}


def adler32(content: bytes) -> str:
    return f"{zlib.adler32(content):08x}"


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_new_file_is_stored_and_registered(site, make_file, new_name, content):
    said = site.upload(make_file("local", content), "--lfn", new_name).stdout
    replica = site.replica(new_name)
    assert "Successfully uploaded" in said
    assert list(site.stored().values()) == [content]
    assert (replica["state"], replica["bytes"], replica["adler32"]) == ("AVAILABLE", len(content), adler32(content))


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_address_in_the_catalogue_is_opened_by_others(site, make_file, new_name, tmp_path):
    """The gateway speaks plain HTTP here, so davs is http."""
    site.upload(make_file("local", CONTENTS["larger than any one read"]), "--lfn", new_name)
    [[pfn]] = site.replica(new_name)["rses"].values()
    login = tmp_path / "login"
    login.write_text(f'user = "{LOGIN["username"]}:{LOGIN["password"]}"\n')
    fetched = tmp_path / "fetched"
    command = ["curl", "-sSf", "--noproxy", "*", "-K", login, "-o", fetched, pfn.replace("davs://", "http://", 1)]
    subprocess.run(command, check=True, timeout=60)
    assert fetched.read_bytes() == CONTENTS["larger than any one read"]


def test_files_of_one_dataset(site, make_file, new_name, client):
    files = [make_file(f"{new_name}-{number}", b"x" * number) for number in range(1, 4)]
    site.upload(f"test:{new_name}", *files)
    assert sorted(site.stored().values()) == [b"x", b"xx", b"xxx"]
    assert {file["name"] for file in client.list_files("test", new_name)} == {file.name for file in files}
    assert [rule["state"] for rule in client.list_did_rules("test", new_name)] == ["OK"]


def test_a_name_with_slashes_makes_its_folders(site, make_file, new_name):
    site.upload(make_file("local"), "--lfn", f"{new_name}/deep/er/file.root")
    assert [path.endswith(f"/{new_name}/deep/er/file.root") for path in site.stored()] == [True]


# All that a URL, a shell or a printf could take for something else. Rucio itself cannot serve & < " in names.
NAMES = ["100%", "50%25", "a#b", "a+b", "a?b=c", "~tilde", "a;b,c", "(1)[2]{3}", "größe", "测试", "e\u0301"]


def test_any_name_goes_up_and_down_and_away(site, make_file, new_name, tmp_path):
    # One round for all names: what takes time is Rucio's start, and a failing name is told by the comparison.
    content = {f"{new_name}-{name}": name.encode() for name in NAMES}
    for name, its_content in content.items():
        # first announced: Rucio's server dies of having to say that a name beyond Latin-1 is new to it
        site.announce(name, its_content)
        site.upload(make_file("local", its_content), "--lfn", name)
    assert {path.rpartition("/")[2]: stored for path, stored in site.stored().items()} == content

    target = tmp_path / "down"
    site.sandbox.rucio("download", *(f"test:{name}" for name in content), "--dir", target, "--no-subdir")
    assert {file.name: file.read_bytes() for file in target.iterdir()} == content

    site.reap()
    assert site.stored() == {}
    assert [site.replica(name) for name in content] == [None] * len(content)


def test_a_name_with_a_space(site, make_file, new_name, tmp_path):
    name = f"{new_name} with space"
    site.upload(make_file("local", b"spaced"), "--lfn", name)
    [pfn] = site.replica(name)["pfns"]
    assert pfn.endswith(f"/{new_name}%20with%20space")
    # by its PFN: for the name alone, Rucio's own client asks the server for "with+space"
    site.download(name, tmp_path / "down", "--pfn", pfn, "--rses", site.rse)
    assert (tmp_path / "down" / name).read_bytes() == b"spaced"
    site.expire(name)
    site.reap()
    assert site.stored() == {}


BAD_NAMES = {"out of the folder": "../../../../escaped", "longer than a name can be": "ü" * 200}


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
def test_a_name_that_cannot_be_stored_is_refused(site, make_file, gateway, name):
    said = site.upload(make_file("local"), "--lfn", name).stdout
    assert "Details: " in said
    assert "Traceback" not in said
    assert site.stored() == {}
    assert list(gateway.root.rglob("escaped")) == []


def test_a_file_that_is_there_is_left_alone(site, make_file, new_name):
    local = make_file("local")
    site.upload(local, "--lfn", new_name)
    before = site.path(new_name).stat()
    said = site.upload(local, "--lfn", new_name).stdout
    after = site.path(new_name).stat()
    assert "File already exists on RSE. Skipping upload" in said
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_other_content_under_a_known_name_is_refused(site, make_file, new_name):
    site.upload(make_file("first", b"first"), "--lfn", new_name)
    said = site.upload(make_file("second", b"second"), "--lfn", new_name).stdout
    assert "does not match remote checksum" in said
    assert list(site.stored().values()) == [b"first"]
    assert site.replica(new_name)["adler32"] == adler32(b"first")


def test_a_file_that_rucio_does_not_know_is_not_written_over(site, make_file, new_name):
    site.put(new_name, b"somebody else's")
    said = site.upload(make_file("local"), "--lfn", new_name).stdout
    assert "File already exists on RSE. Skipping upload" in said
    assert list(site.stored().values()) == [b"somebody else's"]
    assert site.replica(new_name)["state"] != "AVAILABLE"


def test_leftovers_of_an_earlier_attempt_are_cleared_away(site, make_file, new_name):
    site.put(new_name, b"half of it", suffix=".rucio.upload")
    site.upload(make_file("local"), "--lfn", new_name)
    assert list(site.stored().values()) == [b"some bytes\n"]
    assert site.replica(new_name)["state"] == "AVAILABLE"


def test_register_after_upload_replaces_an_unregistered_file(site, make_file, new_name):
    site.put(new_name, b"unregistered")
    site.upload(make_file("local"), "--lfn", new_name, "--register-after-upload")
    assert list(site.stored().values()) == [b"some bytes\n"]
    assert site.replica(new_name)["state"] == "AVAILABLE"


def test_a_folder_in_the_place_of_the_file_is_not_replaced(site, make_file, new_name):
    precious = site.path(new_name) / "precious"
    precious.parent.mkdir(parents=True)
    precious.write_bytes(b"data")
    said = site.upload(make_file("local"), "--lfn", new_name).stdout
    assert list(site.stored().values()) == [b"data"]
    assert "not a file" in said
    assert site.replica(new_name)["state"] != "AVAILABLE"
