"""What has to be done so that Rucio knows an RSE as it should: each step with the commands that do the same by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable

from rucio_cs3.errors import ConfigError, Cs3Error, NotFound
from rucio_cs3.operate import entry
from rucio_cs3.operate.catalogue import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rucio_cs3.operate.catalogue import Catalogue, Standing
    from rucio_cs3.operate.entry import Wanted

NEW, CHANGE, SO_ALREADY = "new", "change", "so already"
DONE, FAILED, NOT_DONE = "done", "failed", "not done"
PLACE = ("scheme", "hostname", "port")  # what tells one entry of an RSE from another
CONTENT = ("prefix", "impl", "domains", "extended_attributes")
AVAILABLE = ("availability_write", "availability_delete")


@dataclass(frozen=True)
class Change:
    """One value, before and after."""

    name: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.name}: {_shown(self.old)} -> {_shown(self.new)}"


@dataclass
class Step:
    what: str
    state: str
    commands: Sequence[Sequence[str]] = ()
    changes: Sequence[Change] = ()
    act: Callable[[], object] = field(default=lambda: None, repr=False)
    outcome: str = ""
    """of a step that was to be done"""

    def told(self) -> dict[str, Any]:
        """For programs."""
        return {
            "what": self.what,
            "state": self.state,
            "changes": [vars(change) for change in self.changes],
            "commands": [list(words) for words in self.commands],
            "outcome": self.outcome or None,
        }


def plan(rucio: Catalogue, wanted: Wanted, standing: Standing | None, *, replace: bool = False) -> list[Step]:
    """All steps, with those that need not be done any more.

    Raises:
        ConfigError: the RSE is another one than is wanted, or a distance is to itself.
        NotFound: an RSE is missing to which a distance is wanted.
    """
    for other in wanted.distances:
        if other == wanted.name:
            raise ConfigError(f"--distance {other} is the RSE itself", hint="name another one")
        if rucio.standing(other) is None:
            raise NotFound(f"Rucio has no RSE {other}, to which --distance is given", hint="rucio rse list")
    return [
        _rse(rucio, wanted, standing),
        *_availability(rucio, wanted, standing),  # before there is a way in
        *_protocols(rucio, wanted, standing, replace=replace),
        *_attributes(rucio, wanted, standing),
        *_distances(rucio, wanted, standing),
    ]


def apply(steps: Sequence[Step]) -> Iterator[Step]:
    """Do what is to be done, in order. After a failure, which is raised, what follows is not tried.

    Each may be run again: what was done is so already.
    """
    todo = [step for step in steps if step.state != SO_ALREADY]
    for step in todo:
        step.outcome = NOT_DONE
    for step in todo:
        try:
            with refusals(step.what):
                step.act()
        except Cs3Error:
            step.outcome = FAILED
            raise
        step.outcome = DONE
        yield step


def _rse(rucio: Catalogue, wanted: Wanted, standing: Standing | None) -> Step:
    kind = "deterministic" if wanted.deterministic else "non-deterministic"
    what = f"make {kind} RSE {wanted.name}"
    if standing is None:
        words = ["rucio", "rse", "add", wanted.name, *([] if wanted.deterministic else ["--non-deterministic"])]
        return Step(
            what, NEW, [words], act=lambda: rucio.client.add_rse(wanted.name, deterministic=wanted.deterministic)
        )
    if bool(standing.settings["deterministic"]) != wanted.deterministic:
        raise ConfigError(
            f"RSE {wanted.name} is not {kind}, and Rucio would look for its files elsewhere if it were made so",
            hint=f"{'give' if wanted.deterministic else 'leave out'} --non-deterministic, or choose another name",
        )
    return Step(what, SO_ALREADY)


def _protocols(rucio: Catalogue, wanted: Wanted, standing: Standing | None, *, replace: bool) -> list[Step]:
    """Ours, and then away with those that it takes the place of: of the same scheme, or with `replace` all others."""
    here = _place(wanted.protocol)
    there = standing.protocols if standing else []
    ours = standing.ours if standing else []
    if there and not ours and not replace:
        others = ", ".join(sorted({f"{each['scheme']} ({each['impl']})" for each in there}))
        raise ConfigError(
            f"RSE {wanted.name} exists, and its protocol is {others}",
            hint="choose another name, or --replace takes that protocol away",
        )
    gone = [each for each in there if _place(each) != here and (each["scheme"] == here[0] if each in ours else replace)]
    old = next((each for each in there if _place(each) == here), None)
    return [_protocol(rucio, wanted, old), *(_gone(rucio, wanted.name, each) for each in gone)]


def _gone(rucio: Catalogue, name: str, old: Mapping[str, Any]) -> Step:
    def act() -> None:
        rucio.client.delete_protocols(name, old["scheme"], hostname=old["hostname"], port=old["port"])

    return Step(f"take away protocol {_named(old)}", CHANGE, [_removal(name, old)], act=act)


def _protocol(rucio: Catalogue, wanted: Wanted, old: Mapping[str, Any] | None) -> Step:
    new, name = wanted.protocol, wanted.name
    what = f"protocol {_named(new)}"
    if old is None:
        return Step(
            f"add {what}", NEW, [entry.command(name, new)], act=lambda: rucio.client.add_protocol(name, {**new})
        )
    changes = [
        Change(key, entry.shown(old.get(key)), new.get(key))
        for key in CONTENT
        if _compared(old.get(key)) != _compared(new.get(key))
    ]
    if not changes:
        return Step(what, SO_ALREADY)
    data = {change.name: change.new or {} for change in changes}

    def act() -> None:
        rucio.client.update_protocols(name, new["scheme"], data, hostname=new["hostname"], port=new["port"])

    commands = [_removal(name, old), entry.command(name, new)]
    return Step(f"change {what}", CHANGE, commands, changes, act)


def _removal(name: str, old: Mapping[str, Any]) -> list[str]:
    where = [*("--scheme", old["scheme"]), *("--hostname", old["hostname"]), *("--port", str(old["port"]))]
    return ["rucio", "rse", "protocol", "remove", name, *where]


def _availability(rucio: Catalogue, wanted: Wanted, standing: Standing | None) -> Iterator[Step]:
    """What may not be written to is not chosen by rules either. Who has closed it may see here that it is opened."""
    for key in AVAILABLE:
        old, new = standing is None or bool(standing.settings[key]), not wanted.read_only
        words = ["rucio", "rse", "update", wanted.name, "--key", key, "--value", str(new)]
        what = f"set {key} = {new}"
        if old == new:
            if wanted.read_only:
                yield Step(what, SO_ALREADY)
            continue

        def act(key: str = key, new: bool = new) -> None:
            rucio.client.update_rse(wanted.name, {key: new})

        yield Step(what, CHANGE, [words], [Change(key, old, new)], act)


def _attributes(rucio: Catalogue, wanted: Wanted, standing: Standing | None) -> Iterator[Step]:
    there = standing.attributes if standing else {}
    for key, new in wanted.attributes.items():
        what = f"set attribute {key} = {new}"
        old = there.get(key)
        if old is not None and _spelt(old) == _spelt(new):
            yield Step(what, SO_ALREADY)
            continue

        def act(key: str = key, new: str = new) -> None:
            rucio.client.add_rse_attribute(wanted.name, key, new)

        words = ["rucio", "rse", "attribute", "set", wanted.name, "--key", key, "--value", new]
        changes = [] if old is None else [Change(key, old, new)]
        yield Step(what, CHANGE if changes else NEW, [words], changes, act)


def _distances(rucio: Catalogue, wanted: Wanted, standing: Standing | None) -> Iterator[Step]:
    for other, new in wanted.distances.items():
        ways = [(wanted.name, other), (other, wanted.name)]
        olds = {way: rucio.distance(*way) if standing else None for way in ways}
        changes = [
            Change(f"{source} -> {target}", old, new)
            for (source, target), old in olds.items()
            if old not in {None, new}
        ]
        what = f"set the distance to {other} and back = {new}"
        if all(old == new for old in olds.values()):
            yield Step(what, SO_ALREADY)
            continue

        def act(olds: Mapping[tuple[str, str], int | None] = olds, new: int = new) -> None:
            for way, old in olds.items():
                send = rucio.client.add_distance if old is None else rucio.client.update_distance
                send(*way, {"distance": new})

        words = ["rucio", "rse", "distance", "set", wanted.name, other, "--distance", str(new), "--bidirectional"]
        yield Step(what, CHANGE if changes else NEW, [words], changes, act)


def _place(protocol: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(protocol[key] for key in PLACE)


def _named(protocol: Mapping[str, Any]) -> str:
    return f"{protocol['scheme']}://{protocol['hostname']}:{protocol['port']}{protocol['prefix']}"


def _compared(value: Any) -> Any:
    """Rucio writes what is not set as null, or not at all. 0 and false are set."""
    if isinstance(value, dict):
        return {key: here for key, inner in value.items() if (here := _compared(inner)) is not None} or None
    return value


def _spelt(value: Any) -> str:
    """Rucio takes true, whatever its case, for a truth value."""
    text = str(value)
    return text.lower() if text.lower() in {"true", "false"} else text


def _shown(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (dict, bool, type(None))) else str(value)
