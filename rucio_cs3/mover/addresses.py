"""How files are named from outside, by URL: what two of them have in common, and whether one is below another."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, unquote_to_bytes

from rucio_cs3.errors import ConfigError, InvalidName
from rucio_cs3.loopback import is_loopback
from rucio_cs3.model import relative, slashed
from rucio_cs3.rse import pfn_to_path

DOORS = {"davs": "https", "https": "https", "dav": "http", "http": "http"}
PORTS = {"https": "443", "cs3s": "443", "http": "80"}
PORT = re.compile("[0-9]{1,5}")  # isdigit() takes ² for one, and int() does not


@dataclass(frozen=True)
class Address:
    """A scheme and a host, and what all paths there begin with. None of them is another way to write a second one."""

    scheme: str
    hostname: str
    port: str
    prefix: str = "/"
    written: str = field(default="", compare=False)
    """as people wrote it"""

    @classmethod
    def of(cls, url: str) -> Address:
        """Raises InvalidName."""
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        name, colon, port = host.rpartition(":")
        if not colon or port.endswith("]"):  # of an IPv6 address
            name, port = host, ""
        scheme = DOORS.get(scheme.lower(), scheme.lower())
        port = port or PORTS.get(scheme, "")
        if not (name and PORT.fullmatch(port)) or "@" in host:
            raise InvalidName("it is not of the form davs://host:port/path", path=url.rpartition("@")[2])
        return cls(scheme, name.lower(), str(int(port)), slash + path, url)

    @classmethod
    def of_door(cls, url: str, webdav_root: str) -> Address:
        """Raises ConfigError and InvalidName."""
        door = cls.of(url)
        if door.scheme not in DOORS.values():
            raise ConfigError(f"{url} is not the address of a WebDAV door", hint="for example davs://host/webdav")
        if door.scheme == "http" and not is_loopback(door.hostname):
            raise ConfigError(f"{url} would send tokens in the clear", hint="use davs://")
        path = webdav_root if door.prefix in {"", "/"} else unquote(door.prefix)
        return cls(door.scheme, door.hostname, door.port, slashed(path), url)

    def __str__(self) -> str:
        return f"{self.origin}{self.prefix}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.hostname}:{self.port}"

    @property
    def is_door(self) -> bool:
        return self.scheme in DOORS.values()

    def below(self, other: Address) -> str | None:
        """The path of what is below it, decoded; None for what is not. Raises InvalidName."""
        if (self.scheme, self.hostname, self.port) != (other.scheme, other.hostname, other.port):
            return None
        if not f"/{relative(unquote(other.prefix))}/".startswith(self.prefix):
            return None
        return pfn_to_path(str(other), vars(self))


def identity(url: str) -> bytes:
    """The same for all ways to write one URL, and another one for any other file."""
    try:
        address = Address.of(url)
    except InvalidName:  # which is told when it is copied
        return url.encode()
    parts = unquote_to_bytes(address.prefix).split(b"/")  # not as text: what is not UTF-8 would be all alike
    return b"/".join([address.origin.encode(), *(part for part in parts if part not in {b"", b"."})])
