"""Third-party copies that are asked for by programs of other people: what they make of the answers.

What is marked !! says that it did what it did not, and the program believes it.
"""

from __future__ import annotations

import pytest

from tests.conformance.programs import Programs, needed

CONTENT = bytes(range(256)) * 5000
MODES = ["pull", "push", "streamed"]


@pytest.fixture
def token(storage):
    """One for both sites."""
    return storage.issuer.token(storage.user)


@pytest.fixture
def programs(token, tmp_path):
    return Programs("", token, tmp_path)


@pytest.fixture
def copying(here, dav):
    """From where, and to where, so that the site that makes the copies has to make this one."""

    def of(mode, to="/g"):
        source, target = (dav, here) if mode == "pull" else (here, dav)
        return source.url(source.put("/f", CONTENT)), target.url(to), target

    return of


def came(storage, mode):
    """!! On the second line an empty file is pulled, and nothing is pushed."""
    return {"pull": b"", "push": None}.get(mode, CONTENT) if storage.facts.has_spaces else CONTENT


@needed("gfal-copy")
@pytest.mark.parametrize("mode", MODES)
def test_gfal_copies(storage, programs, copying, mode):
    source, destination, target = copying(mode)
    done = programs.gfal("copy", "--copy-mode", mode, source, destination, check=False)
    assert (done.returncode == 0) == (came(storage, mode) is not None), done.stderr
    assert target.content("/g") == came(storage, mode)


@needed("davix-cp")
@pytest.mark.parametrize("mode", ["pull", "push"])
def test_davix_copies(storage, programs, token, copying, mode):
    source, destination, target = copying(mode)
    there = ("-H", f"TransferHeaderAuthorization: Bearer {token}")
    done = programs.davix("cp", *there, "--copy-mode", mode, source, destination, check=False)
    assert (done.returncode == 0) == (came(storage, mode) is not None), done.stderr
    assert target.content("/g") == came(storage, mode)


@needed("davix-cp")
@pytest.mark.usefixtures("first_line")
def test_davix_believes_in_a_push_with_a_bad_token(programs, copying):
    """!!"""
    source, destination, target = copying("push")
    assert (
        programs.davix("cp", "-H", "TransferHeaderAuthorization: Bearer garbage", source, destination).returncode == 0
    )
    assert target.content("/g") is None


@needed("davix-cp")
@pytest.mark.usefixtures("first_line")
def test_davix_is_told_of_a_source_that_does_not_let_in(programs, copying):
    source, destination, target = copying("pull")
    told = ("-H", "TransferHeaderAuthorization: Bearer garbage", "--copy-mode", "pull")
    assert programs.davix("cp", *told, source, destination, check=False).returncode != 0
    assert target.content("/g") is None
