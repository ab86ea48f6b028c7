"""``seamstep completion``: scripts that complete command lines in shells, and the candidates that the scripts ask for.

At every Tab a script runs seamstep with ``_ARGCOMPLETE`` in the environment (protocol and library: argcomplete).
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from argcomplete import ExclusiveCompletionFinder, shellcode  # type: ignore[attr-defined]  # it has no __all__
from argcomplete.completers import FilesCompleter

from seamstep.base import resources
from seamstep.base.errors import ExitCode
from seamstep.cli.output import say

_EPILOG = """to complete on every start of the shell:
  bash  seamstep completion bash > ~/.local/share/bash-completion/completions/seamstep
  zsh   seamstep completion zsh > DIR/_seamstep, with DIR in fpath before compinit
  fish  seamstep completion fish > ~/.config/fish/completions/seamstep.fish
"""
#: argcomplete's own function for zsh sends the whole line, so that completion fails after sudo, and quotes ``~``.
#: This function asks as the one for fish does, and gets a candidate a line, with its description after a tab.
_ZSH = r"""#compdef seamstep
_seamstep() {
    if [[ $PREFIX == (|--*=)[~\$]* ]]; then # only zsh itself knows what it expands
        compset -P '--*='
        _files
        return
    fi
    local line="${(j: :)words[1,CURRENT-1]} $PREFIX"
    local -a found folders
    found=(${(f)"$(_ARGCOMPLETE=1 _ARGCOMPLETE_SHELL=fish _ARGCOMPLETE_IFS=$'\n' _ARGCOMPLETE_DFS=$'\t' \
        _ARGCOMPLETE_SUPPRESS_SPACE=1 COMP_LINE=$line COMP_POINT=$#line $words[1] 8>&1 9>/dev/null >/dev/null 2>&1)"})
    found=(${${${found//(#m)[\\:]/\\$MATCH}/$'\t'/:}%:})
    folders=(${(M)found:#*/}) found=(${found:#*/})
    _describe seamstep found -- folders -S ''
}
if [[ $zsh_eval_context == *func ]]; then _seamstep "$@"; else compdef _seamstep seamstep; fi
"""
#: Placeholders of arguments that are paths of files; ``DIR`` is the placeholder of a folder.
_PATHS = {"FILE", "PATH", "OUT", "BIN", "SIGSTRUCT", "PLAN", "OLD", "NEW"}


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
    say(_ZSH if options.shell == "zsh" else shellcode(["seamstep"], shell=options.shell))
    return ExitCode.DONE


class Values(FilesCompleter):
    """Completes a value by its placeholder: with shipped policies for ``NAME``, with paths, with folders, or not."""

    def __call__(self, prefix: str, **asked: Any) -> list[str]:
        placeholders = set(str(asked["action"].metavar).split("|"))
        names = list(resources.policies()) if "NAME" in placeholders else []
        if prefix.startswith("$") and os.environ.get("_ARGCOMPLETE_SHELL") != "fish":
            return names  # argcomplete would quote the dollar sign; bash completes the path by itself
        if placeholders & _PATHS:
            return names + super().__call__(prefix)
        if "DIR" in placeholders:
            return [path for path in super().__call__(prefix) if path.endswith("/")]
        return names


class Finder(ExclusiveCompletionFinder):
    """Offers options once ``-`` is typed, and before that only if no positional argument is left."""

    def collect_completions(self, active_parsers: list[argparse.ArgumentParser], *rest: Any, **named: Any) -> list[str]:
        if active_parsers[-1]._get_positional_actions():
            self.always_complete_options = False
        return list(super().collect_completions(active_parsers, *rest, **named))


def answer(parser: argparse.ArgumentParser) -> None:
    """Write the candidates for the command line in ``COMP_LINE`` to file descriptor 8, and end the process."""
    Finder()(parser, default_completer=Values())
