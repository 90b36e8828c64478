from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
DOCKER = TOP / "docker"
STACKS = {"embedded": ["compose.yaml"], "reva": ["compose.yaml", "compose.reva.yaml"]}
WANTED = "RUCIO_CS3_TEST_STACK"
PROJECT = "rucio-cs3-test"  # nobody's own stack is touched
BUILDER = {"DOCKER_BUILDKIT": "1", "COMPOSE_DOCKER_CLI_BUILD": "1"}  # what newer ones do by themselves


@dataclass
class Said:
    code: int
    text: str


def run(*words: str | Path, seconds: int = 1800, folder: Path = DOCKER, **environ: str) -> Said:
    """Run it, and return all that it says."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={**os.environ, **BUILDER, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    return Said(done.returncode, done.stdout)


def compose_command() -> list[str]:
    """That of v2, or of v1, or none."""
    if shutil.which("docker") and not run("docker", "compose", "version").code:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else []


@pytest.fixture(scope="session")
def command():
    """docker-compose, as it is called here."""
    command = compose_command()
    if not command:
        pytest.skip("neither docker compose nor docker-compose is here")
    return command


@pytest.fixture(scope="session")
def compose(command):
    """Run docker-compose on one of the stacks."""

    def compose(*words: str, stack: str = "embedded", **environ: str) -> Said:
        files = [word for name in STACKS[stack] for word in ("-f", name)]
        return run(*command, *files, *words, COMPOSE_PROJECT_NAME=PROJECT, **environ)

    return compose


@pytest.fixture(scope="session")
def docker():
    """For tests that build and run containers."""
    if not os.environ.get(WANTED):
        pytest.skip("builds and runs containers for minutes: make stack")
    if not shutil.which("docker") or run("docker", "info").code:
        pytest.skip("no docker answers")
    return lambda *words: run("docker", *words)
