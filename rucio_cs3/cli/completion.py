"""`rucio-cs3 completion`: let the shell complete commands, options, and names at sites."""

from __future__ import annotations

import os
import re
import threading
from itertools import islice
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

from rucio_cs3 import deadline
from rucio_cs3.cli.place import LOCAL, Name, Places
from rucio_cs3.cli.rses import PATIENCE, known
from rucio_cs3.errors import Cs3Error

if TYPE_CHECKING:
    from rucio_cs3.cli.place import Place

MOST = 200  # names
RSE = re.compile(r"([A-Za-z0-9][\w.@-]*)?", re.ASCII)  # the beginning of one
PLAIN = re.compile(r"[\w@%+][\w@%+,.-]*")  # names of files that no shell takes for anything else
VARIABLE = "_RUCIO_CS3_COMPLETE"
# What has to be otherwise than click has it: no blank after a folder or RSE, in which one goes on. fish puts none.
INSTEAD = {
    "bash": (
        "    return 0\n",
        "    if [[ ${#COMPREPLY[@]} == 1 && $COMPREPLY == *[/:] ]]; then compopt -o nospace; fi\n    return 0\n",
    ),
    "zsh": (
        "compadd -U -V unsorted -a completions\n",
        "compadd -U -V unsorted -S '' -- ${(M)completions:#*[/:]}; compadd -U -V unsorted -- ${completions:#*[/:]}\n",
    ),
    "fish": ("", ""),
}
# bash takes what it is given for what was typed: somebody else's name could be a command
OBEYED = re.compile(r"""[\s!"#$&'()*;<>?\[\\\]`{|}]""")
# bash takes a colon for the end of a word
AFTER = {"bash": "COMP_WORDBREAKS=${COMP_WORDBREAKS//:}\n"}


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes SHELL complete our commands and names.

    \b
    bash   eval "$(rucio-cs3 completion bash)"         in ~/.bashrc
    zsh    eval "$(rucio-cs3 completion zsh)"          in ~/.zshrc
    fish   rucio-cs3 completion fish | source          in ~/.config/fish/config.fish
    """  # noqa: D301 - click wants the character
    complete = get_completion_class(shell)
    assert complete, "click knows them all"
    script = complete(ctx.find_root().command, {}, "rucio-cs3", VARIABLE).source()
    click.echo(script.replace(*INSTEAD[shell]) + AFTER.get(shell, ""), nl=False)


def remote_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What is in the folder that is being typed, if the site tells it at once."""
    del param
    try:
        if Name.parse(incomplete or ".").kind == LOCAL:
            return _rses_and_files(incomplete)
    except Cs3Error:
        return []
    found: list[CompletionItem] = []
    asking = threading.Thread(target=_ask, args=(ctx, incomplete, found), daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return found.copy()


def _rses_and_files(incomplete: str) -> list[CompletionItem]:
    """Where no RSE begins so the shell completes files, which it does better."""
    rses = known(incomplete) if RSE.fullmatch(incomplete) else []
    if not rses:
        return [CompletionItem(incomplete, type="file")]
    return [CompletionItem(name) for name in [*(f"{rse}:" for rse in rses), *_files(incomplete)]]


def _files(begun: str) -> list[str]:
    """Those of this folder."""
    try:
        with os.scandir() as entries:
            found = (entry for entry in entries if entry.name.startswith(begun) and PLAIN.fullmatch(entry.name))
            return sorted(entry.name + "/" * entry.is_dir() for entry in islice(found, MOST))
    except OSError:
        return []


def _ask(ctx: click.Context, incomplete: str, found: list[CompletionItem]) -> None:
    folder, begun = _split(incomplete)
    try:
        with deadline.within(PATIENCE), Places(ctx.params.get("rse"), ctx.params.get("door")) as places:
            places.refuse_strangers([*(ctx.params.get("names") or ()), incomplete])
            place = places.at(folder)
            names = (_name(place, info.name) + "/" * info.is_directory for info in place.client.files.list(place.ref))
            fitting = (name for name in names if name.startswith(begun) and _can_be_typed(name))
            found += [CompletionItem(folder + name) for name in islice(fitting, MOST)]
    except (Cs3Error, click.ClickException):
        return


def _can_be_typed(name: str) -> bool:
    """As it is. Other shells than bash quote what has to be."""
    in_bash = os.environ.get(VARIABLE, "").startswith("bash")
    return name.isprintable() and not (in_bash and OBEYED.search(name))


def _name(place: Place, name: str) -> str:
    """As it is written there."""
    return (place / name).name()[len(place.name()) :].lstrip("/")


def _split(incomplete: str) -> tuple[str, str]:
    """The folder, with what ends it, and the beginning of a name."""
    scheme, mark, rest = incomplete.rpartition("://")
    end = max(rest.rfind("/"), -1 if mark else rest.find(":")) + 1
    return scheme + mark + rest[:end], rest[end:]
