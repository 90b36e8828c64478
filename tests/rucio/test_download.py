from __future__ import annotations

import resource

import pytest

CONTENT = bytes(range(256)) * 4096


def files_in(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("content", [CONTENT, b"x", b""], ids=["large", "one byte", "nothing at all"])
def test_a_file_arrives_whole(site, new_name, tmp_path, content):
    site.register(new_name, content)
    said = site.download(new_name, tmp_path / "down").stdout
    assert "successfully downloaded" in said
    assert files_in(tmp_path / "down") == {new_name: content}


def test_a_dataset_arrives_whole(site, client, new_name, tmp_path):
    content = {f"{new_name}-{number}": CONTENT[:number] for number in range(1, 8)}
    for name, content_of_one in content.items():
        site.register(name, content_of_one)
    client.add_dataset("test", new_name)
    client.attach_dids("test", new_name, [{"scope": "test", "name": name} for name in content])
    site.download(new_name, tmp_path / "down")
    assert files_in(tmp_path / "down") == content


def test_a_file_that_is_already_here_is_not_fetched_again(site, new_name, tmp_path):
    site.register(new_name, CONTENT)
    site.download(new_name, tmp_path / "down")
    site.path(new_name).unlink()
    said = site.download(new_name, tmp_path / "down").stdout
    assert "Files already found locally:                  1" in said
    assert files_in(tmp_path / "down") == {new_name: CONTENT}


def test_a_pfn_can_be_downloaded_by_itself(site, new_name, tmp_path):
    site.register(new_name, CONTENT)
    [pfn] = site.replica(new_name)["pfns"]
    site.download(new_name, tmp_path / "down", "--pfn", pfn, "--rses", site.rse)
    assert files_in(tmp_path / "down") == {new_name: CONTENT}


# What became of the file on the storage after it was registered, and what the user is told.
DAMAGES = {
    "a byte has changed": (lambda path: path.write_bytes(b"\1" + CONTENT[1:]), "checksum"),
    "the end is missing": (lambda path: path.write_bytes(CONTENT[:-1]), "checksum"),
    "it has grown": (lambda path: path.write_bytes(CONTENT + b"x"), "checksum"),
    "it is gone": (lambda path: path.unlink(), "not found"),
    "it is a folder": (lambda path: (path.unlink(), path.mkdir()), "not a file"),
}


@pytest.mark.parametrize(("damage", "told"), DAMAGES.values(), ids=DAMAGES)
def test_what_is_not_the_registered_file_is_not_handed_over(site, new_name, tmp_path, damage, told):
    site.register(new_name, CONTENT)
    damage(site.path(new_name))
    said = site.download(new_name, tmp_path / "down").stdout
    assert "None of the requested files have been downloaded" in said
    assert told in said.lower()
    assert "Traceback" not in said
    assert files_in(tmp_path / "down") == {}


@pytest.fixture
def no_room():
    """From when it is called, no file of the programs that we run can grow beyond half of the content."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (len(CONTENT) // 2, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_at_home_leaves_nothing_and_says_so(site, new_name, tmp_path, no_room):
    site.register(new_name, CONTENT)
    no_room()
    said = site.download(new_name, tmp_path / "down").stdout
    assert "File too large" in said
    assert "Traceback" not in said
    assert files_in(tmp_path / "down") == {}


def test_a_target_that_cannot_be_written_is_named(site, new_name):
    site.register(new_name, CONTENT)
    said = site.download(new_name, "/proc").stdout
    assert "/proc" in said
    assert "None of the requested files have been downloaded" in said
    assert "Traceback" not in said
