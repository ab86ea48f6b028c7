"""``seamstep status``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from seamstep.base.errors import ExitCode, SeamstepError
from seamstep.cli import configuration
from seamstep.cli import options as shared
from seamstep.cli.output import emit
from seamstep.domain.facts import HostFacts

if TYPE_CHECKING:
    from seamstep.run.hold import Hold


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "status",
        description="Show the module that runs, what came of the last run, and whether a reboot is needed. Needs no"
        " privileges; what can't be read is unknown, with the reason.",
    )
    shared.add_planning(parser)
    shared.add_config(parser)
    shared.add_sysroot(parser)
    shared.add_state_dir(parser)
    shared.add_output(parser)
    parser.add_argument(
        "--format",
        choices=("text", "json", "prometheus"),
        help="prometheus: metrics for node_exporter's textfile collector; -o then writes these, readable by all, and"
        " the exit code only tells whether they were written",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> ExitCode:
    """Read and show the status."""
    from seamstep.host.read_facts import read_facts
    from seamstep.run import status
    from seamstep.run.journal import recorded_host
    from seamstep.show.status import status_text

    shared.check_output(options)
    host = shared.sysfs_host(options)
    facts = read_facts(host)
    folder = shared.state_folder(options)
    past = status.read_history(folder, recorded_host(host))
    permitted, why = _permitted_or_why(options, facts)
    unknown = {"permitted": why} if why else {}
    held, why = _held(options, folder)
    unknown |= {"hold": why} if why else {}
    document = status.status(facts, *past, permitted, held=held, more_unknown=unknown)
    if options.format == "prometheus":
        return _metrics(document, options)
    code = status.exit_code(document)
    emit(
        document,
        status_text(document),
        as_json=options.json or options.format == "json",
        code=code,
        output=options.output,
        replace=options.force,
        private=True,
    )
    return code


def _metrics(document: dict[str, Any], options: argparse.Namespace) -> ExitCode:
    import time
    from pathlib import Path

    from seamstep.base.writing import write_atomic
    from seamstep.cli.output import say
    from seamstep.show.formats.prometheus import exposition

    text = exposition(document, time.time())
    if options.output:
        write_atomic(Path(options.output), text.encode(), replace=options.force, mode=0o644)
    else:
        say(text)
    return ExitCode.DONE


def _held(options: argparse.Namespace, folder: str) -> tuple[Hold | None, str]:
    """The hold on this host, and why it is not known whether its configuration holds it. To a user who may not read
    the configuration that is not known; to ``apply``, which may, one that it can't read is a hold."""
    import os

    from seamstep.base import places
    from seamstep.run import hold

    file = options.configuration or places.CONFIG
    if os.path.isfile(file) and not os.access(file, os.R_OK):
        return hold.read(folder), f"permission: {file} can't be read by this user; run as root"
    return configuration.held(folder, options.configuration), ""


def _permitted_or_why(options: argparse.Namespace, facts: HostFacts) -> tuple[dict[str, Any] | None, str]:
    """The outcome of planning, or why it is not known. An input that the options name has to be readable; one that the
    configuration names is another thing that may not be known of the host."""
    if options.mapping or options.images or options.catalog or options.policy or options.configuration:
        configuration.configure(options)
        return _permitted(options, facts), ""
    try:
        configuration.configure(options)
        return _permitted(options, facts), ""
    except SeamstepError as error:
        return None, str(error)


def _permitted(options: argparse.Namespace, facts: HostFacts) -> dict[str, Any] | None:
    """The outcome of planning; None if the options name no catalog or the running version is not known."""
    if not (options.mapping or options.catalog) or facts.module_version is None:
        return None
    import time

    from seamstep.run import status

    plan = shared.plan_from(options, without_images=not (options.images or options.catalog)).plan
    return {
        "target": plan.document["target"],
        "hops": len(plan.hops),
        "outcome": plan.outcome.value,
        "policy": plan.document["policy"]["name"],
        "reason": plan.document["reason"],
        "held_up": plan.document["held_up"],
        "window": status.window(plan.settings.windows, time.time()),
        "expired": plan.document["expired"],
    }
