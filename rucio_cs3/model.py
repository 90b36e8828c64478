"""The nouns of CS3 storage: where a resource is, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, Union
from urllib.parse import quote

from rucio_cs3.errors import InvalidName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SAFE = "/!$&'()*+,;=:@~"  # may stand in the path of a URL as they are
LONGEST_NAME = 255  # bytes; every driver seen fails beyond, each in its own way


@dataclass(frozen=True)
class ResourceId:
    """The storage's own name for a resource."""

    storage_id: str
    opaque_id: str
    space_id: str = ""

    @classmethod
    def parse(cls, text: str) -> ResourceId:
        """Read `storage$space!opaque`, the notation of oCIS, OpenCloud and Reva's WebDAV door."""
        storage, dollar, rest = text.partition("$")
        space, bang, opaque = rest.partition("!")
        if not (dollar and storage and space):
            raise InvalidName("not a resource id, which reads storage$space!opaque", path=text)
        return cls(storage, opaque if bang else space, space)

    def __str__(self) -> str:
        return f"{self.storage_id}${self.space_id}!{self.opaque_id}"

    @property
    def is_space(self) -> bool:
        """True for the root of a space, as the second line names it."""
        return bool(self.space_id) and self.opaque_id == self.space_id

    @property
    def space(self) -> str:
        """As `parse` reads it, and the settings of an RSE name it: the shorter for the root of a space."""
        return f"{self.storage_id}${self.space_id}" if self.is_space else str(self)


class Label(NamedTuple):
    """What people write before the names of what is in a folder: `RSE:`, a URL, or another path."""

    text: str
    top: str = ""
    """the folder's path, as in its Ref"""

    def name(self, below: str) -> str:
        return self.text + (quote(below, safe=SAFE, errors="surrogatepass") if "://" in self.text else below)

    def name_of(self, path: str) -> str | None:
        """None for what is not in the folder."""
        top, path = self.top.strip("/"), path.strip("/")
        inside = f"{path}/".startswith(f"{top}/".lstrip("/"))
        return self.name(path[len(top) :].lstrip("/")) if inside else None


@dataclass(frozen=True)
class Ref:
    """Where a resource is: an absolute path, a resource id, or an id and a path below it."""

    path: str = ""
    id: ResourceId | None = None
    label: Label | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.id is None and not self.path.startswith("/"):
            raise InvalidName("without a resource id a path must be absolute", path=self.path)
        clean = relative(self.path)
        object.__setattr__(self, "path", clean if self.id else f"/{clean}")

    @classmethod
    def of(cls, target: Target) -> Ref:
        """Take whatever a caller holds that names a resource."""
        if isinstance(target, Ref):
            return target
        if isinstance(target, Info):
            return cls(id=target.id)
        if isinstance(target, ResourceId):
            return cls(id=target)
        if isinstance(target, tuple):
            return cls(target[1], target[0])
        return cls(target)

    def __truediv__(self, below: str) -> Ref:
        return Ref(f"{self.path}/{below}", self.id, self.label)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> Ref:
        return Ref(self.path.rpartition("/")[0] or ("" if self.id else "/"), self.id, self.label)

    def ancestors(self) -> Iterator[Ref]:
        """The parent, its parent, and so on to the root."""
        above = self
        while not above.is_root:
            above = above.parent
            yield above

    @property
    def is_root(self) -> bool:
        """True when nothing lies above it that this reference could name."""
        return self.path in {"", "/"}

    def called(self, text: str) -> Ref:
        """The same folder, in which names begin with `text` when people are told of them."""
        return replace(self, label=Label(text, self.path))

    def __str__(self) -> str:
        known = self.label and self.label.name_of(self.path)
        if known is not None:
            return known.rstrip("/") or "/"
        return self.path if self.id is None else f"{self.id}/{self.path}".rstrip("/")


def relative(path: str) -> str:
    """A path without empty parts, dots and slashes at its ends. Raises InvalidName for one that could go upwards."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    for part in parts:
        if part == "..":
            raise InvalidName("'..' is not allowed in a path", path=path)
        if "\0" in part:
            raise InvalidName("a name cannot hold a NUL character", path=path.replace("\0", "\\0"))
        if not part.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in part):
            raise InvalidName("a name is not valid Unicode", path=ascii(path))
        if len(part.encode()) > LONGEST_NAME:
            raise InvalidName(f"a name is longer than {LONGEST_NAME} bytes", path=path, hint="use a shorter name")
    return "/".join(parts)


def slashed(path: str) -> str:
    """The same with slashes at its ends, as what the paths below a folder begin with."""
    clean = relative(path)
    return f"/{clean}/" if clean else "/"


@dataclass(frozen=True)
class Info:
    """What the storage says of one resource. `checksums` holds only what the storage computed itself."""

    name: str
    path: str
    id: ResourceId
    kind: str  # "file", "directory", or CS3's word for anything else
    size: int
    mtime: float
    etag: str
    mime_type: str = ""
    owner: str = ""
    checksums: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    parent: ResourceId | None = None
    """the folder it is in, where the storage tells"""
    processing: bool = False

    @property
    def is_file(self) -> bool:
        return self.kind == "file"

    @property
    def is_directory(self) -> bool:
        return self.kind == "directory"


class Brief(NamedTuple):
    """The part of an Info that tells one file of millions from another: an Info costs five times as much."""

    name: str
    kind: str
    size: int
    mtime: float

    @property
    def is_file(self) -> bool:
        return self.kind == "file"


@dataclass(frozen=True)
class Uploaded:
    """What was sent, and is there. The checksums are of the bytes that left us.

    `mtime` and `etag` are the storage's word, from when it was looked at; a move into place may change the etag.
    """

    ref: Ref
    size: int
    checksums: Mapping[str, str]
    mtime: float | None = None
    etag: str = ""


@dataclass(frozen=True)
class Quota:
    """In bytes; `total` 0 means that the storage sets no limit."""

    total: int
    used: int

    @property
    def available(self) -> int | None:
        return max(self.total - self.used, 0) if self.total else None


@dataclass(frozen=True)
class Space:
    """A tree of its own, with members and a quota. `path` is where it hangs, perhaps not alone."""

    id: ResourceId
    """of its root"""
    name: str
    kind: str
    path: str
    quota: Quota


@dataclass(frozen=True)
class User:
    """Who the gateway says we are."""

    username: str
    opaque_id: str
    idp: str
    display_name: str = ""
    mail: str = ""


@dataclass(frozen=True)
class AppPassword:
    """One that the user made for a program. `password` is known only to who has just made it."""

    handle: str
    label: str
    paths: tuple[str, ...]
    """what it opens: `/` is all that the user may do, and nothing at all is what it says"""
    read_only: bool
    created: float
    used: float
    expires: float | None = None
    password: str = field(default="", repr=False)


Target = Union[str, Ref, ResourceId, Info, tuple[ResourceId, str]]
