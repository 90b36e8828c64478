"""One copy between two sites: by the sites themselves where they can, else through us, and looked at when it is there.

What a site says of its own success counts for nothing: some answer so when nothing was written. Whoever wrote it, the
file is under a name that does not matter until its size and checksum were seen to be right.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Callable, NamedTuple

from rucio_cs3 import deadline
from rucio_cs3.checksums import ALGORITHMS, normalise
from rucio_cs3.errors import AlreadyExists, Cs3Error, LocalSourceError, Stopped, WrongContent
from rucio_cs3.mover import tpc
from rucio_cs3.mover.model import Compare, Done, Failed, Side
from rucio_cs3.mover.reasons import MISMATCH, because, failed
from rucio_cs3.mover.told import tellable
from rucio_cs3.mover.tpc import NotDone
from rucio_cs3.transfer import verify
from rucio_cs3.transfer.reading import Reading, SourceFailed
from rucio_cs3.transfer.upload import discard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rucio_cs3.model import Info
    from rucio_cs3.mover.model import Place, Wanted
    from rucio_cs3.mover.sites import End, Sites

log = logging.getLogger(__name__)
RUCIO_KNOWS = ("adler32", "md5")
Progress = Callable[[int], None]


class Copier:
    """Its `copy` is a rucio_cs3.mover.model.Copy."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites
        self._ways = tpc.Ways()

    def copy(self, wanted: Wanted, progress: Progress) -> Done:
        """Raises Failed: nothing is left then, and at the target is what was there."""
        deadline.end_calls()
        failures: dict[str, Failed] = {}
        with self._sites.open(Side.TARGET, wanted.target) as target:
            checksum = _checksum(wanted)
            for place in wanted.sources:
                try:
                    done = self._from(place, target, _Task(wanted, checksum, progress))
                    return replace(done, tried=_reasons(failures))
                except Failed as failure:
                    failures[place.url] = failure
                    if failure.side is not Side.SOURCE:
                        break
        raise _all_of(failures)

    def _from(self, place: Place, target: End, task: _Task) -> Done:
        with (
            self._sites.open(Side.SOURCE, place) as source,
            source.root.ask(lambda: Reading(source.remote)) as file,
        ):
            task.check(file.info, source.url)
            return self._by_the_sites(file.info, source, target, task) or self._streamed(file, source, target, task)

    def _by_the_sites(self, info: Info, source: End, target: End, task: _Task) -> Done | None:
        """None where they cannot, or where nobody could say afterwards whether they did."""
        expected = {**info.checksums, **task.checksum}
        if info.size < tpc.SMALLEST or not expected:
            return None
        for way in self._ways.between(source, target):
            try:
                handed_over(way, source, target, task, Expected(info.size, expected))
            except NotDone as why:
                log.info("%s goes through the mover: %s", *tellable(task.wanted, source.url, str(why)))
                self._ways.failed(way, source, target)
            else:
                self._ways.worked(way, source, target)
                return _seen(target, source.url, info.size, expected, way)
        return None

    def _streamed(self, file: Reading, source: End, target: End, task: _Task) -> Done:
        try:
            sent = file.send(
                target.remote,
                overwrite=task.wanted.overwrite,
                checksums=task.checksum,
                progress=lambda done, _: task.progress(done),
            )
        except SourceFailed as carrier:
            raise source.failed(carrier.error) from carrier.error
        except LocalSourceError as error:
            raise source.failed(error) from error
        except WrongContent as error:
            # the storage says that it has the right file: then it may have been on the way that it went wrong
            said = not disagreement(task.checksum, file.info.checksums)
            raise source.failed(error, again=said) from error
        except AlreadyExists as error:
            raise _there_already(error, target, task) from error
        except Cs3Error as error:
            raise target.failed(error) from error
        return _seen(target, source.url, file.info.size, sent.checksums, "streamed")


@dataclass(frozen=True)
class _Task:
    """What is to be copied, whatever the source."""

    wanted: Wanted
    checksum: Mapping[str, str]
    """by our names; none when it is not to be compared"""
    progress: Progress

    def check(self, info: Info, url: str) -> None:
        """Whether a source has what is wanted, by what its storage says."""
        size = self.wanted.size
        if size is not None and size != info.size:
            what = f"Source and user-defined file size do not match ({info.size} != {size}): {url}"
            raise because(Side.SOURCE, errno.EIO, what, again=False)
        for name, found, wanted in disagreement(info.checksums, self.checksum):
            what = f"Source and user-defined {name.upper()} do not match ({found} != {wanted}): {url}"
            raise because(Side.SOURCE, errno.EIO, f"SOURCE {MISMATCH} {what}", again=False)


class Expected(NamedTuple):
    """What is to be seen of a file."""

    size: int
    checksums: Mapping[str, str]


def handed_over(way: str, source: End, target: End, task: _Task, expected: Expected) -> None:
    """Let a site write it, under a name that does not matter until it was looked at. Raises NotDone, or Failed."""
    client, overwrite = target.client, task.wanted.overwrite
    staging = target.beside(f".rucio-cs3-{secrets.token_hex(6)}.part")
    with target.blamed():
        final, written = target.remote, staging.remote
        try:
            client.files.may_write(final.ref, overwrite=overwrite)
        except AlreadyExists as error:
            raise _there_already(error, target, task) from error
        client.folders.ensure(final.ref.parent, final.root)
    try:
        _look_after(way, source, staging, task, expected)
        with target.blamed():
            client.files.move(written.ref, final.ref, overwrite=overwrite)
    except BaseException as error:
        client.folders.forget(final.ref.parent)
        late = not (isinstance(error, NotDone) and error.over)
        discard(client.files, written.ref, late=late)
        if way == "push":
            _discard_misplaced(source, staging)
        raise


def _discard_misplaced(source: End, staging: End) -> None:
    """Some doors take a copy to another site for one within their own, where there is such a folder."""
    with contextlib.suppress(Cs3Error):
        if misplaced := source.of_same_path(staging):
            discard(source.client.files, misplaced.remote.ref, late=False)


def _look_after(way: str, source: End, staging: End, task: _Task, expected: Expected) -> None:
    """Whatever goes wrong on the way, the mover can try by itself."""
    try:
        over = False
        tpc.copy(way, source, staging, task.progress)
        over = True
        _compare(staging, expected)
    except Stopped as error:
        raise failed(Side.TRANSFER, error, source.url) from error
    except Cs3Error as error:
        raise NotDone(f"{way}: {error}", over=over) from error


def _compare(staging: End, expected: Expected) -> None:
    """Read it where the storage tells no checksum. Raises ChecksumMismatch, SizeMismatch or NotFound."""
    remote, path = staging.remote, staging.below
    info = remote.settled()
    verify.same_size(expected.size, info.size, path, "the storage")
    found = {name: info.checksums[name] for name in info.checksums.keys() & expected.checksums.keys()}
    found = found or remote.checksums(verify.cheapest(expected.checksums) or expected.checksums)
    verify.same_checksums(found, expected.checksums, path, "expected was")


def disagreement(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """The checksums that both know and that differ: by name, ours and theirs."""
    both = sorted(ours.keys() & theirs.keys())
    return [
        (name, ours[name], theirs[name])
        for name in both
        if normalise(name, ours[name]) != normalise(name, theirs[name])
    ]


def _checksum(wanted: Wanted) -> Mapping[str, str]:
    """Raises Failed for a kind that nobody here computes."""
    if wanted.compare is Compare.NONE or not wanted.checksum:
        return {}
    name, _, value = wanted.checksum.partition(":")
    if name.lower() not in ALGORITHMS:
        what = f"checksum {name!r} is not known here; use one of: {', '.join(ALGORITHMS)}"
        raise because(Side.TRANSFER, errno.EINVAL, what, again=False)
    return {name.lower(): normalise(name.lower(), value)}


def _seen(target: End, source: str, size: int, checksums: Mapping[str, str], how: str) -> Done:
    """What is there under its name now, if that is what was copied."""
    with target.blamed():
        info = target.root.stat(target.below)
    wrong = disagreement(info.checksums, checksums)
    if info.size != size or wrong:
        what = f"somebody else wrote there meanwhile: it has {info.size} bytes instead of {size}: {target.url}"
        raise because(Side.TARGET, errno.EIO, what, again=True)
    return Done(source, size, {**info.checksums, **checksums}, how)


def _there_already(error: Cs3Error, target: End, task: _Task) -> Failed:
    """With what is there: Rucio takes it if it is the right file, such as one whose mover could not tell any more."""
    failure = target.failed(error)
    with contextlib.suppress(Cs3Error):
        info = target.root.stat(target.below)
        failure.dst_file = {"file_size": info.size}
        known = {name: info.checksums[name] for name in info.checksums.keys() & set(RUCIO_KNOWS)}
        wanted = [name for name in task.checksum if name in RUCIO_KNOWS]
        if not known and wanted and info.size == task.wanted.size:  # else its size says enough
            known = target.remote.checksums(wanted)
        for name in verify.cheapest(known):
            failure.dst_file.update(checksum_type=name.upper(), checksum_value=known[name])
    return failure


def _reasons(failures: Mapping[str, Failed]) -> Mapping[str, str]:
    return {url: failure.reason for url, failure in failures.items()}


def _all_of(failures: Mapping[str, Failed]) -> Failed:
    """By source."""
    told = list(failures.values())
    last = told[-1]
    if len(told) > 1 and last.side is Side.SOURCE:
        last = Failed(last.side, "; ".join(each.reason for each in told), again=any(each.again for each in told))
    last.tried = _reasons(failures)
    return last
