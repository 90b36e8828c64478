"""`rucio-cs3 mover status` on a terminal: a table that lives."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading

import pytest

from tests.unit.mover.conftest import COMMAND, PATIENCE, file, wait_for

pytestmark = pytest.mark.slow
CHUNK = 1 << 16
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Screen:
    """A terminal of this size, and what a program writes on it."""

    def __init__(self, *argv, columns=120, lines=40):
        self.columns = columns
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environ = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
        environ.update(TERM="xterm-256color", LC_ALL="C.UTF-8")
        self._process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
        os.close(theirs)
        self._written = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        with contextlib.suppress(OSError):  # so a terminal says that nobody is there any more
            while some := os.read(self._ours, 4096):
                self._written += some

    @property
    def text(self):
        return CONTROL.sub("", self._written.decode(errors="ignore")).replace("\r", "\n")

    @property
    def last(self):
        """The last picture."""
        return f"Mover{self.text.rpartition('Mover ')[2]}"

    def shows(self, *words):
        wait_for(lambda: all(word in self.last for word in words))

    def end(self):
        """As Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        os.close(self._ours)
        return code


@pytest.fixture
def busy(mover, root, put):
    """One copy that is half done, one that failed, and many that wait."""
    put("davs://a.example/x", b"x" * 4 * CHUNK)
    mover.ended(mover.submit(file("davs://a.example/none", "davs://b.example/failed")))
    (root / "hold").write_text(str(2 * CHUNK))
    jobs = [mover.submit(file("davs://a.example/x", f"davs://b.example/{n}", filesize=4 * CHUNK)) for n in range(25)]
    wait_for(lambda: len(mover.ask("GET", "/status.json").json()["running"]) == 16)
    return jobs


def watch(mover, *options, **size):
    return Screen(*COMMAND, "status", "--url", mover.url, "--every", "0.2", *options, **size)


def test_it_lives(mover, busy, root):
    screen = watch(mover)
    try:
        screen.shows("ACTIVE 16", "SUBMITTED 9", "a.example", "b.example", "128.0K", "256.0K", "No such file")
        (root / "hold").unlink()
        screen.shows("FINISHED 25", "copied in the last hour")
        assert not {"ACTIVE", "WAITING", "CANCELED"} & set(screen.last.split())  # what is not there is not counted
        assert "Copies that run" not in screen.last
        assert "\x1b[?25l" in screen._written.decode()  # no cursor runs about
    finally:
        assert screen.end() == 0
    assert screen._written.decode().rstrip().endswith("\x1b[?25h")


@pytest.mark.parametrize(("columns", "lines"), [(40, 24), (80, 24), (160, 30)])
def test_it_fits(mover, busy, columns, lines):
    screen = watch(mover, columns=columns, lines=lines)
    try:
        screen.shows("ACTIVE 16", "Copies that run", "more", "Links", "Last failures", "UTC  job ")
        before = len(screen.text)
        wait_for(lambda: screen.text.count("Last failures", before) >= 2)
    finally:
        screen.end()
    shown = screen.text.splitlines()
    assert max(map(len, shown)) <= columns
    wiped = re.findall(r"(?:\x1b\[1A\x1b\[2K)+", screen._written.decode())  # before the next picture
    assert 0 < max(each.count("A") for each in wiped) < lines


def test_a_reason_is_shown_whole(mover):
    name = "/".join("x" * 60 for _ in range(5))
    mover.ended(mover.submit(file(f"davs://a.example/{name}", "davs://b.example/y")))
    screen = watch(mover, columns=80, lines=24)
    try:
        screen.shows("Last failures")
        wait_for(lambda: f"No such file or directory: davs://a.example/{name}" in screen.last.replace("\n", ""))
    finally:
        screen.end()


def test_a_mover_that_goes_away_and_comes_back(mover, start, settings, busy):
    screen = watch(mover)
    try:
        screen.shows("ACTIVE 16")
        mover.kill()
        wait_for(lambda: "asking again" in screen.text)
        before = screen.text.count("asking again")
        assert before
        start({**settings, "listen": mover.url.rpartition("/")[2]})
        wait_for(
            lambda: "asking again" not in screen.text.rpartition("Last failures")[0].rpartition("Last failures")[2]
        )
    finally:
        assert screen.end() == 0


def test_once_and_as_json(mover, busy):
    once = Screen(*COMMAND, "status", "--url", mover.url, "--once")
    once._process.wait(PATIENCE)
    once.end()
    assert "more" not in once.text.rpartition("Last failures")[0]
    assert len(re.findall("a.example +b.example", once.text)) == 17
    told = subprocess.run(
        [*COMMAND, "status", "--url", mover.url, "--json"], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert set(json.loads(told.stdout)) == {"mover", "time", "files", "running", "links", "failures", "flow", "banned"}
