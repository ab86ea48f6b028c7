"""What a command line can hold, read off an argparse parser, and scripts that complete it in shells.

Pure: a parser and the words that some placeholders stand for go in, text comes out.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum

from seamstep.base.values import NamedTuple

#: Placeholders of the parser's that stand for files and folders; ``OLD``, ``NEW`` and ``PLAN`` are files too.
_FILES = re.compile(r"\b(FILE|PATH|OUT|BIN|SIGSTRUCT|PLAN|OLD|NEW)\b")
_FOLDERS = re.compile(r"\bDIR\b")
#: What may stand in a script without being quoted; the parser's words all do.
_PLAIN = re.compile(r"[A-Za-z0-9_.@%+=,/-]+")


class Kind(Enum):
    """What completes a value besides words."""

    NOTHING = "nothing"
    FILES = "files"
    FOLDERS = "folders"


class Values(NamedTuple):
    """What a value can be: words, and files or folders."""

    placeholder: str
    words: tuple[str, ...] = ()
    kind: Kind = Kind.NOTHING


class Option(NamedTuple):
    """An option: its spellings, its help, and its value, if it takes one; ``repeated`` if it may be given again."""

    flags: tuple[str, ...]
    help: str
    value: Values | None
    repeated: bool
    required: bool


class Argument(NamedTuple):
    """A positional argument; ``many`` if it takes the rest."""

    value: Values
    help: str
    required: bool
    many: bool


class Command(NamedTuple):
    """A command with the path of words that leads to it, and the commands below it."""

    words: tuple[str, ...]
    help: str
    description: str
    options: tuple[Option, ...]
    arguments: tuple[Argument, ...]
    commands: tuple[Command, ...]

    @property
    def path(self) -> str:
        """The words with spaces between them."""
        return " ".join(self.words)

    def all(self) -> Iterator[Command]:
        """This command and all below it, in the parser's order."""
        yield self
        for command in self.commands:
            yield from command.all()


def described(
    parser: argparse.ArgumentParser, words: Mapping[str, Sequence[str]], path: tuple[str, ...] = (), told: str = ""
) -> Command:
    """What ``parser`` takes. ``words`` says what placeholders stand for: ``{"NAME": [...]}``.

    Raises:
        ValueError: a word that completes something would have to be quoted.
    """
    path = path or (parser.prog,)
    options, arguments, commands = [], [], []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, below in action.choices.items():
                commands.append(described(below, words, (*path, name), helps.get(name, "")))
        elif action.option_strings:
            value = None if action.nargs == 0 else _values(action, words)
            repeated = isinstance(action, argparse._AppendAction)
            options.append(Option(tuple(action.option_strings), _help(action), value, repeated, action.required))
        else:
            arguments.append(
                Argument(_values(action, words), _help(action), action.required, action.nargs in {"+", "*"})
            )
    description = parser.description or told
    return Command(path, told, description, tuple(options), tuple(arguments), tuple(commands))


def _help(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%")


def _values(action: argparse.Action, words: Mapping[str, Sequence[str]]) -> Values:
    choices = tuple(map(str, action.choices or ()))
    placeholder = str(action.metavar or ("{" + ",".join(choices) + "}" if choices else action.dest.upper()))
    known = choices + tuple(word for name in placeholder.split("|") for word in words.get(name, ()))
    for word in known:
        if not _PLAIN.fullmatch(word):
            raise ValueError(f"{word!r} would have to be quoted")
    kind = Kind.FILES if _FILES.search(placeholder) else Kind.FOLDERS if _FOLDERS.search(placeholder) else Kind.NOTHING
    return Values(placeholder, known, kind)
