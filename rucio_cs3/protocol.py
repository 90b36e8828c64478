"""The RSE protocol plugin: `impl = rucio_cs3.protocol.Default`.

Rucio's server imports this module to write PFNs and constructs an object per file, so nothing heavy happens before
`connect`. Storage work is the client's; here PFNs become paths, and our errors the exceptions Rucio acts on.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, TypeVar, cast

from rucio.common import exception
from rucio.common.config import get_config, get_config_dirs
from rucio.rse.protocols.protocol import RSEProtocol

from rucio_cs3 import deadline, errors, observe
from rucio_cs3.config import ENVIRONMENT, Layer, from_environment
from rucio_cs3.credentials.caller import RucioLogin, caller
from rucio_cs3.private import there
from rucio_cs3.rse import Rse, path_to_pfn, pfn_to_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rucio_cs3.credentials.caller import Caller
    from rucio_cs3.model import Info
    from rucio_cs3.root import Root

Method = TypeVar("Method", bound=Callable[..., Any])

TEMPORARY = ".rucio.upload"  # Rucio's suffix for a name it will rename when it has verified the file
RUCIO_CHECKSUMS = ("adler32", "md5")
RSE_ACCOUNTS = "rse-accounts.cfg"
RUCIO_SECONDS = 30  # for an answer of Rucio's server; its client would wait for ten minutes

# The first class that fits decides. What the reaper must not take for "deleted" may never become SourceNotFound.
RUCIO_EXCEPTIONS: tuple[tuple[type[Exception], type[Exception]], ...] = (
    (errors.InvalidName, exception.RSEFileNameNotSupported),
    (errors.ConfigError, exception.RSEAccessDenied),
    (errors.NotAuthenticated, exception.RSEAccessDenied),
    (errors.PermissionDenied, exception.RSEAccessDenied),
    (errors.NotFound, exception.SourceNotFound),
    (errors.AlreadyExists, exception.FileReplicaAlreadyExists),
    (errors.IsDirectory, exception.RSEOperationNotSupported),
    (errors.NotDirectory, exception.RSEOperationNotSupported),
    (errors.Unsupported, exception.RSEOperationNotSupported),
    (errors.InvalidRequest, exception.RSEOperationNotSupported),
    (errors.StorageFull, exception.FullStorage),
    (errors.Locked, exception.ResourceTemporaryUnavailable),
    (errors.Processing, exception.ResourceTemporaryUnavailable),
    (errors.SizeMismatch, exception.FileConsistencyMismatch),
    (errors.ChecksumMismatch, exception.FileConsistencyMismatch),
    (errors.LocalSourceMissing, exception.SourceNotFound),
    (errors.LocalSourceError, exception.SourceAccessDenied),
    (errors.LocalTargetError, exception.DestinationNotAccessible),
    (errors.Cs3Error, exception.ServiceUnavailable),
)

# Rucio's clients say why these failed only when told to be verbose (connect, get), or deep in a stack trace (put).
UNHEARD = ("connect", "get", "put")


# These ask no storage.
NAMES_ONLY = ("parse_pfns", "path2pfn")


def rucio_exception(error: errors.Cs3Error) -> Exception:
    """What Rucio should see."""
    kind: type[Exception] = next(theirs for ours, theirs in RUCIO_EXCEPTIONS if isinstance(error, ours))
    return kind(str(error))


def translated(method: Method) -> Method:
    """Let nothing but Rucio exceptions out, each with our one line."""
    asks = method.__name__ not in NAMES_ONLY

    @functools.wraps(method)
    def wrapper(self: Default, *args: Any, **kwargs: Any) -> Any:
        try:
            with observe.work(f"rucio {method.__name__}") if asks else observe.NOTHING:
                return method(self, *args, **kwargs)
        except errors.Cs3Error as error:
            observe.failed(error)
            level = logging.WARNING if method.__name__ in UNHEARD else logging.DEBUG
            self.logger(level, "%s: %s: %s", method.__name__, error.code, error)
            self.logger(logging.DEBUG, "that came from", exc_info=True)
            raise rucio_exception(error) from None  # Rucio's upload shows the user every trace in the chain

    return cast("Method", wrapper)


class Default(RSEProtocol):  # type: ignore[misc]
    """Read, write, delete and stat over CS3."""

    _root: Root | None = None

    def lfns2pfns(self, lfns: Any) -> dict[str, str]:
        """Rucio's own mapping, written as URLs: other tools open them too."""
        plain = super().lfns2pfns(lfns)
        begin = len(path_to_pfn(self.attributes, ""))
        return {did: path_to_pfn(self.attributes, pfn[begin:]) for did, pfn in plain.items()}

    @translated
    def parse_pfns(self, pfns: Iterable[str] | str) -> dict[str, dict[str, Any]]:
        """Rucio's own parser takes what follows # and ? in a name for something else, and drops it."""
        return {pfn: self._parsed(pfn) for pfn in ([pfns] if isinstance(pfns, str) else pfns)}

    def _parsed(self, pfn: str) -> dict[str, Any]:
        folder, _, name = pfn_to_path(pfn, self.attributes).rpartition("/")
        fixed = {key: self.attributes[key] for key in ("scheme", "hostname", "port", "prefix")}
        return {**fixed, "path": f"/{folder}/" if folder else "/", "name": name}

    @translated
    def path2pfn(self, path: str) -> str:
        """A PFN as it is; anything else is a path below the prefix."""
        if "://" in path:
            return path
        return path_to_pfn(self.attributes, f"/{self.attributes['prefix'].strip('/')}/{path.lstrip('/')}")

    @translated
    def connect(self) -> None:
        """See that the root folder can be seen. From the second time on in a process this costs nothing."""
        from rucio_cs3 import root  # noqa: PLC0415 - brings gRPC, which the server and the reaper's planning can spare

        rse = rse_of(self.rse, self.attributes)
        self._root = root.shared(rse.config, rse.root, caller(self.auth_token, rucio_login))
        self._root.resolve()

    def close(self) -> None:
        """Nothing: connections are shared and outlive this object."""

    @translated
    def exists(self, path: str) -> bool:
        """Raises rather than answer False when that cannot be believed."""
        with contextlib.suppress(errors.NotFound):
            self._stat(path)
            return True
        return False

    @translated
    def get(self, path: str, dest: str, transfer_timeout: float | None = None) -> None:
        """`dest` appears whole and verified, or not at all."""
        root = self._connected()
        with deadline.within(_seconds(transfer_timeout)):
            source = root.ref(self._below(path))
            info = root.ask(lambda: root.client.download(source, dest))
        self.logger(logging.DEBUG, "read %d bytes of %s", info.size, path)

    @translated
    def put(
        self, source: str, target: str, source_dir: str | None = None, transfer_timeout: float | None = None
    ) -> None:
        """Verified on the storage before this returns."""
        root = self._connected()
        below = self._below(target)
        local = str(Path(source_dir or "", source))
        try:
            with deadline.within(_seconds(transfer_timeout)):
                temporary = below.endswith(TEMPORARY)
                place = root.resolve()
                done = root.client.upload(local, root.ref(below), overwrite=True, temporary=temporary, root=place)
        except errors.NotFound as gone:  # to Rucio it would be the local file that is missing
            raise errors.Unavailable(gone.message, path=gone.path, status=gone.status) from gone
        self.logger(logging.DEBUG, "wrote %d bytes to %s, %s", done.size, target, dict(done.checksums))

    @translated
    def delete(self, path: str) -> None:
        """Delete a file, never a folder."""
        self._connected().delete(self._below(path))

    @translated
    def rename(self, path: str, new_path: str) -> None:
        """Never onto something that is there."""
        root = self._connected()
        old, new = root.ref(self._below(path)), root.ref(self._below(new_path))
        root.ask(lambda: root.client.move(old, new))

    @translated
    def stat(self, path: str) -> dict[str, Any]:
        """Checksums only if the storage computed them."""
        info = self._stat(path)
        known = {name: value for name, value in info.checksums.items() if name in RUCIO_CHECKSUMS}
        return {"filesize": info.size, **known}

    @translated
    def get_space_usage(self) -> tuple[int, int]:
        """Total and unused bytes, by the quota of the root folder."""
        root = self._connected()
        quota = root.client.files.quota(root.resolve())
        if quota.available is None:
            raise errors.Unsupported("the storage sets no limit, so no space is free or used up", path=str(root.place))
        return quota.total, quota.available

    def _connected(self) -> Root:
        if self._root is None:
            raise exception.RSENotConnected(f"RSE {self.rse['rse']}: connect() comes first")
        return self._root

    def _below(self, pfn: str) -> str:
        below = pfn_to_path(self.path2pfn(pfn), self.attributes)
        if not below:
            raise errors.InvalidName("it is the root folder of the RSE, not a file", path=pfn)
        return below

    def _stat(self, path: str) -> Info:
        info = self._connected().stat(self._below(path))
        if not info.is_file:
            raise errors.IsDirectory(f"it is a {info.kind}, not a file", path=path)
        return info


def rse_of(settings: Mapping[str, Any], entry: Mapping[str, Any]) -> Rse:
    """A protocol entry of an RSE, with what rucio.cfg, rse-accounts.cfg and the environment say of it here."""
    return Rse.of(settings["rse"], entry, *layers_of(settings))


def layers_of(settings: Mapping[str, Any]) -> tuple[list[Layer], list[Layer]]:
    """What is said here of this RSE, and of all sites; each strongest first."""
    special = [_layer(f"cs3:{settings['rse']}"), Layer(RSE_ACCOUNTS, _rse_account(settings["id"]))]
    return special, [Layer(ENVIRONMENT, from_environment(os.environ)), general_layer()]


def general_layer() -> Layer:
    """What rucio.cfg says of all sites."""
    return _layer("cs3")


def rucio_login() -> RucioLogin:
    """The login to Rucio that this process is configured for, of whatever kind it is."""
    from rucio.client.accountclient import AccountClient  # noqa: PLC0415 - daemons have none

    try:
        client = AccountClient(timeout=RUCIO_SECONDS)
        account = client.account or client.whoami()["account"]
    except exception.ConfigNotFound as error:  # which names all places where Rucio has looked
        raise errors.NoLogin("nobody is logged in to Rucio here: there is no rucio.cfg") from error
    except (exception.RucioException, OSError) as error:  # requests' own are among the latter
        raise errors.NoLogin(f"nobody is logged in to Rucio here: {_one_line(error)}") from error

    def renew() -> str:
        """If it is told that the token is over, the client logs in again."""
        try:
            client.whoami()
        except exception.CannotAuthenticate as error:
            raise errors.LoginRefused(f"Rucio at {client.host} refuses the login: {_one_line(error)}") from error
        except (exception.RucioException, OSError) as error:
            raise errors.Unavailable(f"Rucio at {client.host} does not renew the login: {_one_line(error)}") from error
        return str(client.auth_token)

    return RucioLogin(str(account), str(client.auth_token), f"{client.host} {client.vo}", renew)


def logged_in() -> Caller:
    """As the plugin in Rucio's client has it, which is given a token."""
    try:
        token = rucio_login().token
    except errors.NoLogin:  # a daemon's host, where a login is missed only by sources that want it
        token = None
    return caller(token, rucio_login)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _seconds(timeout: float | None) -> float | None:
    """Rucio says 0 as well for no limit; the stall timeout is in force all the same."""
    return float(timeout) if timeout else None


def sections() -> list[dict[str, str]]:
    """All sections of rucio.cfg that are ours."""
    try:
        names = get_config().sections()
    except exception.RucioException:
        return []
    return [_section(name) for name in names if name.partition(":")[0] == "cs3"]


def _layer(section: str) -> Layer:
    return Layer(f"section [{section}] of rucio.cfg", _section(section))


def _section(name: str) -> dict[str, str]:
    """A section of rucio.cfg as it is written: a % in a password is only a %."""
    try:
        parser = get_config()
    except exception.RucioException:  # no rucio.cfg at all
        return {}
    if not parser.has_section(name):
        return {}
    return {key: value for key, value in parser.items(name, raw=True) if key not in parser.defaults()}


def _rse_account(rse_id: str) -> dict[str, Any]:
    """What rse-accounts.cfg says of one RSE, under `cs3`: other protocols keep theirs beside it."""
    file = next(filter(there, (Path(folder, RSE_ACCOUNTS) for folder in get_config_dirs())), None)
    if file is None:
        return {}
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")).get(rse_id, {}).get("cs3", {}))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        shape = '{"<RSE id>": {"cs3": {...}}}'
        raise errors.ConfigError(f"cannot read {file}: {error}", hint=f"it should look like {shape}") from error
