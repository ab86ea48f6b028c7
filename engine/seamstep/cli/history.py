"""``seamstep history``."""

from __future__ import annotations

import argparse
from typing import Any

from seamstep.base.errors import ExitCode, InputError, Problem
from seamstep.cli import options as shared
from seamstep.cli.output import emit


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "history",
        description="Show the journal, oldest record first. A journal that is damaged is read as far as it goes."
        " Records about another host than this one, such as those of a rehearsal, say so.",
    )
    parser.add_argument("--transaction", metavar="ID", type=shared.given, help="only the records of this run")
    parser.add_argument("--newest-first", action="store_true", help="turn the order round")
    shared.add_sysroot(parser)
    shared.add_state_dir(parser)
    shared.add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> ExitCode:
    """Read and show the journal."""
    from seamstep.run import status
    from seamstep.run.journal import recorded_host
    from seamstep.show.status import history_text

    shared.check_output(options)
    folder = shared.state_folder(options)
    host = shared.sysfs_host(options)
    history, unreadable, _ = status.read_history(folder)
    if unreadable:
        raise InputError(Problem(folder, f"can't read the journal: {unreadable}"))
    wanted = options.transaction
    records = [
        record
        for record in (history.records if history else ())
        if wanted is None or wanted in {record.transaction, record.text("of")}
    ]
    if options.newest_first:
        records.reverse()
    problems = list(history.problems) if history else []
    document = {
        "schema": "seamstep/history/v1",
        "records": [dict(record.data) for record in records],
        "problems": problems,
    }
    emit(
        document,
        history_text(records, problems, recorded_host(host)),
        as_json=options.json,
        output=options.output,
        replace=options.force,
        private=True,
    )
    return ExitCode.DONE
