"""The one object that users hold."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, BinaryIO

from rucio_cs3 import deadline, observe
from rucio_cs3.config import Config
from rucio_cs3.credentials.caller import NOBODY
from rucio_cs3.credentials.sources import Sources
from rucio_cs3.credentials.store import Store, kept_in
from rucio_cs3.credentials.tokens import Tokens
from rucio_cs3.cs3.apps import Apps
from rucio_cs3.cs3.auth import Auth
from rucio_cs3.cs3.channel import Channel
from rucio_cs3.cs3.files import Files
from rucio_cs3.cs3.locks import Locks
from rucio_cs3.cs3.spaces import Spaces
from rucio_cs3.model import Ref
from rucio_cs3.transfer import stream
from rucio_cs3.transfer.download import Downloads
from rucio_cs3.transfer.folders import Folders
from rucio_cs3.transfer.http import DataServers
from rucio_cs3.transfer.local import opened, rewindable
from rucio_cs3.transfer.upload import Uploads

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from typing import IO

    from typing_extensions import Self

    from rucio_cs3.credentials.caller import Caller
    from rucio_cs3.model import Info, Target, Uploaded, User


class Cs3Client:
    """A CS3 site as one user sees it. Safe to share between threads; nothing connects before the first call.

    An example::

        with Cs3Client(gateway="cs3.example.org:443", username="einstein", password_file="~/.cs3") as site:
            site.upload("results.root", "/eos/user/e/einstein/results.root")
            for entry in site.files.list("/eos/user/e/einstein"):
                print(entry.name, entry.size)

    What is not given comes from `RUCIO_CS3_…` in the environment, and the TOML file that `RUCIO_CS3_CONFIG` names.
    """

    def __init__(self, config: Config | None = None, *, caller: Caller = NOBODY, **settings: Any) -> None:
        self.config = config.but(**settings) if config else Config.load(**settings)
        observe.begin(self.config.metrics, self.config.traces)
        self._channel = Channel(self.config)
        self.auth = Auth(self._channel)
        self._sources = Sources(self.config, caller)
        tokens = self.tokens = self._channel.tokens = Tokens(
            self.config.gateway,
            self._sources.in_order,
            self.auth.authenticate,
            Store(kept_in(self.config.cache)),
            lambda: caller.shown,
        )
        self.files = Files(self._channel)
        self.apps = Apps(self._channel, self.files)
        self.locks = Locks(self._channel)
        self.spaces = Spaces(self._channel)
        self._servers = DataServers(self.config, tokens)
        self._downloads = Downloads(self.config, self.files, self._servers, tokens)
        self.folders = Folders(self.files)
        self._uploads = Uploads(self.config, self.files, self._servers, tokens, self.folders, self._downloads)

    def __repr__(self) -> str:
        return f"<Cs3Client {self.config.gateway}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._sources.close()
        self._servers.close()
        self._channel.close()

    def whoami(self) -> User:
        """The user whom the site takes us for."""
        return self.auth.whoami()

    def download(
        self,
        target: Target,
        sink: str | os.PathLike[str] | BinaryIO,
        *,
        resume: bool = False,
        overwrite: bool = True,
        checksums: Mapping[str, str] | None = None,
        progress: Callable[[int, int], None] | None = None,
        timeout: float | None = None,
    ) -> Info:
        """Fetch a file to a path, where it appears whole and verified or not at all, or into an open binary file.

        `resume` and `overwrite` are for paths. With `resume`, what came before the network failed or it was stopped
        is kept beside it, as `.<name>.rucio-cs3.part`, and the next call goes on from there. `progress` may be called
        by any thread, one at a time.
        """
        options: Any = {"checksums": checksums, "progress": progress}
        target = Ref.of(target)
        with deadline.within(timeout), observe.transfer("download", target) as seen:
            if isinstance(sink, (str, os.PathLike)):
                place = os.fspath(sink)
                info = self._downloads.to_path(target, place, resume=resume, overwrite=overwrite, **options)
            else:
                info = self._downloads.to_file(target, sink, **options)
            seen.moved(info.size)
            return info

    def upload(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        target: Target,
        *,
        overwrite: bool = False,
        temporary: bool = False,
        root: Ref | None = None,
        checksums: Mapping[str, str] | None = None,
        progress: Callable[[int, int], None] | None = None,
        timeout: float | None = None,
    ) -> Uploaded:
        """Store a local path, or what is left of an open binary file; missing folders are made, those below `root`.

        It appears under its name when it is whole and verified. `temporary` says that the name does not matter yet:
        the caller will `move` it, and one call is saved.
        """
        if isinstance(source, (str, os.PathLike)):
            found: AbstractContextManager[Any] = opened(os.fspath(source))
        else:
            found = rewindable(source)
        with deadline.within(timeout), found as content:
            return self._uploads.put(
                content,
                target,
                overwrite=overwrite,
                temporary=temporary,
                root=root,
                checksums=checksums,
                progress=progress,
            )

    def move(self, old: Target, new: Target) -> None:
        """Like files.move, for what was uploaded as `temporary`."""
        self.files.move(old, new)
        self._uploads.moved(Ref.of(old), Ref.of(new))

    def open_read(self, target: Target) -> io.BufferedReader:
        """A file object with seek and tell."""
        return stream.reader(Ref.of(target), self._downloads, self._servers)

    def serves_ranges(self, target: Target) -> bool:
        """Whether the data server gives parts of this file, which is asked for one: some announce it, and refuse."""
        return self._downloads.serves_parts(Ref.of(target))

    def open_write(self, target: Target, *, overwrite: bool = False) -> AbstractContextManager[IO[bytes]]:
        """For `with`: the file is stored when the block ends, and not if it ends in an exception."""
        return stream.writer(Ref.of(target), self._uploads, overwrite=overwrite)


_shared: dict[tuple[int, Config, Caller], Cs3Client] = {}
_shared_lock = threading.Lock()


def shared(config: Config, caller: Caller = NOBODY) -> Cs3Client:
    """The process's one client for this configuration. A forked child gets its own: gRPC does not survive a fork."""
    key = (os.getpid(), config, caller)
    with _shared_lock:
        if key not in _shared:
            _shared[key] = Cs3Client(config, caller=caller)
        return _shared[key]


def _unlock() -> None:
    """A child must not wait for a thread that it has not got."""
    global _shared_lock  # noqa: PLW0603 - a module's state, made anew
    _shared_lock = threading.Lock()


os.register_at_fork(after_in_child=_unlock)
