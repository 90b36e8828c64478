"""One copy between two sites: by the sites themselves where they can, else through us, and looked at when it is there.

What a site says of its own success counts for nothing: some answer so when nothing was written. Whoever wrote it, the
file is under a name that does not matter until its size and checksum were seen to be right.
"""

from __future__ import annotations

import contextlib
import errno
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable

from rucio_cs3 import deadline
from rucio_cs3.checksums import ALGORITHMS, normalise
from rucio_cs3.errors import AlreadyExists, Cs3Error, LocalSourceError, WrongContent
from rucio_cs3.mover.model import Compare, Done, Failed, Side
from rucio_cs3.mover.reasons import MISMATCH, at, because, failed
from rucio_cs3.transfer import verify
from rucio_cs3.transfer.reading import Reading, SourceFailed

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

    def copy(self, wanted: Wanted, progress: Progress) -> Done:
        """Raises Failed: nothing is left then, and at the target is what was there."""
        deadline.end_calls()
        failures: list[Failed] = []
        with at(Side.TARGET, wanted.target.url), self._sites.open(wanted.target) as target:
            checksum = _checksum(wanted)
            for place in wanted.sources:
                try:
                    return self._from(place, target, _Task(wanted, checksum, progress))
                except Failed as failure:
                    failures.append(failure)
                    if failure.side is not Side.SOURCE:
                        break
                    log.info("%s", failure.reason)
        raise _all_of(failures)

    def _from(self, place: Place, target: End, task: _Task) -> Done:
        with (
            at(Side.SOURCE, place.url),
            self._sites.open(place) as source,
            source.root.ask(lambda: Reading(source.remote)) as file,
        ):
            task.check(file.info, source.url)
            return self._streamed(file, source, target, task)

    def _streamed(self, file: Reading, source: End, target: End, task: _Task) -> Done:
        try:
            sent = file.send(
                target.remote,
                overwrite=task.wanted.overwrite,
                checksums=task.checksum,
                progress=lambda done, _: task.progress(done),
            )
        except SourceFailed as carrier:
            raise failed(Side.SOURCE, carrier.error, source.url) from carrier.error
        except LocalSourceError as error:
            raise failed(Side.SOURCE, error, source.url) from error
        except WrongContent as error:
            # the storage says that it has the right file: then it may have been on the way that it went wrong
            said = not disagreement(task.checksum, file.info.checksums)
            raise failed(Side.SOURCE, error, source.url, again=said) from error
        except AlreadyExists as error:
            raise _there_already(error, target) from error
        except Cs3Error as error:
            raise failed(Side.TARGET, error, target.url) from error
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
    with at(Side.TARGET, target.url):
        info = target.root.stat(target.below)
    wrong = disagreement(info.checksums, checksums)
    if info.size != size or wrong:
        what = f"somebody else wrote there meanwhile: it has {info.size} bytes instead of {size}: {target.url}"
        raise because(Side.TARGET, errno.EIO, what, again=True)
    return Done(source, size, {**info.checksums, **checksums}, how)


def _there_already(error: Cs3Error, target: End) -> Failed:
    """With what is there: Rucio takes it if it is the right file."""
    failure = failed(Side.TARGET, error, target.url)
    with contextlib.suppress(Cs3Error):
        info = target.root.stat(target.below)
        failure.dst_file = {"file_size": info.size}
        for name in verify.cheapest({name: info.checksums[name] for name in info.checksums.keys() & set(RUCIO_KNOWS)}):
            failure.dst_file.update(checksum_type=name.upper(), checksum_value=info.checksums[name])
    return failure


def _all_of(failures: list[Failed]) -> Failed:
    last = failures[-1]
    if len(failures) == 1 or last.side is not Side.SOURCE:
        return last
    return Failed(last.side, "; ".join(each.reason for each in failures), again=any(each.again for each in failures))
