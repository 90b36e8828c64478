"""How to reach one CS3 site: one flat table of settings, named alike in keywords, TOML, rucio.cfg and environment.

The environment spells `token_file` as RUCIO_CS3_TOKEN_FILE. Relative file names are taken as they are; `~` is expanded.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import logging
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from rucio_cs3 import observe
from rucio_cs3.errors import ConfigError
from rucio_cs3.loopback import keeps_secrets
from rucio_cs3.private import read_secret, refuse_public

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

log = logging.getLogger(__name__)
ENV_PREFIX = "RUCIO_CS3_"
ENV_FILE = ENV_PREFIX + "CONFIG"
ENVIRONMENT = "the environment"
# With the prefix, and no settings of a site
ENV_OTHERS = (ENV_FILE, *(ENV_PREFIX + name for name in ("BROKER_CONFIG", "DOOR", "LOG", "MOVER")))
AUTH_METHODS = (
    *("token", "bearer", "rucio", "exchange", "wlcg", "command", "client_credentials", "refresh", "login"),
    *("appauth", "broker", "machine", "basic"),
)
HIGHEST_PORT = 65535
LONGEST_TIMEOUT = 86_400.0
MOST_STREAMS = 16
VERIFY_MODES = ("none", "server", "readback")
UPLOAD_PROTOCOLS = ("auto", "simple", "tus")
Switch = str  # on, off, and what else the setting knows; true and its like are taken for them


def secret() -> Any:
    """A setting that no repr and no message may show."""
    return field(default=None, repr=False, metadata={"secret": True})


@dataclass(frozen=True)
class Config:
    """Everything a client needs to know of a site. Hashable: equal configurations share their connections."""

    gateway: str
    """host:port of the CS3 gateway"""
    tls: bool = True
    ca: str | None = None
    """PEM file or folder of certificate authorities, instead of the system's"""
    client_cert: str | None = None
    client_key: str | None = None

    auth: str | None = None
    """the order in which AUTH_METHODS are tried, such as `rucio, broker?`: see rucio_cs3.credentials.sources"""
    username: str | None = None
    accounts: str | None = None
    """who each Rucio account is at the site, such as `root: einstein, jdoe: marie`, where no username is set"""
    password: str | None = secret()
    password_file: str | None = None
    app_password: str | None = secret()
    """made on the site for a program, and limited to what it needs"""
    app_password_file: str | None = None
    machine_secret: str | None = secret()
    machine_secret_file: str | None = None
    token: str | None = secret()
    token_file: str | None = None
    bearer_token: str | None = secret()
    bearer_token_file: str | None = None
    token_command: str | None = field(default=None, repr=False)
    """a program that prints an OIDC token, such as `oidc-token mysite`"""
    issuer: str | None = None
    """URL of an OpenID Connect provider, for the methods that ask it for tokens"""
    client_id: str | None = None
    client_secret: str | None = secret()
    client_secret_file: str | None = None
    refresh_token: str | None = secret()
    refresh_token_file: str | None = None
    scope: str | None = None
    audience: str | None = None
    """of the tokens asked for; {gateway}, {host} and {account} are filled in, here and in `scope`"""
    broker: str | None = None
    """URL of a `rucio-cs3 broker`"""
    cache: str | None = None
    """folder where tokens are kept between runs, or `off`; by default rucio-cs3 in $XDG_CACHE_HOME"""

    connect_timeout: float = 10.0
    call_timeout: float = 30.0
    """seconds for one gRPC call"""
    stall_timeout: float = 60.0
    """seconds without a byte before a transfer is given up"""
    retries: int = 2
    """how often a broken transfer is begun anew"""
    streams: int = 4
    """the most connections that share the download of one large file over a long link; 1 never shares it"""
    verify: str = "server"
    """after an upload: `server` compares with what the storage says, `readback` reads the file again as well"""
    processing_timeout: float = 300.0
    """seconds in which the storage has to finish its own checks of an upload"""
    upload_protocol: str = "auto"
    """`simple` is one request, `tus` goes on after a cut; `auto` takes that for large files where it is offered"""
    tus_from: int = 64 << 20
    """bytes from which on `auto` takes tus"""
    chunk_size: int = 0
    """bytes in one request of tus; 0 is all that is left"""
    resume: str | None = None
    """folder where uploads that were cut are remembered, or `off`; by default rucio-cs3/uploads in $XDG_STATE_HOME"""

    metrics: Switch = observe.OFF
    """`on` counts for Prometheus, in the registry that Rucio's daemons serve; `file:PATH` writes that at the end"""
    traces: Switch = observe.AUTO
    """`on` sends OpenTelemetry's spans; `auto` does where the variables OTEL_TRACES_EXPORTER and its like say so"""

    def __post_init__(self) -> None:
        host, _, port = self.gateway.rpartition(":")
        if not (host and port.isdigit() and 0 < int(port) <= HIGHEST_PORT) or "/" in host:
            raise ConfigError(f"gateway = {self.gateway!r} is not host:port", hint="for example cs3.example.org:443")
        for method, _ in self.order:
            _one_of("auth", method, AUTH_METHODS)
        _one_of("verify", self.verify, VERIFY_MODES)
        _one_of("upload_protocol", self.upload_protocol, UPLOAD_PROTOCOLS)
        _one_of("traces", self.traces, observe.TRACES)
        if not self.metrics.startswith(observe.FILE):
            _one_of("metrics", self.metrics, (observe.OFF, observe.ON, f"{observe.FILE}PATH"))
        for name in ("issuer", "broker"):
            _refuse_plaintext(name, getattr(self, name))
        if not self.tls and (self.ca or self.client_cert):
            raise ConfigError("ca and client_cert mean nothing with tls = false", hint="remove them, or set tls = true")
        if bool(self.client_cert) != bool(self.client_key):
            raise ConfigError("client_cert and client_key go together", hint="give both or neither")
        if not 1 <= self.streams <= MOST_STREAMS:
            raise ConfigError(f"streams must be from 1 to {MOST_STREAMS}", hint="4 fill most links")
        for name in ("retries", "tus_from", "chunk_size"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative", hint=f"leave it out, or set {name} = 0")
        for name in ("connect_timeout", "call_timeout", "stall_timeout", "processing_timeout"):
            if not 0 < getattr(self, name) <= LONGEST_TIMEOUT:
                raise ConfigError(
                    f"{name} must be more than 0 seconds and at most a day", hint="nothing may wait without an end"
                )

    @property
    def order(self) -> tuple[tuple[str, bool], ...]:
        """The methods of `auth`, each with whether the next one is tried when it fails: that is the question mark."""
        words = [word.strip() for word in (self.auth or "").split(",")]
        return tuple((word.rstrip("?").rstrip(), word.endswith("?")) for word in words if word)

    @classmethod
    def of(
        cls, settings: Mapping[str, Any], source: str = "settings", origins: Mapping[str, str] = MappingProxyType({})
    ) -> Config:
        """Build from a mapping; strings are read as the field's type. Errors name `source` and the origin."""
        where = {name: f"{source}, {origin}" for name, origin in origins.items()}
        values = {
            name: convert(name, value, where.get(name, source)) for name, value in settings.items() if value is not None
        }
        if "gateway" not in values:
            raise ConfigError(f"{source}: no gateway is given", hint="set gateway = host:port")
        return cls(**values)

    @classmethod
    def load(cls, file: str | None = None, environ: Mapping[str, str] | None = None, **overrides: Any) -> Config:
        """Merge, weakest first: the TOML file (or the one RUCIO_CS3_CONFIG names), the environment, the keywords."""
        found = Found(Layer("keywords", {name: value for name, value in overrides.items() if value is not None}))
        found.add(*surroundings(file, environ))
        return cls.of(found.settings, "configuration")

    def but(self, **settings: Any) -> Config:
        """The same with other settings."""
        return Config.of({**vars(self), **settings}, "settings") if settings else self

    @property
    def host(self) -> str:
        return self.gateway.rpartition(":")[0]

    def secret_value(self, name: str) -> str | None:
        """The secret `name`, given outright or in the file that `<name>_file` says; read afresh each time."""
        value: str | None = getattr(self, name)
        file: str | None = getattr(self, f"{name}_file")
        return value if value is not None or file is None else read_secret(file, f"{name}_file")


FIELDS = {f.name: f for f in dataclasses.fields(Config)}
ENV_NAMES = {name: ENV_PREFIX + name.upper() for name in FIELDS}
SECRETS = frozenset(name for name, f in FIELDS.items() if f.metadata.get("secret"))


LOGINS = frozenset({"token_command", *SECRETS, *(f"{name}_file" for name in SECRETS)})
OIDC = frozenset({"issuer", "client_id", "scope", "audience"})
CREDENTIALS = LOGINS | OIDC | {"auth", "username", "accounts", "broker", "client_cert", "client_key"}
PUBLIC = frozenset({"auth", "username", "broker"}) | OIDC  # what everybody may know of them
LOCAL = (CREDENTIALS - PUBLIC) | {"cache", "resume", "metrics", "traces"}  # what nobody may say for others
FOR_ISSUER = frozenset({"client_secret", "client_secret_file", "refresh_token", "refresh_token_file"})


def has_login(settings: Mapping[str, Any]) -> bool:
    return not LOGINS.isdisjoint(settings)


class Layer(NamedTuple):
    """Settings that stand in one place."""

    origin: str
    settings: Mapping[str, Any]

    def origin_of(self, name: str) -> str:
        return ENV_NAMES[name] if self.origin == ENVIRONMENT else self.origin


class Found:
    """What counts of several layers, and where each setting stands."""

    def __init__(self, *strongest_first: Layer) -> None:
        self.settings: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        for layer in reversed(strongest_first):
            self.put(layer)

    def put(self, layer: Layer) -> None:
        """Over what is there."""
        self.settings.update(layer.settings)
        self.origins.update({name: layer.origin_of(name) for name in layer.settings})

    def add(self, *weaker: Layer) -> None:
        """Where nothing is there; strongest first."""
        for layer in weaker:
            usable = beside(layer.settings, self.settings)
            self.put(layer._replace(settings={name: usable[name] for name in usable if name not in self.settings}))


def surroundings(file: str | None = None, environ: Mapping[str, str] | None = None) -> list[Layer]:
    """The environment, then the TOML file, or the one that RUCIO_CS3_CONFIG names."""
    environ = os.environ if environ is None else environ
    file = file or environ.get(ENV_FILE)
    return [Layer(ENVIRONMENT, from_environment(environ)), *([Layer(file, from_toml(file))] if file else [])]


def beside(weaker: Mapping[str, Any], stronger: Mapping[str, Any]) -> dict[str, Any]:
    """What of `weaker` may be added: a login comes from one place only, and never goes to another site's gateway."""
    theirs = weaker.get("gateway")
    elsewhere = theirs is not None and stronger.get("gateway", theirs) != theirs
    usable = not elsewhere and not has_login(stronger)
    return {key: value for key, value in weaker.items() if usable or key not in CREDENTIALS}


def login_elsewhere(layers: Iterable[Layer], gateway: str) -> str:
    """What keeps a login that is set from being used for this gateway; empty where none is."""
    for layer in layers:
        theirs = layer.settings.get("gateway")
        if has_login(layer.settings) and theirs != gateway:
            whose = f"is for {theirs}" if theirs else "names no gateway"
            setting = ENV_NAMES["gateway"] if layer.origin == ENVIRONMENT else "gateway there"
            return (
                f"the login in {layer.origin} {whose}, and goes only to the host it was made for:"
                f" if that is {gateway}, set {setting} to it"
            )
    return ""


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """All RUCIO_CS3_<SETTING> variables. Of others a warning is given: they may be for another version."""
    for variable in environ:
        if variable.startswith(ENV_PREFIX):
            _warn_if_unknown(variable)
    found = {
        name: convert(name, environ[variable], variable)
        for name, variable in ENV_NAMES.items()
        if environ.get(variable)
    }
    if "traces" in found and found["traces"] not in observe.TRACES:
        _warn_of_traces(found["traces"])
        found["traces"] = observe.OFF  # whoever sets it for all that he starts wants no transfer to fail of it
    return found


@functools.cache  # once in a process
def _warn_of_traces(word: str) -> None:
    known = ", ".join(observe.TRACES)
    log.warning("no traces: %s=%s is not known; use one of: %s", ENV_NAMES["traces"], ascii(word)[1:-1], known)


@functools.cache  # once in a process
def _warn_if_unknown(variable: str) -> None:
    name = variable[len(ENV_PREFIX) :]
    if variable not in {*ENV_NAMES.values(), *ENV_OTHERS} and not name.startswith("TEST_"):
        near = difflib.get_close_matches(name.lower(), FIELDS, n=1)
        remedy = f"; did you mean {ENV_NAMES[near[0]]}?" if near else ""
        log.warning("the environment has %s, which is no setting of this rucio-cs3%s", ascii(variable)[1:-1], remedy)


def from_toml(file: str) -> dict[str, Any]:
    """The settings at the top level of a TOML file."""
    try:
        settings = tomllib.loads(Path(file).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}", hint=f"check {ENV_FILE}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error
    found = {name: convert(name, value, file) for name, value in settings.items()}
    if not SECRETS.isdisjoint(found):
        refuse_public(file, "a secret stands in it, so the configuration")
    return found


def unknown(name: str, source: str, known: Iterable[str]) -> ConfigError:
    near = difflib.get_close_matches(name, known, n=1)
    return ConfigError(f"{source}: unknown setting {name!r}", hint=f"did you mean {near[0]!r}?" if near else None)


def convert(name: str, value: Any, source: str) -> Any:
    """Give a setting its field's type. Raises ConfigError, which says where it came from and what it should be."""
    if name not in FIELDS:
        raise unknown(name, source, FIELDS)
    kind = str(FIELDS[name].type)
    convert, meaning = _CONVERTERS.get(kind, _CONVERTERS["str"])
    try:
        return convert(value)
    except (KeyError, TypeError, ValueError, AttributeError):
        shown = "its value" if name in SECRETS else repr(value)
        raise ConfigError(f"{source}: {name}: {shown} is not {meaning}") from None


def _boolean(value: Any) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    return value if isinstance(value, bool) else words[value.strip().lower()]


def _switch(value: Any) -> str:
    try:
        return observe.ON if _boolean(value) else observe.OFF
    except KeyError:
        return _text(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


_CONVERTERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "bool": (_boolean, "true or false"),
    "float": (float, "a number of seconds"),
    "int": (int, "a whole number"),
    "str": (_text, "text"),
    "Switch": (_switch, "on, off, or another word"),
}


def _refuse_plaintext(name: str, url: str | None) -> None:
    """Secrets go to these addresses. They are shown, so they hold none."""
    try:
        parts = urlsplit(url or "")
        secret, kept = parts.password or parts.username, not url or keeps_secrets(url)
    except ValueError:
        raise ConfigError(f"{name} is no URL", hint="for example https://login.example.org") from None
    if secret:
        raise ConfigError(f"{name} holds a user name or a password, and is shown to people", hint="remove it there")
    if not kept:
        raise ConfigError(
            f"{name} = {url!r} is not an https:// address, and no secret is sent in the clear",
            hint="for example https://login.example.org",
        )


def _one_of(name: str, value: str | None, allowed: tuple[str | None, ...]) -> None:
    if value not in allowed:
        known = ", ".join(word for word in allowed if word)
        raise ConfigError(f"{name} = {value!r} is not known", hint=f"use one of: {known}")
