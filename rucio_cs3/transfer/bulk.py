"""Many files at once. Each function returns a Run: iterate over it for what came of each item, as they end.

An example::

    with bulk.upload(client, [("a.root", "/data/a.root"), …]) as run:
        for result in run:
            print(result.item.target, result.outcome, result.error or "")

Items are consumed as threads get free, so an iterator of a million is as good as a list. Ctrl-C, or whatever else ends
the block, breaks off what is under way: nothing partial stays under a final name, here or there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rucio_cs3.errors import (
    AlreadyExists,
    InvalidName,
    InvalidRequest,
    IsDirectory,
    LocalSourceMissing,
    NotFound,
    Unsupported,
)
from rucio_cs3.model import Ref
from rucio_cs3.transfer import ends, verify
from rucio_cs3.transfer.crew import JOBS, Run, Skip
from rucio_cs3.transfer.ends import Local, Remote
from rucio_cs3.transfer.trees import FILE, FOLDER

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    from rucio_cs3.client import Cs3Client
    from rucio_cs3.errors import Cs3Error
    from rucio_cs3.model import Target
    from rucio_cs3.transfer.crew import Progress
    from rucio_cs3.transfer.ends import Copied, End
    from rucio_cs3.transfer.journal import Journal

DONE_BEFORE = "it was done before"


@dataclass(frozen=True)
class Copy:
    """One file or folder to copy. Any other `kind` is skipped and told; an `error` is what is wrong with it already."""

    source: End
    target: End
    kind: str = FILE
    size: int = 0
    error: Cs3Error | None = None

    @property
    def key(self) -> str:
        return f"{self.source} -> {self.target}"


def copy(
    items: Iterable[Copy],
    *,
    overwrite: bool = False,
    jobs: int = JOBS,
    journal: Journal | None = None,
    check: bool = True,
    progress: Progress | None = None,
) -> Run:
    """Upload, download, or both in one, as the ends say; the values are `Copied`, or None for folders.

    What the journal has as done is skipped: with `check` only while source and target still look as they did. What the
    journal does not have, and is there already with the same content, was done by a run that could not say so.
    """

    def work(item: Copy, told: Callable[[int, int], None]) -> Copied | None:
        if item.error:
            raise item.error
        if item.kind == FOLDER:
            ends.make_folder(item.target)
            return None
        if item.kind != FILE:
            raise Skip(f"it is a {item.kind}")
        known = journal.get(item.key) if journal else None
        if known and (not check or _unchanged(item, known)):
            raise Skip(DONE_BEFORE)
        try:
            resume = journal is not None
            copied = ends.copy(item.source, item.target, overwrite=overwrite, resume=resume, progress=told)
        except AlreadyExists:
            if not journal or not ends.same_content(item.source, item.target):
                raise
            journal.add(item.key, {"source": item.source.facts(), "target": item.target.facts()})
            raise Skip("it is there already, and the same") from None
        if journal:
            journal.add(item.key, {"source": copied.source, "target": copied.target})
        return copied

    return Run(_once(items), work, jobs=jobs, progress=progress)


def _once(items: Iterable[Copy]) -> Iterator[Copy]:
    """No two files under one name: the second is an error, also where files may be replaced."""
    names = set()
    for item in items:
        try:
            name = hash(item.target.place)  # there may be millions
        except InvalidName as error:
            yield replace(item, error=item.error or error)
            continue
        if item.kind == FILE and not item.error:
            twin = AlreadyExists("another file of this copy has that name", path=str(item.target))
            yield replace(item, error=twin) if name in names else item
            names.add(name)
        else:
            yield item


def _unchanged(item: Copy, known: dict[str, Any]) -> bool:
    try:
        pairs = [(known["source"], item.source.facts()), (known["target"], item.target.facts())]
        if not all(ends.agree(*pair) for pair in pairs):
            return False
        return all(ends.tell_apart(*pair) for pair in pairs) or ends.same_content(item.source, item.target)
    except (KeyError, AttributeError, NotFound, LocalSourceMissing):
        return False


def upload(
    client: Cs3Client,
    items: Iterable[tuple[str | os.PathLike[str], Target]],
    *,
    root: Ref | None = None,
    **options: Any,
) -> Run:
    """Pairs of a local path and a target; missing folders are made, those below `root`. Options as for `copy`."""
    return copy((Copy(Local(str(path)), Remote(client, target, root=root)) for path, target in items), **options)


def download(client: Cs3Client, items: Iterable[tuple[Target, str | os.PathLike[str]]], **options: Any) -> Run:
    """Pairs of a target and a local path; missing folders are made. Options as for `copy`."""
    return copy((Copy(Remote(client, target), Local(str(path))) for target, path in items), **options)


def stat(client: Cs3Client, targets: Iterable[Target], **options: Any) -> Run:
    """The values are `Info`."""
    return Run(targets, lambda target, _: client.files.stat(target), **options)


def delete(client: Cs3Client, targets: Iterable[Target], *, recursive: bool = False, **options: Any) -> Run:
    """Folders only with `recursive`, and the root of a space never."""
    return Run(targets, lambda target, _: remove(client, target, recursive=recursive), **options)


def remove(client: Cs3Client, target: Target, *, recursive: bool = False) -> None:
    """One file, or with `recursive` a folder and all in it, of which the storage takes away the root of a space, too.

    Raises:
        InvalidRequest: it may be the root of a storage or of a space.
    """
    ref = Ref.of(target)
    if recursive:
        info = client.files.stat(ref)
        if info.is_directory and (ref.is_root or info.id.opaque_id == info.id.space_id):
            raise InvalidRequest("refusing to delete what may be the root of a storage", path=str(ref))
        recursive = info.is_directory
    client.files.delete(ref, recursive=recursive)


def checksum(
    client: Cs3Client, targets: Iterable[Target], *, algorithm: str | None = None, read: bool = False, **options: Any
) -> Run:
    """The values are like {"adler32": "0062004d"}: what the storage tells, or with `read` what its bytes give."""
    return Run(targets, lambda target, _: checksum_of(Remote(client, target), algorithm, read=read), **options)


def checksum_of(end: Remote, algorithm: str | None = None, *, read: bool = False) -> dict[str, str]:
    """Of one file.

    Raises:
        IsDirectory: it is a folder.
        Unsupported: the storage does not tell it.
    """
    wanted = verify.named({algorithm: ""} if algorithm else {})
    if read:
        return end.checksums(wanted or ["adler32"])
    told = end.client.files.stat(end.ref)
    found = {name: value for name, value in told.checksums.items() if not wanted or name in wanted}
    if not found and told.is_directory:
        raise IsDirectory("it is a folder, not a file", path=str(end))
    if not found:
        raise Unsupported(
            f"the storage tells no {algorithm or 'checksum'} of it",
            path=str(end),
            hint="have it computed by reading the file, with --read",
        )
    return found
