"""Parsing of arguments: argparse with seamstep's errors."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, NoReturn

from seamstep.base.errors import InputError, Problem
from seamstep.cli.output import say


class Formatter(argparse.HelpFormatter):
    """A help formatter that gets its width at once: argparse creates one for every option, and each would import shutil
    to find the terminal's width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


class Verbatim(Formatter, argparse.RawDescriptionHelpFormatter):
    """A help formatter that keeps the line breaks of descriptions and epilogs."""


_DIGITS_MAX = 9  # a longer number is no width


def _columns() -> int:
    """The width of the terminal, found as shutil.get_terminal_size does, argparse's own source."""
    columns = os.environ.get("COLUMNS", "")
    if len(columns) < _DIGITS_MAX and columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80


class Parser(argparse.ArgumentParser):
    """A parser that raises usage errors as InputError, with a hint for a command or choice that is nearly right, and
    accepts no abbreviated options, which could match one by accident."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **{"formatter_class": Formatter, **settings, "allow_abbrev": False})

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            from seamstep.base.validation import did_you_mean

            error.message += did_you_mean(str(value), map(str, action.choices or ()))
            raise

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print a help text or a version. argparse itself ignores it if standard output can't be written to."""
        if file in {None, sys.stdout}:
            say(message)
        else:
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        raise InputError(Problem(self.prog, f"{message} (see {self.prog} --help)"))


class Described:
    """The subparsers as one command sees them when it adds its parser: the help text of the command is filled in."""

    def __init__(self, commands: Any, purpose: str) -> None:
        self._commands = commands
        self._purpose = purpose

    def add_parser(self, name: str, **settings: Any) -> Any:
        """Add a parser as argparse does."""
        return self._commands.add_parser(name, help=self._purpose, **settings)
