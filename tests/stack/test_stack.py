"""The stack itself, in the order in which a newcomer meets it, and in which it breaks: `make stack`."""

from __future__ import annotations

import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.docs.blocks import block
from tests.stack.conftest import PROJECT, TOP, run

pytestmark = pytest.mark.timeout(3600)
LABEL = f"label=com.docker.compose.project={PROJECT}"
SECONDS = re.compile(r"ok, ([\d.]+) s")
UP, TRY = block("docker up").splitlines()


@pytest.fixture(scope="module")
def tell(request):
    """Say it on the screen: .ci/run shows such lines."""
    screen = request.config.pluginmanager.getplugin("terminalreporter")
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def tell(text):
        with capture.global_and_fixture_disabled():
            screen.ensure_newline()
            screen.write_line(text)

    return tell


def left(docker):
    kinds = {"ps": ["ps", "-aq"], "volumes": ["volume", "ls", "-q"], "networks": ["network", "ls", "-q"]}
    return {kind: docker(*words, "--filter", LABEL).text for kind, words in kinds.items()}


@pytest.fixture(scope="module")
def typed(command):
    """Type lines of the README, as they stand there."""

    def typed(lines):
        words = lines.replace("docker-compose", " ".join(command))
        return run("sh", "-euc", words, folder=TOP, COMPOSE_PROJECT_NAME=PROJECT)

    return typed


@pytest.fixture(scope="module")
def stack(docker, compose, typed, tell):
    """Built, up, and at the end removed. Returns the seconds from `up` to its return."""
    began = time.monotonic()
    with ThreadPoolExecutor() as pool:  # as v2 does by itself
        for said in pool.map(lambda service: compose("build", service), ("seed", "schema", "idp")):
            assert said.code == 0, said.text
    tell(f"ok stack: images built in {time.monotonic() - began:.0f} s")
    compose("down", "-v")
    began = time.monotonic()
    try:
        said = typed(UP)
        assert said.code == 0, said.text + compose("logs", "seed", "schema", "init").text
        seconds = time.monotonic() - began
        tell(f"ok stack: up, seeded, RSEs ready in {seconds:.0f} s")
        yield seconds
    finally:
        typed(block("docker down"))
    assert left(docker) == {"ps": "", "volumes": "", "networks": ""}


def tried(typed):
    said = typed(TRY)
    assert said.code == 0, said.text
    assert "VERDICT: PASS" in said.text
    return said.text


def log_of(compose, *services):
    """What they said in their last runs."""
    return compose("logs", "--no-color", "--tail=4", *services).text


def test_try(stack, typed, tell):
    said = tried(typed)
    first, *_ = SECONDS.findall(said)
    tell(f"ok stack: {stack + float(first):.0f} s from `up` to a verified upload, by 2 commands: up -d, docker/try")
    tell(f"ok stack: docker/try: {', '.join(SECONDS.findall(said))} s; {said.splitlines()[-1]}")


def test_no_secret_is_shown(stack, docker, compose):
    program = "import pathlib, sys; [print(f.read_text()) for f in pathlib.Path('/vault').glob('*_*')]"
    vault = ["--rm", "--user=0", f"--volume={PROJECT}_vault:/vault:ro", "--entrypoint=python3"]
    secrets = docker("run", *vault, "rucio-cs3", "-c", program).text.split()
    assert len(secrets) > 10
    containers = docker("ps", "-aq", "--filter", LABEL).text.split()
    shown = docker("inspect", *containers).text + docker("history", "--no-trunc", "rucio-cs3").text
    shown += compose("logs", "--no-color").text
    shown += "".join(docker("top", container, "-o", "pid,args").text for container in containers)
    assert [secret for secret in secrets if secret in shown] == []


def test_who_they_run_as(stack, docker):
    for service in ("site-a", "mover", "broker", "idp", "rucio", "daemons", "client"):
        container = docker("ps", "-q", "--filter", LABEL, "--filter", f"label=com.docker.compose.service={service}")
        assert docker("exec", container.text.strip(), "id", "-u").text.strip() == "10001", service


def test_only_loopback_is_published(stack, docker):
    containers = docker("ps", "-q", "--filter", LABEL).text.split()
    published = re.findall(r'"HostIp": "([^"]*)"', docker("inspect", *containers).text)
    assert set(published) == {"127.0.0.1"}


def test_a_port_that_is_taken(stack, compose):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = compose("up", "-d", "mover", MOVER_PORT=port)
        assert said.code
        assert port in said.text
        assert re.search(r"address already in use|port is already allocated", said.text)


def test_up_again_after_that(stack, typed, compose):
    assert typed(UP).code == 0
    said = log_of(compose, "seed", "schema", "init")
    assert set(re.findall(r"(\w+): everything is there", said)) == {"seed", "schema", "init"}


def test_the_mover_tells_the_desk_how_it_is(stack, typed):
    said = typed(block("docker mover"))
    assert said.code == 0, said.text


def test_half_seeded(stack, typed, compose, docker):
    """Secrets, configuration, an RSE's entry and a person's identity are lost; what is there stays."""
    program = (
        "from rucio.client import Client; c = Client(); c.delete_protocols('SITE-B', 'davs');"
        "c.del_identity('marie', 'SUB=marie, ISS=https://idp:9000', 'OIDC')"
    )
    operator = ["exec", "-T", "-e", "RUCIO_CONFIG=/conf/operator.cfg", "client"]
    said = compose(*operator, "python3", "-c", program)
    assert said.code == 0, said.text
    compose("down")
    said = typed(TRY)
    assert said.code == 1
    assert "VERDICT: FAIL: the stack is not up: " in said.text
    vault = ["--rm", "--user=0", f"--volume={PROJECT}_vault:/vault", "--entrypoint=rm", "rucio-cs3"]
    for lost in (
        docker("volume", "rm", f"{PROJECT}_mover-conf", f"{PROJECT}_client-conf"),
        docker("run", *vault, "/vault/ca.key", "/vault/ca.pem"),
    ):
        assert lost.code == 0, lost.text
    said = typed(UP)
    assert said.code == 0, said.text
    assert "seed: made anew: ca.key" in compose("logs", "--no-color", "seed").text
    assert "init: made the protocol of SITE-B, marie's OIDC" in log_of(compose, "init")
    tried(typed)


def test_the_plugin_on_another_image(stack, docker):
    tag = f"{PROJECT}-overlay"
    arguments = ["--build-arg", "BASE=rucio-cs3-rucio", "--build-arg", "BASE_USER=10001"]
    try:
        built = docker("build", "-f", "overlay/Dockerfile", *arguments, "-t", tag, str(TOP))
        assert built.code == 0, built.text
        said = docker(
            "run", "--rm", tag, "python3", "-c", "import rucio_cs3.protocol as p, os; print(p.__name__, os.getuid())"
        )
        assert said.text.split() == ["rucio_cs3.protocol", "10001"]
    finally:
        docker("image", "rm", "--force", tag)


def test_secrets_that_are_gone(stack, typed, compose, docker):
    compose("down")
    docker("volume", "rm", f"{PROJECT}_vault")
    assert typed(UP).code
    assert "and the secrets are gone: bring the volume `vault` back, or" in compose("logs", "--no-color", "seed").text
