"""The options for TCB Info, and the reading of the documents that they name."""

from __future__ import annotations

import argparse
from datetime import date
from typing import TYPE_CHECKING

from seamstep.base.errors import InputError, Problem

if TYPE_CHECKING:
    from seamstep.domain.tcb import TcbView


def add(parser: argparse._ActionsContainer) -> None:
    """``--tcb-info`` and ``--fmspc``."""
    parser.add_argument(
        "--tcb-info",
        metavar="FILE|DIR",
        type=_given,
        action="append",
        default=[],
        help="Intel's TDX TCB Info: a document with its issuer chain beside it in .pem, or a folder with such",
    )
    parser.add_argument(
        "--fmspc", metavar="FMSPC", type=_given, help="the host's FMSPC; without it the worst of all documents counts"
    )


def add_evaluation(parser: argparse._ActionsContainer) -> None:
    """``--tcb-evaluation``."""
    text = "go by TCB Info of this tcbEvaluationDataNumber, as a verifier may, instead of the newest"
    parser.add_argument("--tcb-evaluation", metavar="NUMBER", type=_number, help=text)


def add_day(parser: argparse._ActionsContainer) -> None:
    """``--as-of``, for commands without policies."""
    text = "judge TCB Info as of this day (default: today, UTC)"
    parser.add_argument("--as-of", metavar="DAY", type=_given, help=text)


def view(
    options: argparse.Namespace, as_of: date, stale_until: date | None = None, *, decides: bool = False
) -> TcbView | None:
    """The TCB Info that the options name, the newest document of each FMSPC; None without any. Standard error
    names documents that have expired.

    Args:
        options: the options.
        as_of: the day on which certificates have to be valid.
        stale_until: the last day on which an expired document counts.
        decides: whether a policy goes by it. If not, and the configuration of the host names it, a mistake in it is
            a note on standard error, and no document is used.

    Raises:
        InputError: a document can't be read or does not verify, or none is for ``--fmspc``.
    """
    if not options.tcb_info:
        if getattr(options, "tcb_evaluation", None):
            raise InputError(Problem("--tcb-evaluation", "chooses among the documents of --tcb-info; give that too"))
        if options.fmspc:
            raise InputError(Problem("--fmspc", "chooses among the documents of --tcb-info; give that too"))
        return None
    import sys

    from seamstep.show.text import printable
    from seamstep.tcb import files

    evaluation = getattr(options, "tcb_evaluation", None)
    try:
        found = files.view(options.tcb_info, options.fmspc, as_of, stale_until, evaluation)
    except InputError as error:
        if decides or not getattr(options, "tcb_configured", False):
            raise
        for problem in error.problems:
            print(f"seamstep: note: TCB Info is not used: {printable(problem)}", file=sys.stderr)
        return None
    for document in found.documents:
        if reason := document.why_unusable(as_of, stale_until):
            print(f"seamstep: note: {printable(document.path)}: {reason}; its answer is unknown", file=sys.stderr)
    if found.left_out:
        lacking = ", ".join(found.left_out)
        told = f"no TCB Info of number {evaluation} for {lacking}; what it says of hosts of these is open"
        print(f"seamstep: note: {told}", file=sys.stderr)
    return found


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number such as 18")
    return int(text)


def _given(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the value is empty")
    return text
