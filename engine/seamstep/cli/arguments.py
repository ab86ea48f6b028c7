"""How arguments are parsed: what argparse does, with our errors."""

from __future__ import annotations

import argparse
import os
from typing import Any, NoReturn

from seamstep.base.errors import InputError, Problem


class Formatter(argparse.HelpFormatter):
    """argparse makes one for every option, and each would import shutil to ask how wide the terminal is."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


class Verbatim(Formatter, argparse.RawDescriptionHelpFormatter):
    """Leaves the lines of descriptions and epilogs as they are."""


_DIGITS_MAX = 9  # no terminal is as wide


def _columns() -> int:
    """As shutil.get_terminal_size has it, which argparse asks."""
    columns = os.environ.get("COLUMNS", "")
    if len(columns) < _DIGITS_MAX and columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80


class Parser(argparse.ArgumentParser):
    """Usage errors are errors like all others; options are written out, so that none is met by accident."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **{"formatter_class": Formatter, **settings, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        raise InputError(Problem(self.prog, f"{message} (see {self.prog} --help)"))


class Described:
    """The commands, for one of them to add itself: what it is for is known already."""

    def __init__(self, commands: Any, purpose: str) -> None:
        self._commands = commands
        self._purpose = purpose

    def add_parser(self, name: str, **settings: Any) -> Any:
        """As argparse has it."""
        return self._commands.add_parser(name, help=self._purpose, **settings)
