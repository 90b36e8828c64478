"""What the plugin does at a site, done with a file of ours: each step seen by what is there afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rucio_cs3.checksums import ALGORITHMS, normalise
from rucio_cs3.checkup.case import SIZE, Probe, of_probe
from rucio_cs3.checkup.model import failed, failure, passed, skipped, warned
from rucio_cs3.errors import Cs3Error, NotFound, Unsupported
from rucio_cs3.operate import names, trial
from rucio_cs3.operate import sample as samples
from rucio_cs3.operate.usage import LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.checkup.case import Case
    from rucio_cs3.checkup.model import Finding

PART = slice(1000, 3000)  # bytes that are asked for alone
READABLE = 64 << 20  # bytes of a file of others that is read as a sample
MARGIN = 2  # times what is written at once
SPOILT = "the storage, or what is on the way to it, spoils content: do not use it; tell its operator"


def space(case: Case) -> Iterator[Finding]:
    """There is room for what will be written, and as much as Rucio wants to keep free."""
    try:
        quota = case.client.files.quota(case.root.resolve())
    except Unsupported:
        yield skipped("the storage does not tell")
        return
    if quota.available is None:
        yield passed("the storage sets no limit")
        return
    seen = f"{quota.available:,} of {quota.total:,} bytes are free"
    least = _least_free(case)
    if quota.available < MARGIN * SIZE and not case.read_only:
        yield failed(seen, "free space, or have the site raise the quota")
    elif quota.available < least:
        yield warned(f"{seen}, and {LIMIT} is {least:,}", f"free space, or lower {LIMIT}: rucio rse limit")
    else:
        yield passed(seen)


def _least_free(case: Case) -> int:
    return (case.rucio.limits(case.name).get(LIMIT) if case.rucio else None) or 0


def write(case: Case) -> Iterator[Finding]:
    probe = case.new_probe()
    try:
        probe.info = case.write(probe)
    except NotFound as error:
        remedy = "ask the site's operator why it took the bytes and has no file"
        yield failed(f"it was written, and is not there: {error.message}", remedy)
        return
    case.probe = probe
    if probe.info.size != len(probe.content):
        seen = f"{len(probe.content)} bytes were written, and the storage has {probe.info.size}"
        yield failed(seen, "nothing that is uploaded there is whole: ask the site's operator")
        return
    yield passed(f"{len(probe.content):,} bytes as {probe.name}")


@of_probe
def read(case: Case, probe: Probe) -> Iterator[Finding]:
    yield _compared(case.content(probe.name), probe.content)


def sample(case: Case) -> Iterator[Finding]:
    """Where nothing may be written: a file of somebody's, as it is."""
    found = samples.find(case.client, case.root.resolve(), READABLE)
    if found is None:
        yield skipped("nothing may be written, and no file is found to read")
        return
    name, info = found
    content = case.content(name)
    if len(content) != info.size:
        yield failed(f"{name} has {info.size} bytes, and {len(content)} came", "ask the site's operator")
        return
    case.probe = Probe(name, content, info)
    yield passed(f"{name}, {info.size:,} bytes")


def _compared(got: bytes, sent: bytes) -> Finding:
    if got == sent:
        return passed(f"the same {len(sent):,} bytes came back")
    if len(got) != len(sent):
        seen = f"{len(sent)} bytes were sent, and {len(got)} came back"
    else:
        offset = next(index for index, pair in enumerate(zip(got, sent)) if pair[0] != pair[1])
        seen = f"other bytes came back than were sent, from byte {offset} on"
    return failed(seen, SPOILT)


@of_probe
def checksum(_: Case, probe: Probe) -> Iterator[Finding]:
    """What the storage says of the content that we have seen to be right."""
    told = probe.info.checksums if probe.info else {}
    if not told:
        yield skipped("the storage tells none, so sizes are compared; verify = readback compares every byte")
        return
    for name, value in told.items():
        ours = ALGORITHMS[name]()
        ours.update(probe.content)
        if normalise(name, value) != ours.hexdigest():
            remedy = "the storage's checksums are wrong: uploads and downloads will fail; tell its operator"
            yield failed(f"the storage says {name} {value}, and the content has {ours.hexdigest()}", remedy)
            return
    yield passed(f"{', '.join(told)} of the storage are right")


@of_probe
def ranges(case: Case, probe: Probe) -> Iterator[Finding]:
    """A part of a file alone, without which downloads that were cut begin anew."""
    client = case.client
    wanted = probe.content[PART]
    if not wanted:
        yield skipped(f"{probe.name} is too small")
        return
    if not client.serves_ranges(case.ref(probe.name)):
        yield skipped("not offered: downloads that are cut begin anew")
        return
    with client.open_read(case.ref(probe.name)) as file:
        file.seek(PART.start)
        got = file.read(len(wanted))
    if got != wanted:
        yield failed("a part of a file was asked for, and another one came", "tell the site's operator")
    else:
        yield passed("parts of files are served: downloads that are cut go on")


def tus(case: Case) -> Iterator[Finding]:
    """An upload in several requests, without which uploads that were cut begin anew."""
    sent = case.new_probe()
    try:
        tried = trial.in_parts(case.client, case.ref(sent.name), case.root.resolve(), sent.content)
    except Unsupported:
        yield skipped("not offered: uploads that are cut begin anew")
        return
    if tried.worked:
        yield passed(f"uploads that are cut go on: {trial.PARTS} requests made a file")
    else:
        yield failed(f"a file was sent in {trial.PARTS} requests, and {tried.seen}", SPOILT)


@of_probe
def rename(case: Case, probe: Probe) -> Iterator[Finding]:
    """As Rucio does with each upload."""
    new = case.new_name()
    try:
        case.client.files.move(case.ref(probe.name), case.ref(new))
        info = case.client.files.stat(case.ref(new))
    except Cs3Error as error:
        remedy = f"Rucio renames every file that it has uploaded, so none arrives: {error.hint or 'tell its operator'}"
        yield failure(error, remedy)
        return
    if info.size != len(probe.content) or _is_there(case, probe.name):
        yield failed("a file that was moved is not there as it was", "tell the site's operator")
        return
    case.gone(probe.name)
    probe.name = new
    yield passed("it has another name, and the old one is free")


@of_probe
def delete(case: Case, probe: Probe) -> Iterator[Finding]:
    name = probe.name
    try:
        case.root.delete(name)
    except Cs3Error as error:
        yield failure(error, f"Rucio's reaper would not get rid of files either: {error.hint or 'tell its operator'}")
        return
    if _is_there(case, name):
        yield failed("it was deleted, and is still there", "tell the site's operator")
        return
    case.gone(name)
    yield passed("it is gone")


def _is_there(case: Case, name: str) -> bool:
    try:
        case.root.stat(name)
    except NotFound:
        return False
    return True


def tidy(case: Case) -> Iterator[Finding]:
    """What is left of this check, and of older ones that were killed."""
    left, gone = case.tidy(), 0
    for name in _old(case):
        try:
            case.client.files.delete(case.ref(name), recursive=True)  # that of `rse add` is a folder
            gone += 1
        except Cs3Error:
            left.append(name)
    if left:
        yield warned(f"these could not be removed from the root folder: {', '.join(left)}", "remove them")
    elif gone:
        yield passed(f"nothing is left, and {gone} that killed checks had left are gone")
    else:
        yield passed("nothing is left at the site")


def _old(case: Case) -> list[str]:
    """What killed checks have left, as far as it can be listed: some folders are too large."""
    try:
        found = [entry.name for page in case.client.files.briefs(case.root.resolve()) for entry in page]
    except Cs3Error:
        return []
    return [name for name in found if (names.age(name) or 0.0) > names.OLD]
