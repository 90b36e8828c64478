"""A login's secret, exchanged without a gap: the new one works before the old one goes, or nothing has changed."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rucio_cs3.client import Cs3Client
from rucio_cs3.config import CREDENTIALS, SECRETS
from rucio_cs3.credentials.sources import Sources
from rucio_cs3.credentials.store import Store, kept_in
from rucio_cs3.errors import ConfigError, Cs3Error, NotAuthenticated, PermissionDenied
from rucio_cs3.private import read_secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rucio_cs3.config import Config
    from rucio_cs3.credentials.caller import Caller
    from rucio_cs3.model import AppPassword, Ref

# The methods whose secret stays until somebody exchanges it -> the setting that holds it.
SETTINGS = {
    "appauth": "app_password",
    "machine": "machine_secret",
    "basic": "password",
    "client_credentials": "client_secret",
}
MADE = "app_password"  # at the site, by us; the others are given
LABEL = "rucio-cs3"
OTHERS = 0o007
ELSEWHERE = "if an orchestrator mounts it, exchange the secret there"
LIMITED = (
    "a limited application password makes no other: log in as {user}, with RUCIO_CS3_GATEWAY={gateway},"
    " RUCIO_CS3_USERNAME and RUCIO_CS3_PASSWORD_FILE, or RUCIO_CS3_AUTH=login"
)


@dataclass(frozen=True)
class Rotation:
    """What is to be exchanged: the secret in `file`, which the setting `<setting>_file` names at `origin`."""

    method: str
    setting: str
    file: Path
    origin: str
    config: Config
    caller: Caller
    root: Ref

    @property
    def is_made(self) -> bool:
        return self.setting == MADE

    def client(self, secret_file: Path) -> Cs3Client:
        """Logged in with that secret and nothing else, and remembering no token."""
        settings = dict.fromkeys((*SECRETS, *(f"{name}_file" for name in SECRETS)))
        new = {**settings, f"{self.setting}_file": str(secret_file), "auth": self.method, "cache": "off"}
        return Cs3Client(self.config.but(**{**vars(self.config), **new}), caller=self.caller)


def find(name: str, config: Config, origins: Mapping[str, str], caller: Caller, root: Ref) -> Rotation:
    """Which secret the RSE's login stands on. Raises ConfigError when there is none that could be exchanged."""
    sources = Sources(config, caller)
    try:
        methods = [source.method for source in sources.in_order()]
    finally:
        sources.close()
    for method, setting in ((method, SETTINGS[method]) for method in methods if method in SETTINGS):
        file = getattr(config, f"{setting}_file")
        if getattr(config, setting) is not None:
            raise ConfigError(
                f"{setting} of RSE {name} stands in {origins.get(setting, 'the settings')} itself",
                hint=f"move it to a file of its own, chmod 600, and name that with {setting}_file",
            )
        if file:
            path = Path(file).expanduser().resolve()  # the real one, where it is a link
            return Rotation(method, setting, path, origins.get(f"{setting}_file", ""), config, caller, root)
    raise ConfigError(
        f"the login of RSE {name} is by {', '.join(methods)}, in which there is no secret to be exchanged",
        hint=f"rucio-cs3 token explain {name} says where it comes from",
    )


def check(rotation: Rotation, file: Path) -> None:
    """See that the site takes the secret in this file, and shows the RSE's root for it. Raises what stops that."""
    with rotation.client(file) as client:
        client.files.stat(rotation.root)


@contextlib.contextmanager
def draft(rotation: Rotation, secret: str) -> Iterator[Path]:
    """The new secret in a file beside the old one, for the same eyes. It is gone again if it has not taken its place.

    Raises:
        ConfigError: nobody could put it there later.
    """
    file = rotation.file
    try:
        old = file.stat()
        fd, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")  # 0600
    except OSError as error:
        raise ConfigError(f"cannot exchange {file}: {error.strerror}", hint=ELSEWHERE) from error
    made = Path(name)
    try:
        with open(fd, "w", encoding="utf-8") as opened:  # noqa: PTH123 - a file descriptor
            opened.write(f"{secret}\n")
            _for_the_same(fd, old, file)
            opened.flush()
            os.fsync(fd)  # before the old one is revoked
        yield made
    finally:
        made.unlink(missing_ok=True)


def _for_the_same(fd: int, old: os.stat_result, file: Path) -> None:
    """Whoever reads the old one, a daemon with a user of its own perhaps, must be able to read the new one."""
    try:
        if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(fd, old.st_uid, old.st_gid)
        os.fchmod(fd, stat.S_IMODE(old.st_mode) & ~OTHERS)
    except OSError as error:
        raise ConfigError(
            f"{file} belongs to user {old.st_uid} and group {old.st_gid}, and would be ours afterwards",
            hint="run it as that user, or as root",
        ) from error


def exchange(rotation: Rotation, secret: str) -> None:
    """Try the new secret and put it into the file, at once: whoever reads that reads the old one or the new one."""
    with draft(rotation, secret) as made:
        check(rotation, made)
        made.replace(rotation.file)
        _settle(rotation.file.parent)


def _settle(folder: Path) -> None:
    """A name that is only in memory would lead to the old secret again when the power fails, and that is revoked."""
    with contextlib.suppress(OSError):  # some file systems cannot
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def forget_tokens(rotation: Rotation) -> None:
    """Those that the old secret has brought."""
    Store(kept_in(rotation.config.cache)).forget(rotation.config.gateway)


def maker_of(rotation: Rotation, login: Mapping[str, Any]) -> Cs3Client:
    """Who makes the new application password: the operator by a login of their own, else the old password itself."""
    if not login:
        return rotation.client(rotation.file)
    own = {**dict.fromkeys(CREDENTIALS), **login, "cache": "off"}
    return Cs3Client(rotation.config.but(**own), caller=rotation.caller)


def current(rotation: Rotation, maker: Cs3Client) -> AppPassword | None:
    """The application password in force, where the site still knows it.

    Raises:
        ConfigError: `maker` is somebody else, who could neither see the old one nor make one for this user.
    """
    _refuse_strangers(rotation, maker)
    return maker.apps.find(read_secret(str(rotation.file), f"{MADE}_file"))


def successor(rotation: Rotation, maker: Cs3Client, old: AppPassword | None, expires: float | None) -> AppPassword:
    """It takes the place of the old one: made at the site, tried, put into the file. The old one is still good.

    It opens the same, and lasts as long as the old one was made for. What fails leaves nothing.
    """
    if expires is None and old and old.expires:
        expires = time.time() + old.expires - old.created
    if old is None and rotation.root.id:
        raise ConfigError(
            f"the old application password has ended, and of the space {rotation.root} no path is known",
            hint="make the new one by hand: rucio-cs3 token app-password create --path /…",
        )
    paths, read_only = (old.paths, old.read_only) if old else ((rotation.root.path,), False)
    made = maker.apps.create(old.label if old else LABEL, paths=paths, read_only=read_only, expires=expires)
    try:
        exchange(rotation, made.password)
    except BaseException:
        with contextlib.suppress(Cs3Error):
            if read_secret(str(rotation.file), f"{MADE}_file") != made.password:
                maker.apps.revoke(made)
        raise
    return made


def _refuse_strangers(rotation: Rotation, maker: Cs3Client) -> None:
    wanted = rotation.config.username
    try:
        found = maker.whoami().username
    except (NotAuthenticated, PermissionDenied) as limited:
        limited.hint = LIMITED.format(user=wanted, gateway=rotation.config.gateway)
        raise
    if wanted and found != wanted:
        raise ConfigError(
            f"the application password is {wanted}'s, and you are {found} at {rotation.config.gateway}",
            hint=LIMITED.format(user=wanted, gateway=rotation.config.gateway),
        )
