"""What the commands of a rollout have in common: they name a ledger, and print a document or its text."""

from __future__ import annotations

import argparse
from typing import Any

from seamstep.base.errors import ExitCode
from seamstep.cli import options as shared
from seamstep.cli.output import emit


def command(actions: Any, name: str, run: Any, text: str, *, ledger: bool = True) -> argparse.ArgumentParser:
    """Add a command."""
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text.partition(".")[0], description=text)
    if ledger:
        parser.add_argument("--ledger", metavar="FILE", type=shared.given, required=True, help="the rollout's ledger")
    shared.add_output(parser)
    parser.set_defaults(run=run)
    return parser


def show(document: Any, text: str, options: argparse.Namespace, code: ExitCode = ExitCode.DONE) -> None:
    """Print the document or its text; ``code`` goes into the document."""
    emit(document, text, as_json=options.json, code=code, output=options.output, replace=options.force)
