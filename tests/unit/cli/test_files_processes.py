"""The file commands as processes: interrupted, killed and taken up again; on terminals; completed by a shell."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from rucio_cs3.cli import rses
from rucio_cs3.gateway import Fault
from tests.unit.cli.command import COMMAND, SECONDS, environment, run

pytestmark = pytest.mark.slow
FILES = 12
SIZE = 3_000_000
LOGIN = {"username": "einstein", "password": "relativity"}


@pytest.fixture
def source(tmp_path):
    (tmp_path / "src" / "sub").mkdir(parents=True)
    for number in range(FILES):
        (tmp_path / "src" / "sub" / f"f{number:02}").write_bytes(os.urandom(SIZE))
    return tmp_path / "src"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("f??")}


@contextlib.contextmanager
def running(*arguments, **settings):
    argv = [*COMMAND, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, env=environment({**LOGIN, **settings}), **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def until(condition):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)  # what the other process has done so far has no event to wait for


def seen(gateway, method):
    return sum(call.method == method for call in gateway.calls)


def moves(gateway, source):
    """The same tree, up and down: the arguments, the method that carries bytes, where from and where to."""
    site = f"cs3://{gateway.address}"
    up = ["cp", "-r", "--jobs", "3", source, f"{site}/up"]
    shutil.copytree(source, gateway.root / "there")
    down = ["cp", "-r", "--jobs", "3", f"{site}/there", source.parent / "down"]
    return {"up": (up, "PUT", gateway.root / "up"), "down": (down, "GET", source.parent / "down")}


CLOSED_AND_FULL = {
    "cp {site}/f - > /dev/full": "<stdout>: No space left on device",
    "ls {site} > /dev/full": "the output: No space left on device",
    "ls --json {site} > /dev/full": "the output: No space left on device",
    "cp {site}/f new > /dev/full": "the output: No space left on device",
    "cp {site}/f - >&-": "stdout: it is closed",
    "cp - {site}/new <&-": "stdin: it is closed",
}


@pytest.mark.parametrize("command", CLOSED_AND_FULL)
def test_a_stream_that_is_full_or_closed_is_one_line(gateway, tmp_path, command):
    (gateway.root / "f").write_bytes(b"a" * 100)
    words = command.format(site=f"cs3://{gateway.address}")
    argv = ["bash", "-c", f"{shlex.join(COMMAND)} {words}"]
    ran = subprocess.run(
        argv, env=environment(LOGIN), cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1), ran.stderr
    assert CLOSED_AND_FULL[command] in ran.stderr


@pytest.mark.parametrize("command", ["cp {site}/f -", "cp {site}/d/small -", "ls {site}/d", "find --json {site}"])
def test_who_has_read_enough_is_told_nothing(gateway, command):
    (gateway.root / "f").write_bytes(b"a" * SIZE)
    (gateway.root / "d").mkdir()
    for number in range(300):
        (gateway.root / "d" / f"{number:0200}").write_bytes(b"")
    (gateway.root / "d" / "small").write_bytes(b"a")
    words = command.format(site=f"cs3://{gateway.address}")
    argv = ["bash", "-c", f"{shlex.join(COMMAND)} {words} | true; exit ${{PIPESTATUS[0]}}"]
    ran = subprocess.run(argv, env=environment(LOGIN), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (ran.returncode, ran.stderr) == (141, "")


def test_rm_without_stdin(gateway, tmp_path):
    (gateway.root / "d").mkdir()
    argv = ["bash", "-c", f"{shlex.join(COMMAND)} rm -r cs3://{gateway.address}/d <&-"]
    ran = subprocess.run(argv, env=environment(LOGIN), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert not (gateway.root / "d").exists()


@pytest.mark.parametrize("command", ["stat", "rm", "checksum"])
def test_interrupted_it_says_what_remains(gateway, command):
    names = [f"cs3://{gateway.address}/f{number}" for number in range(9)]
    for number in range(9):
        (gateway.root / f"f{number}").write_bytes(b"a")
    gateway.faults.add(Fault("grpc:Stat", "stall", skip=3, seconds=600))
    with running(command, "--jobs", "2", *names) as process:
        until(lambda: seen(gateway, "Stat") >= 5)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    told = re.search(r"Interrupted: (\d+) done, (\d+) failed; (\d+) not done: (.*)\n", said)
    done, failed, left = (int(told[group]) for group in (1, 2, 3))
    assert done + failed + left == 9
    assert left >= 5
    assert told[4].startswith(f"cs3://{gateway.address}/f")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("way", ["up", "down"])
def test_interrupted_it_leaves_nothing_half_and_says_how_to_go_on(gateway, source, way, number):
    job, method, target = moves(gateway, source)[way]
    gateway.faults.add(Fault(f"http:{method}", "stall", after=SIZE // 2, skip=4, seconds=600))
    with running(*job) as process:
        until(lambda: seen(gateway, method) >= 7)
        process.send_signal(number)
        _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    told = re.search(r"Interrupted: (\d+) done.* (\d+) stopped: .*; (\d+) not begun\. To go on: rucio-cs3 (.*)\n", said)
    done, stopped, left = (int(told[group]) for group in (1, 2, 3))
    assert (done, stopped, left) == (4, 3, FILES - 7)
    assert contents(target) == {name: contents(source)[name] for name in contents(target)}
    assert len(contents(target)) == done
    assert "Traceback" not in said

    gateway.faults.clear()
    again = [str(source.parent / "journal") if word == "FILE" else word for word in shlex.split(told[4])]
    assert again[-2] == "--journal"
    ran = run(*again, **LOGIN)
    assert ran.returncode == 0, ran.stderr
    assert contents(target) == contents(source)


@pytest.mark.parametrize(
    ("way", "method", "hint"),
    [
        ("up", "PUT", "run it again"),
        ("up", "PATCH", r"(\d+|some) of 3000000 bytes are there: upload it again, and it goes on"),
        ("down", "GET", "run it again"),
    ],
)
def test_of_one_file_it_says_what_became_of_it(gateway, tmp_path, way, method, hint):
    site, content = f"cs3://{gateway.address}", os.urandom(SIZE)
    (tmp_path / "f").write_bytes(content)
    (gateway.root / "f").write_bytes(content)
    (tmp_path / "new").mkdir()
    target = {"up": f"{site}/new/f", "down": str(tmp_path / "new" / "f")}[way]
    job = ["cp", tmp_path / "f" if way == "up" else f"{site}/f", target]
    settings = {"upload_protocol": "tus" if method == "PATCH" else "auto"}
    gateway.faults.add(Fault(f"http:{method}", "stall", after=SIZE // 2, seconds=600))
    with running(*job, **settings) as process:
        until(lambda: seen(gateway, method))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=SECONDS)
    again = shlex.join(["rucio-cs3", *map(str, job)])
    told = rf"Interrupted: {re.escape(target)} is as it was before; {hint}: {re.escape(again)}\n"
    assert (process.returncode, bool(re.fullmatch(told, said))) == (130, True), said
    assert not [*(gateway.root / "new").glob("*"), *(tmp_path / "new").glob("*")]
    gateway.faults.clear()
    ran = run(*job, **LOGIN, **settings)
    goes_on = (
        rf"going on with the upload of {re.escape(str(tmp_path / 'f'))} at byte \d+\n" if method == "PATCH" else ""
    )
    assert (ran.returncode, bool(re.fullmatch(goes_on, ran.stderr))) == (0, True), ran.stderr
    there = gateway.root if way == "up" else tmp_path
    assert (there / "new" / "f").read_bytes() == content


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("moment", [1, 4, 9])
def test_killed_and_begun_again(gateway, source, way, moment):
    job, method, target = moves(gateway, source)[way]
    job = [*job, "--journal", source.parent / "journal"]
    with running(*job) as process:
        until(lambda: seen(gateway, method) >= moment)
        process.kill()
    whole = contents(source)
    assert all(whole[name] == content for name, content in contents(target).items())
    ran = run(*job, **LOGIN)
    assert ran.returncode == 0, ran.stderr
    assert contents(target) == whole


def test_two_with_one_journal(gateway, source):
    job, method, _ = moves(gateway, source)["up"]
    job = [*job, "--journal", source.parent / "journal"]
    gateway.faults.add(Fault(f"http:{method}", "stall", seconds=600))
    with running(*job):
        until(lambda: seen(gateway, method))
        ran = run(*job, **LOGIN)
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert "is in use by another process" in ran.stderr


class Terminal:
    """A terminal for the process, and all that appears on it."""

    def __init__(self):
        self.controller, self.end = pty.openpty()
        self.shown = b""

    def read(self):
        with contextlib.suppress(OSError):
            while block := os.read(self.controller, 9999):
                self.shown += block

    @contextlib.contextmanager
    def running(self, *arguments, program=COMMAND, **variables):
        argv = [*program, *map(str, arguments)]
        ends = {"stdin": self.end, "stdout": self.end, "stderr": self.end}
        environ = {**environment(LOGIN), "TERM": "xterm", "COLUMNS": "120", **variables}
        with subprocess.Popen(argv, env=environ, start_new_session=True, **ends) as process:
            os.close(self.end)
            reader = threading.Thread(target=self.read)
            reader.start()
            try:
                yield process
                process.wait(SECONDS)
            finally:
                process.kill()
            reader.join(SECONDS)
        os.close(self.controller)


def test_a_terminal_is_shown_a_bar(gateway, source):
    terminal = Terminal()
    job, *_ = moves(gateway, source)["up"]
    with terminal.running(*job) as process:
        pass
    shown = terminal.shown.decode()
    assert process.returncode == 0
    assert re.search(rf"\d+ of {FILES + 2} files", shown)
    assert f"{FILES} done: 34.3M in " in shown
    assert " -> " not in shown  # the bar tells enough


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 1), (b"\n", 1)])
def test_a_terminal_is_asked_before_folders_are_deleted(gateway, answer, code):
    (gateway.root / "d" / "e").mkdir(parents=True)
    terminal = Terminal()
    with terminal.running("rm", "-r", f"cs3://{gateway.address}/d") as process:
        until(lambda: b"[y/N]" in terminal.shown)
        os.write(terminal.controller, answer)
    assert process.returncode == code
    assert (gateway.root / "d").exists() is bool(code)


@pytest.fixture
def path(tmp_path):
    """Where a shell finds our command."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "rucio-cs3"
    command.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-c", COMMAND[-1]])} "$@"\n')
    command.chmod(0o755)
    return f"{tmp_path / 'bin'}:{os.environ['PATH']}"


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_completes_names_at_a_site(gateway, path):
    for name in ("folder", "other"):
        (gateway.root / name).mkdir()
    (gateway.root / "for you%").write_bytes(b"")
    for trap in ("for;touch trap", "for$(touch trap)", "for*", "fo&"):
        (gateway.root / trap).write_bytes(b"")
    site = f"cs3://{gateway.address}"

    def completed(*words):
        code = """
            eval "$(rucio-cs3 completion bash)"
            compopt() { :; }  # which is for a shell with a user
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _rucio_cs3_completion rucio-cs3
            [[ $COMP_WORDBREAKS == *:* ]] && echo BREAKS
            printf '%s\\n' "${COMPREPLY[@]}"
        """
        argv = ["bash", "--norc", "-c", code, "bash", "rucio-cs3", *words]
        environ = {**environment(LOGIN), "PATH": path}
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False, env=environ)
        assert ran.stderr == ""
        return ran.stdout.split("\n")[:-1]

    assert completed("ls", f"{site}/fo") == [f"{site}/folder/", f"{site}/for%20you%25"]
    assert completed("cp", "a", f"{site}/oth") == [f"{site}/other/"]
    assert completed("cp", "cs3://127.0.0.1:1/a", f"{site}/oth") == [""]  # a login is shown to one gateway only
    assert completed("ls", "cs3://127.0.0.1:1/a") == [""]  # nobody there: nothing, and soon
    assert "mkdir" in completed("mk")


SHELLS = {
    "bash": (["--norc", "-i"], 'eval "$(rucio-cs3 completion bash)"'),
    "zsh": (["-f", "-i"], 'autoload -Uz compinit && compinit -u -D; eval "$(rucio-cs3 completion zsh)"'),
}


@pytest.fixture(params=SHELLS)
def shell(request, path):
    """A terminal with a shell that completes our names, and what to press keys with; at the end one leaves it."""
    program = shutil.which(request.param) or pytest.skip(f"{request.param} is not installed")
    options, setup = SHELLS[request.param]
    terminal = Terminal()

    def press(keys, seen):
        os.write(terminal.controller, keys.encode())
        until(lambda: seen.encode() in terminal.shown)

    with terminal.running(program=[program, *options], PATH=path, PS1="ready> ") as process:
        until(lambda: b"ready> " in terminal.shown)
        press(f"{setup}; echo set''up\n", "setup")
        yield press
        os.write(terminal.controller, b"exit\n")
    assert process.returncode == 0


def test_after_a_folder_one_goes_on(gateway, shell):
    """By keys, in a shell that has a terminal: after a blank the second word would not be completed, nor listed."""
    (gateway.root / "folder" / "inner").mkdir(parents=True)
    (gateway.root / "folder" / "inner" / "found").write_bytes(b"")
    shell(f"rucio-cs3 ls cs3://{gateway.address}/fo\t", "lder/")
    shell("in\t", "ner/")
    shell("\n", "found")


def test_after_an_rse_one_goes_on(shell):
    """Rucio has told of it a moment ago."""
    rses._keep(rses._file(), ["CERNBOX", "OTHER"])
    shell("rucio-cs3 ls CERN\t", "BOX:")
    shell("x\x01echo 'it' is \n", "it is rucio-cs3 ls CERNBOX:x")  # put before what stands there


@pytest.mark.parametrize(("shell", "word"), [("zsh", "#compdef rucio-cs3"), ("fish", "function _rucio_cs3_completion")])
def test_other_shells(shell, word):
    assert word in run("completion", shell).stdout
