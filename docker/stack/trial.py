"""What `docker/try` runs inside the stack: files go up, to the other site, down, and away, and are compared each time.

`rucio upload` and `rucio download` exit with 0 whatever happens, so what counts is what came of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
import uuid
from configparser import RawConfigParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from rucio.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 300  # seconds that Rucio's daemons may take; they sleep between their rounds
HERE, THERE = "SITE-A", "SITE-B"
SIZES = {"higgs.root": 5_000_000, "notes.txt": 10}


class Failed(Exception):
    """A step did not have the outcome that it should have."""


class Trial:
    """The steps, on files of their own names, so that it can be run again and again."""

    def __init__(self, desk: Path) -> None:
        self.desk = desk
        self.began = time.monotonic()
        self.step = "begin"
        self.client = Client()
        mark = uuid.uuid4().hex[:8]
        self.files = {f"{mark}-{name}": os.urandom(size) for name, size in SIZES.items()}
        for name, content in self.files.items():
            (desk / name).write_bytes(content)

    def run(self) -> None:
        """All of it."""
        with self.timed(f"einstein, logged in to Rucio by password, uploads to {HERE}"):
            self.upload("einstein", HERE, *self.files)
            self.download("einstein", HERE, *self.files)
        with self.timed(f"a rule brings the files to {THERE}"):
            dids = [f"user.einstein:{name}" for name in self.files]
            self.rucio("einstein", "rule", "add", *dids, "--copies", "1", "--rses", THERE)
            self.wait(lambda: self.states(THERE) == ["AVAILABLE"] * len(self.files), f"not at {THERE}")
        with self.timed(f"they come down from {THERE} as they were"):
            self.download("einstein", THERE, *self.files)
        with self.timed(f"marie, logged in at the identity provider, uploads to {THERE}"):
            self.marie()
        with self.timed("the rules end, and the daemons delete the files at both sites"):
            self.expire()
            self.wait(lambda: not (self.states(HERE) or self.states(THERE)), "still in the catalogue")
            self.gone()

    @contextlib.contextmanager
    def timed(self, title: str) -> Iterator[None]:
        """Say what is done, and how long it took."""
        self.step = title
        print(f"\n{title}", flush=True)
        began = time.monotonic()
        yield
        print(f"  ok, {time.monotonic() - began:.1f} s", flush=True)

    def rucio(self, who: str, *words: str, **environ: str) -> str:
        """Type a command as one of them; the answer is shown if the trial fails."""
        print(f"  {who}$ {shlex.join(('rucio', *words))}", flush=True)
        return self.command("rucio", *words, **environ)

    def command(self, *words: str, **environ: str) -> str:
        """Run it; a failure is one of the trial."""
        done = subprocess.run(  # noqa: S603
            words, cwd=self.desk, env={**os.environ, **environ}, capture_output=True, text=True, check=False
        )
        self.said = done.stdout + done.stderr
        if done.returncode:
            raise Failed(f"{shlex.join(words)} ended with {done.returncode}")
        return done.stdout

    def upload(self, who: str, rse: str, *names: str, **environ: str) -> None:
        """Look what the catalogue says."""
        self.rucio(who, "upload", "--rse", rse, "--scope", f"user.{who}", *names, **environ)
        if self.states(rse, f"user.{who}", names) != ["AVAILABLE"] * len(names):
            raise Failed(f"Rucio's catalogue does not have {', '.join(names)} at {rse}")

    def download(self, who: str, rse: str, *names: str, **environ: str) -> None:
        """To a folder of its own, and compare by checksum."""
        folder = tempfile.mkdtemp(dir=self.desk)
        dids = [f"user.{who}:{name}" for name in names]
        self.rucio(who, "download", *dids, "--rses", rse, "--dir", folder, "--no-subdir", **environ)
        for name in names:
            got, content = Path(folder, name), self.files[name]
            if not got.is_file():
                raise Failed(f"{name} did not come from {rse}")
            if sha256(got.read_bytes()) != sha256(content):
                raise Failed(f"{name} came from {rse} with other bytes")
            print(f"  {name}: {len(content)} bytes, sha256 {sha256(content)[:16]}… as it was", flush=True)

    def marie(self) -> None:
        """Her token is all that she has: to Rucio, and to the site."""
        token = self.desk / "token"
        token.touch(mode=0o600)
        token.write_text(token_of("marie"))
        [name] = [name for name in self.files if name.endswith("notes.txt")]
        environ = {"RUCIO_CONFIG": "/conf/marie.cfg", "BEARER_TOKEN_FILE": str(token)}
        self.upload("marie", THERE, name, **environ)
        self.download("marie", THERE, name, **environ)

    def expire(self) -> None:
        """End all rules: as the operator, for they are of two people."""
        operator = Client(account="root", auth_type="userpass", creds=login_of("operator"))
        for scope in ("user.einstein", "user.marie"):
            for name in self.files:
                for rule in operator.list_replication_rules({"scope": scope, "name": name}):
                    operator.update_replication_rule(rule["id"], {"lifetime": 0})

    def gone(self) -> None:
        """Look at the sites themselves, where the files would be."""
        for rse in (HERE, THERE):
            listed = self.command("rucio-cs3", "find", f"{rse}:user", RUCIO_CONFIG="/conf/operator.cfg")
            left = [name for name in self.files if name in listed]
            if left:
                raise Failed(f"still at {rse}: {', '.join(left)}")

    def states(self, rse: str, scope: str = "", names: tuple[str, ...] = ()) -> list[str]:
        """What the catalogue says of the files there."""
        scopes = [scope] if scope else ["user.einstein", "user.marie"]
        dids = [{"scope": each, "name": name} for each in scopes for name in names or self.files]
        found = self.client.list_replicas(dids, all_states=True)
        return [replica["states"][rse] for replica in found if rse in replica["states"]]

    def wait(self, done: Callable[[], bool], otherwise: str) -> None:
        """Rucio tells nobody when it is done."""
        end = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > end:
                raise Failed(f"{otherwise} after {PATIENCE} s: docker-compose logs tells why")
            time.sleep(0.5)


def token_of(person: str) -> str:
    """As the login in a browser would give it."""
    password = Path(f"/conf/{person}.password").read_text()
    form = {"grant_type": "password", "client_id": "people", "username": person, "password": password}
    answer: Any = requests.post(
        "https://idp:9000/token", {**form, "scope": "openid profile"}, verify="/conf/ca.pem", timeout=30
    )
    if not answer.ok:
        raise Failed(f"the identity provider answers {answer.status_code}")
    return answer.json()["access_token"]


def login_of(name: str) -> dict[str, str]:
    """As it stands in the configuration for this login."""
    config = RawConfigParser()
    config.read(f"/conf/{name}.cfg")
    return {key: config["client"][key] for key in ("username", "password")}


def sha256(content: bytes) -> str:
    """What files are compared by."""
    return hashlib.sha256(content).hexdigest()


def main() -> int:
    """Run the trial and give the verdict."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder))
        try:
            trial.run()
        except Exception as error:  # noqa: BLE001 -- whatever it was, the verdict says so
            problem = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
            print(getattr(trial, "said", ""), flush=True)
            print(f"\nVERDICT: FAIL: {trial.step}: {problem}")
            return 1
        print(f"\nVERDICT: PASS in {time.monotonic() - trial.began:.1f} s")
        return 0


if __name__ == "__main__":
    sys.exit(main())
