"""How arguments are parsed: what argparse does, with our errors."""

from __future__ import annotations

import argparse
from argparse import RawDescriptionHelpFormatter
from typing import Any, NoReturn

from seamstep.errors import InputError, Problem

__all__ = ["Described", "Parser", "RawDescriptionHelpFormatter"]


class Parser(argparse.ArgumentParser):
    """Usage errors are errors like all others; options are written out, so that none is met by accident."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **{**settings, "allow_abbrev": False})

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
