"""Sites that are folders, and a mover that copies between them: davs://a.example/x is a.example/x in the root.

`python folders.py CONFIG ROOT` serves such a mover until it is told to stop, or killed. A file named `hold` in the root
keeps copies from going on; a number in it, once they have so many bytes.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import zlib
from pathlib import Path
from urllib.parse import urlsplit

from rucio_cs3 import deadline
from rucio_cs3.mover.model import Done, Failed, Side

CHUNK = 1 << 16


class Folders:
    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, url: str) -> Path:
        parts = urlsplit(url)
        return self.root / parts.netloc / parts.path.strip("/")

    def copy(self, wanted, progress):
        """A rucio_cs3.mover.model.Copy."""
        tried = {}
        for source in wanted.sources:
            try:
                return dataclasses.replace(self._from(source, wanted, progress), tried=tried)
            except FileNotFoundError:
                token = source.token or ""
                tried[source.url] = f"SOURCE [2] No such file or directory: {source.url} {token}".strip()
        failure = Failed(Side.SOURCE, "; ".join(tried.values()), again=False)
        failure.tried = tried
        raise failure

    def _from(self, source, wanted, progress):
        target = self.path(wanted.target.url)
        if target.exists() and not wanted.overwrite:
            text = f"DESTINATION [17] Destination file exists and overwrite is not enabled: {wanted.target.url}"
            raise Failed(Side.TARGET, text, again=False)
        if "flaky" in target.name and not (mark := target.with_name(f"{target.name}.tried")).exists():
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
            token = wanted.target.token
            raise Failed(Side.TARGET, f"DESTINATION [70] Communication error on send, {token}", again=True)
        with self.path(source.url).open("rb") as content:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._note("began", target)
            part, size, checksum = target.with_name(f"{target.name}.part{os.getpid()}"), 0, 1
            with part.open("wb") as out:
                self._wait(0)
                while chunk := content.read(CHUNK):
                    deadline.check()
                    checksum = zlib.adler32(chunk, checksum)
                    size += out.write(chunk)
                    progress(size)
                    self._wait(size)
        part.rename(target)
        self._note("ended", target)
        return Done(source.url, size, {"adler32": f"{checksum:08x}"}, "streamed")

    def _wait(self, size: int) -> None:
        while (self.root / "hold").exists() and size >= self._most():
            deadline.sleep(0.02)

    def _most(self) -> float:
        try:
            return int((self.root / "hold").read_text() or 0)
        except FileNotFoundError:
            return float("inf")

    def _note(self, what: str, target: Path) -> None:
        with (self.root / "notes").open("a") as notes:
            notes.write(f"{what} {target.name}\n")


def main(config: str, root: str) -> None:
    from rucio_cs3.mover import config as configs  # noqa: PLC0415 - the class above needs none of it
    from rucio_cs3.mover.serve import serve  # noqa: PLC0415

    serve(configs.load(config), lambda: Folders(Path(root)).copy, lambda url: sys.stderr.write(f"{url}\n"))


if __name__ == "__main__":
    main(*sys.argv[1:])
