"""``seamstep completion``."""

from __future__ import annotations

import argparse
from typing import Any

from seamstep.base.errors import ExitCode
from seamstep.cli.output import say

_EPILOG = """to complete on every start of the shell:
  bash  seamstep completion bash > ~/.local/share/bash-completion/completions/seamstep
  zsh   seamstep completion zsh > DIR/_seamstep, with DIR in fpath before compinit
  fish  seamstep completion fish > ~/.config/fish/completions/seamstep.fish
"""


def add(commands: Any) -> None:
    """Add the command."""
    from seamstep.cli.arguments import Verbatim

    parser = commands.add_parser(
        "completion",
        description="Print a script with which bash, zsh or fish completes commands, options and their values.",
        epilog=_EPILOG,
        formatter_class=Verbatim,
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")
    parser.add_argument("--json", action="store_true", help="print errors as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> ExitCode:
    """Print the script."""
    from importlib import import_module

    from seamstep.cli import described_parser

    say(import_module(f"seamstep.cli.completion_scripts.{options.shell}").script(described_parser()))
    return ExitCode.DONE
