"""`make demo`: a real Rucio stores, lists, fetches, copies and deletes files on CS3 storages, before your eyes.

Everything runs in a temporary folder on free ports and is gone afterwards. Each step asserts what came of it, because
`rucio upload` and `rucio download` exit 0 also when they fail.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shlex
import signal
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console
from rich.markup import escape

from demo.mover import Mover, site_of
from demo.sandbox import Sandbox
from demo.storage import LOGIN, Gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

RSE, OTHER, SCOPE, DATASET, FOLDER = "CERNBOX", "SCIEBO", "demo", "run-1", "rucio"
FILES = {"higgs.root": os.urandom(5_000_000), "notes.txt": b"It works.\n", "empty.flag": b""}
CONFIG = {
    f"cs3:{RSE}": LOGIN,
    f"cs3:{OTHER}": LOGIN,
    "conveyor": {"scheme": "davs", "transfertool": "fts3"},
    # Rucio takes an empty file for a storage that lags behind, and would look again for a minute
    "client": {"protocol_stat_retries": 0},
}
ROUNDS: dict[str, str | list[str]] = {  # of Rucio's daemons, by demo/daemons.py's names
    "judge-evaluator": "evaluator",
    "judge-cleaner": "cleaner",
    "conveyor-submitter": "submitter",
    "conveyor-poller": "poller",
    "conveyor-finisher": "finisher",
    f"reaper --greedy --rses {RSE} {OTHER}": ["reaper", RSE, OTHER],
}
LONG_LINE = 110
ANSI = re.compile(r"\x1b\[[\d;]*m")
LOG_LINE = re.compile(r"[-\d]+ [:,\d]+\t(?P<level>\w+)\t(?P<text>.*)")
COLOURS = {"WARNING": "yellow", "ERROR": "red"}
ECHO = re.compile(r"(DEBUG|INFO|WARNING|ERROR):\w+:")  # Rucio logs each line twice


class Failed(Exception):
    """A step did not have the outcome it should have had."""


class Story:
    """What the audience reads: numbered steps with their times, and the commands that a person would type."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.start = time.monotonic()
        self.numbers = itertools.count(1)
        self.title = "set-up"

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step, then say how long it took."""
        self.title = title
        self.console.print(f"\n[bold cyan]{next(self.numbers)}. {title}[/]")
        began = time.monotonic()
        yield
        self.console.print(f"   [green]done[/] [dim]in {time.monotonic() - began:.1f} s[/]")

    def command(self, *words: str) -> None:
        """Show a command line; a long one has an option on each line."""
        line = shlex.join(words)
        if len(line) > LONG_LINE:
            line = line.replace(" --", " \\\n       --")
        self.console.print(f"   [bold]$ {escape(line)}[/]", soft_wrap=True)

    def say(self, text: str) -> None:
        """Show something that came of it."""
        for line in text.rstrip().splitlines():
            self.console.print(f"     {escape(line)}", soft_wrap=True)

    def file(self, name: str, content: str) -> None:
        """Show what stands in a file."""
        self.console.print(f"   [bold]{escape(name)}[/]")
        self.say(content)

    def output(self, text: str) -> None:
        """Show what a command printed, without time stamps and echoes."""
        for line in ANSI.sub("", text).splitlines():
            found = LOG_LINE.match(line)
            if found:
                colour = COLOURS.get(found["level"], "default")
                self.console.print(f"     [{colour}]{found['level']}[/] {escape(found['text'])}", soft_wrap=True)
            elif line.strip() and not ECHO.match(line):
                self.say(line)

    def verdict(self, failure: str | None) -> None:
        """Have the last word."""
        seconds = time.monotonic() - self.start
        line = f"VERDICT: FAIL: {self.title}: {failure}" if failure else f"VERDICT: PASS in {seconds:.1f} s"
        self.console.print(f"\n[bold {'red' if failure else 'green'}]{escape(line)}[/]", soft_wrap=True)


class Demo:
    """The steps, in order, on storages, a Rucio and a mover that are up."""

    def __init__(self, story: Story, sites: dict[str, Gateway], sandbox: Sandbox, mover: Mover, desk: Path) -> None:
        self.story = story
        self.sites = sites
        self.sandbox = sandbox
        self.client = sandbox.client()
        self.mover = mover
        self.desk = desk  # where the user's own files are

    def run(self) -> None:
        """Do it all."""
        self.configure()
        self.upload()
        self.list()
        self.download()
        self.refuse_damaged_bytes()
        self.replicate()
        self.delete()

    def configure(self) -> None:
        """Make the RSEs, as their operators would."""
        with self.story.step(f"The RSEs {RSE} and {OTHER} are made; their protocol is this plugin"):
            self.rucio("scope", "add", SCOPE, "--account", "root")
            for rse in self.sites:
                self.add(rse)
            self.rucio("rse", "distance", "set", RSE, OTHER, "--distance", "1")

    def add(self, rse: str) -> None:
        """Make one of them. `fts` is where Rucio asks for copies: at the mover, or at an FTS."""
        storage = self.storage(rse)
        self.story.command("mkdir", str(storage))  # the RSE's root folder: the plugin never makes it
        storage.mkdir()
        self.rucio("rse", "add", rse)
        self.rucio("rse", "protocol", "add", rse, *self.sites[rse].davs(FOLDER).as_options())
        self.rucio("rse", "attribute", "set", rse, "--key", "fts", "--value", self.mover.url)
        self.rucio("account", "limit", "set", "root", "--rse", rse, "--bytes", "infinity")
        [protocol] = self.client.get_protocols(rse)
        expect(protocol["impl"] == "rucio_cs3.protocol.Default", f"the RSE has another protocol: {protocol}")

    def upload(self) -> None:
        """Upload the files as one dataset."""
        with self.story.step("A user uploads three files as a dataset"):
            for name, content in FILES.items():
                (self.desk / name).write_bytes(content)
            self.rucio("upload", "--rse", RSE, "--scope", SCOPE, f"{SCOPE}:{DATASET}", *FILES)
            self.daemons("judge-evaluator")
            self.expect_all_at(RSE)
            self.story.say("All three are on the storage, byte for byte, and AVAILABLE in Rucio's catalogue.")

    def list(self) -> None:
        """Ask Rucio where the files are."""
        with self.story.step("Where are they? At the site's own WebDAV addresses"):
            listing = self.rucio("replica", "list", "file", f"{SCOPE}:{DATASET}", "--pfns")
            for name in FILES:
                expect(f"davs://{self.sites[RSE].http}" in listing and f"/{name}" in listing, f"{name} is not listed")

    def download(self) -> None:
        """Download the dataset and compare."""
        with self.story.step("The user downloads the dataset, and gets the same bytes"):
            self.rucio("download", f"{SCOPE}:{DATASET}", "--dir", "down")
            got = {file.name: file.read_bytes() for file in (self.desk / "down" / DATASET).iterdir()}
            expect(got == FILES, f"{sizes(got)} arrived, not {sizes(FILES)}")
            for replica in self.replicas(RSE):
                checksum = adler32(got[replica["name"]])
                expect(replica["adler32"] == checksum, f"{replica['name']} has not the catalogue's checksum")
                self.story.say(f"{replica['name']:<12} {replica['bytes']:>9,} bytes  adler32 {checksum} ✓")

    def refuse_damaged_bytes(self) -> None:
        """Damage a file on the storage: its size stays, its checksum does not."""
        with self.story.step("A disk at the site flips some bits: the damaged file is not handed over"):
            [file] = self.storage(RSE).rglob("notes.txt")
            file.write_bytes(b"It wurks.\n")
            self.rucio("download", f"{SCOPE}:notes.txt", "--dir", "damaged")
            left = [path for path in (self.desk / "damaged").rglob("*") if path.is_file()]
            expect(not left, f"the damaged file was handed over: {left}")
            self.story.say("Refused, as it should be, and nothing of it was left on the user's disk.")
            file.write_bytes(FILES["notes.txt"])

    def replicate(self) -> None:
        """Want the dataset at the other site, too."""
        with self.story.step(f"A rule wants the dataset at {OTHER}, too, and the mover copies it"):
            self.rucio("rule", "add", f"{SCOPE}:{DATASET}", "--copies", "1", "--rses", OTHER)
            self.daemons("conveyor-submitter")
            self.mover.wait()
            self.daemons("conveyor-poller", "conveyor-finisher")
            self.expect_all_at(OTHER)
            done = [rule["state"] for rule in self.client.list_did_rules(SCOPE, DATASET)]
            expect(done == ["OK", "OK"], f"the rules are {done}")
            self.story.say(f"All three are at {OTHER}, byte for byte, and the rule is OK. Nobody carried a token.")

    def delete(self) -> None:
        """Let the rules expire, and the daemons clean up."""
        with self.story.step("The rules expire, and Rucio's daemons delete the files at both sites"):
            for rule in self.client.list_did_rules(SCOPE, DATASET):
                self.rucio("rule", "update", rule["id"], "--lifetime", "0")
            self.daemons("judge-cleaner")
            self.daemons(f"reaper --greedy --rses {RSE} {OTHER}")
            for rse in self.sites:
                expect(self.stored(rse) == {}, f"still at {rse}: {sizes(self.stored(rse))}")
                expect(self.replicas(rse) == [], f"still in the catalogue: {self.replicas(rse)}")
            self.story.say("Gone from both storages, and from Rucio's catalogue.")

    def rucio(self, *arguments: str) -> str:
        """Type a `rucio …` command on the user's desk."""
        self.story.command("rucio", *arguments)
        output = self.sandbox.rucio(*arguments, cwd=self.desk).stdout
        self.story.output(output)
        return output

    def daemons(self, *programs: str) -> None:
        """Run one round of each; their logs would tell the audience nothing."""
        for program in programs:
            self.story.command(*f"rucio-{program} --run-once".split())
        self.sandbox.rounds(*(ROUNDS[program] for program in programs))

    def expect_all_at(self, rse: str) -> None:
        """See that storage and catalogue have all the files, as they were."""
        stored = self.stored(rse)
        expect(stored == FILES, f"{rse} holds {sizes(stored)}, not {sizes(FILES)}")
        for replica in self.replicas(rse):
            state, checksum = replica["states"][rse], adler32(FILES[replica["name"]])
            expect(state == "AVAILABLE", f"{replica['name']} is {state} in Rucio's catalogue")
            expect(replica["adler32"] == checksum, f"the catalogue has a wrong checksum for {replica['name']}")

    def storage(self, rse: str) -> Path:
        """The RSE's folder."""
        return self.sites[rse].home / FOLDER

    def stored(self, rse: str) -> dict[str, bytes]:
        """All files in the RSE's folder on the storage."""
        return {path.name: path.read_bytes() for path in self.storage(rse).rglob("*") if path.is_file()}

    def replicas(self, rse: str) -> list[dict[str, Any]]:
        """Return what the catalogue says of the files there."""
        dids = [{"scope": SCOPE, "name": name} for name in FILES]
        return [replica for replica in self.client.list_replicas(dids, all_states=True) if rse in replica["states"]]


def expect(outcome: bool, otherwise: str) -> None:
    """Fail the demo unless the outcome is as it should be."""
    if not outcome:
        raise Failed(otherwise)


def adler32(content: bytes) -> str:
    """Return the checksum as Rucio writes it."""
    return f"{zlib.adler32(content):08x}"


def ini(sections: dict[str, dict[str, Any]]) -> str:
    """Write sections as they stand in rucio.cfg."""
    lines: list[str] = []
    for name, options in sections.items():
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in options.items())]
    return "\n".join(lines)


def sizes(files: dict[str, bytes]) -> str:
    """Describe files briefly."""
    return ", ".join(f"{name} ({len(content)} bytes)" for name, content in files.items()) or "nothing"


def interrupt(number: int, _: object) -> NoReturn:
    """Leave by the way that cleans up, and let nothing disturb that."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(signal.Signals(number).name)


def play(story: Story) -> None:
    """Bring everything up, run the demo, take everything down."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rucio-cs3-demo-")))
        desk = folder / "desk"
        desk.mkdir()
        with story.step("Two CS3 storages: embedded gateways, each on a folder"):
            sites = {rse: stack.enter_context(Gateway(folder / rse.lower())) for rse in (RSE, OTHER)}
            for rse, gateway in sites.items():
                story.command("rucio-cs3", "gateway", "--root", str(gateway.root))
                story.say(f"{rse}: gRPC on {gateway.grpc}, HTTP on {gateway.http}")
        with story.step("A Rucio: database, server, and a rucio.cfg with the storages' logins"):
            sandbox = stack.enter_context(Sandbox(config=CONFIG))
            story.say(f"server on {sandbox.url}")
            story.file("rucio.cfg, the plugin's part:", ini(CONFIG))
            sandbox.prepare_rounds()
        with story.step("A mover, which copies between the sites as an FTS would"):
            mover = stack.enter_context(Mover(folder, {rse: site_of(gateway) for rse, gateway in sites.items()}))
            story.command("rucio-cs3", "mover", "--config", str(mover.config))
            story.say(f"FTS3's REST calls on {mover.url}")
        Demo(story, sites, sandbox, mover, desk).run()
        with story.step("Everything is stopped and removed"):
            stack.close()


def main() -> int:
    """Play, and return the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    story = Story()
    try:
        play(story)
    except KeyboardInterrupt:
        failure = "interrupted"
    except Exception as error:  # noqa: BLE001 -- whatever it was, the verdict says so
        failure = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
    else:
        failure = None
    story.verdict(failure)
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
