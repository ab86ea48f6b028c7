"""The settings file of earlier versions, /etc/seamstep/seamstep.env, and what of it the configuration has to say.

The units of earlier versions read it; those of this version read the configuration. Installing carries its settings
over where there is no configuration yet, and the service does not begin while the two differ: an update under other
policies, or outside their windows, is worse than none. The file itself is never changed.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

from seamstep.base.documents import decode, read_regular
from seamstep.base.errors import InputError, Problem, in_reading_order
from seamstep.service import configuration
from seamstep.service.configuration import Configuration

NAME = "etc/seamstep/seamstep.env"
_SIZE_LIMIT = 64 << 10
_OPTIONS = "SEAMSTEP_OPTIONS"
_ASSIGNMENT = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9/._+-]+", re.ASCII)


class OldSettings(NamedTuple):
    """What the settings file says, in the terms of the configuration.

    Attributes:
        file: the path of the settings file.
        values: the values by key of the configuration: ``catalog``, ``policies``, ``max_hops``.
        unfit: the settings that the configuration has no key for, or not this value.
    """

    file: str
    values: dict[str, Any]
    unfit: tuple[Problem, ...]

    def lines(self) -> list[str]:
        """The lines of a configuration that say the same."""
        return [f"{key}: {_yaml(value)}" for key, value in self.values.items()]

    def differences(self, config: Configuration) -> list[Problem]:
        """The settings that the configuration does not have, or has otherwise."""
        found = [*self.unfit]
        for key, value in self.values.items():
            now = getattr(config, key)
            if now != value:
                message = f"is not read any more and says {key}: {_yaml(value)}, while the configuration comes to "
                found.append(Problem(self.file, f"{message}{_yaml(now)} ({config.origin(key)})"))
        return found


def load(file: str) -> OldSettings | None:
    """Read the settings file; None if there is none, or it sets nothing.

    Raises:
        InputError: it can't be read.
    """
    if not os.path.lexists(file):
        return None
    if os.path.isfile(file) and not os.path.getsize(file):
        return None
    text = decode(read_regular(file, _SIZE_LIMIT, "settings file", links=True), file)
    values: dict[str, Any] = {}
    unfit: list[Problem] = []
    assigned: dict[str, tuple[int, str]] = {}  # the last of several assignments counts
    for number, line in _lines(text):
        match = _ASSIGNMENT.fullmatch(line)
        if match:
            assigned[match[1]] = number, match[2].strip()
        elif line.strip() and line.lstrip()[0] not in "#;":
            unfit.append(Problem(file, "is no assignment that can be carried over", (), number, 1))
    for name in sorted(assigned, key=lambda name: name == _OPTIONS):  # policies in options come last
        number, value = assigned[name]
        unfit += (Problem(file, message, (), number, 1) for message in _take(name, value, values))
    unfit += _not_valid(file, values)
    return OldSettings(file, values, tuple(in_reading_order(unfit))) if values or unfit else None


def must_agree(file: str, config: Configuration) -> None:
    """Raise InputError if the settings file says what the configuration does not."""
    old = load(file)
    different = old.differences(config) if old else []
    if different:
        message = f"carry over to {config.file} what is wanted of it, and remove it; nothing was changed"
        raise InputError([*different, Problem(file, message)])


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines with their numbers; one that ends in a backslash goes on in the next, unless it is a comment."""
    whole, first = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        first = first if whole else number
        whole += line.removesuffix("\r")
        if whole.lstrip()[:1] not in set("#;") and (len(whole) - len(whole.rstrip("\\"))) % 2:
            whole = whole[:-1]
            continue
        yield first, whole
        whole = ""
    if whole:
        yield first, whole


def _value(text: str) -> str:
    """The value of an assignment as systemd reads it: quotes count where it begins with one. Raises ValueError."""
    if text[:1] in {"'", '"'}:
        return " ".join(shlex.split(text))
    return re.sub(r"\\(.)", r"\1", text)


def _take(name: str, text: str, values: dict[str, Any]) -> Iterator[str]:
    """Add what an assignment says to ``values``; give what the configuration has no key for."""
    try:
        value = _value(text)
        words = shlex.split(value) if name == _OPTIONS else []
    except ValueError as error:
        yield f"{name} can't be carried over: {error}"
        return
    if not value:
        return
    if name == "SEAMSTEP_CATALOG":
        values["catalog"] = value
    elif name == "SEAMSTEP_POLICY":
        values["policies"] = [value]
    elif name == _OPTIONS:
        yield from _take_options(words, values)
    else:
        yield f"{name} can't be carried over: the configuration has no key for it"


def _take_options(words: list[str], values: dict[str, Any]) -> Iterator[str]:
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if option not in {"--policy", "--max-hops"}:
            if option.startswith("-"):  # else it is the value of one that was told
                yield f"SEAMSTEP_OPTIONS has {option}, which can't be carried over: the configuration has no key for it"
            continue
        value = value if equals else next(rest, "")
        if option == "--policy":
            values["policies"] = [*values.get("policies", ()), value]
        else:
            values["max_hops"] = value


def _not_valid(file: str, values: dict[str, Any]) -> list[Problem]:
    """The values that a configuration can't have; they are taken out of ``values``."""
    found: list[Problem] = []
    for key in list(values):
        text = f"schema: seamstep/config/v1\n{key}: {_yaml(values[key])}\n"
        try:
            values[key] = getattr(configuration.read(text.encode(), file), key)
        except InputError as error:
            found += (Problem(file, f"{key} can't be carried over: {one.message}") for one in error.problems)
            del values[key]
    return found


def _yaml(value: Any) -> str:
    """A text, a number or a list of texts in YAML, on one line."""
    import json

    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    if value is None:
        return "no limit"
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
