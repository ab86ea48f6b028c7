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
    from seamstep.domain.tcb import TcbView
    from seamstep.plan.document import Plan
    from seamstep.run.hold import Hold

#: The outcome of planning, and the TCB status of the running module.
LookedUp = tuple[dict[str, Any] | None, dict[str, Any] | None]


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
    (permitted, tcb), why = _looked_up_or_why(options, facts)
    unknown = {"permitted": why} if why else {}
    held, why = _held(options, folder)
    unknown |= {"hold": why} if why else {}
    document = status.status(facts, *past, permitted, held=held, tcb=tcb, more_unknown=unknown)
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


def _looked_up_or_why(options: argparse.Namespace, facts: HostFacts) -> tuple[LookedUp, str]:
    """What :func:`_looked_up` returns, or why it is not known. An input that the options name has to be readable; one
    that the configuration names is another thing that may not be known of the host."""
    named = ("mapping", "images", "catalog", "policy", "configuration", "tcb_info")
    if any(getattr(options, name) for name in named):
        configuration.configure(options)
        return _looked_up(options, facts), ""
    try:
        configuration.configure(options)
        return _looked_up(options, facts), ""
    except SeamstepError as error:
        return (None, None), str(error)


def _looked_up(options: argparse.Namespace, facts: HostFacts) -> LookedUp:
    """The outcome of planning, None if the options name no catalog; and the TCB status of the running module, None if
    they name no TCB Info. Both are None if the running version is not known."""
    if facts.module_version is None:
        return None, None
    if not (options.mapping or options.catalog):
        return None, _tcb_alone(options, facts) if options.tcb_info else None
    bare = not (options.images or options.catalog)
    given = shared.inputs(options, without_images=bare, host=facts)
    permitted = _permitted(shared.plan_of(given, without_images=bare).plan)
    return permitted, _tcb(given, given.tcb, bare=bare) if given.tcb else None


def _tcb_alone(options: argparse.Namespace, facts: HostFacts) -> dict[str, Any] | None:
    """The TCB status of the running module by the published SVN, without knowing the releases."""
    from seamstep.cli import tcb_options
    from seamstep.domain.tcb import summary
    from seamstep.tcb.releases import running

    day = shared.day(options)
    stale_until = shared.policy(options, day).tcb_stale_until if options.policy else None
    view = tcb_options.view(options, day, stale_until)
    if view is None or facts.module_version is None:
        return None
    return {**summary(running(facts.module_version, (), view)), "closed_by": None}


def _tcb(given: shared.Inputs, view: TcbView, *, bare: bool) -> dict[str, Any]:
    """The TCB status of the running module, and for each open advisory the release that closes it."""
    from seamstep.domain.tcb import summary
    from seamstep.planning.closing import closed_by
    from seamstep.planning.planner import graph_of
    from seamstep.tcb.releases import running

    graph = graph_of(given.catalog.releases, given.host, given.policy, without_images=bare)
    said = summary(running(graph.running, given.catalog.releases, view))
    return {**said, "closed_by": closed_by(graph, given.policy, said["advisories"])}


def _permitted(plan: Plan) -> dict[str, Any]:
    import time

    from seamstep.run import status

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
