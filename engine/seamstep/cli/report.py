"""``seamstep report``."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from seamstep import __version__
from seamstep.base.errors import ExitCode, InputError, Problem
from seamstep.cli import options as shared
from seamstep.cli.graph import IMAGES
from seamstep.cli.output import deliver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seamstep.planning.explain import Situation
    from seamstep.policy.policy import Policy
    from seamstep.show.findings import Linted

_EPOCH = "SOURCE_DATE_EPOCH"
#: The last second of the year 9999, the latest that :class:`datetime` can hold.
_LAST = 253_402_300_799
#: The most steps of a series in the picture, the default of ``seamstep graph``.
_LIMIT = 100


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "report",
        description="Write one HTML file for a review or a ticket: the plan under the policy to go by and under each"
        " that ships with seamstep, the version graph, all verdicts, measurements, the host's facts, lint of the"
        f" mapping file, and what it all rests on. It needs no network. {_EPOCH} sets the time that it tells.",
    )
    shared.add_planning(parser)
    parser.add_argument("--without-images", action="store_true", help="leave rules that need an image open")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--facts", metavar="FILE", type=shared.given, help="facts that seamstep facts --json wrote")
    shared.add_sysroot(source)
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=shared.given,
        help="the linter's settings (default: the nearest .seamstep-lint.yaml, from the mapping file's folder upwards)",
    )
    shared.add_destination(parser)
    parser.set_defaults(run=run, configuration=None, read_configuration=None)


def run(options: argparse.Namespace) -> ExitCode:
    """Write the report. Raises InputError if the file's name is that of a picture or a PDF."""
    from seamstep.plan.document import PlanOutcome
    from seamstep.planning import planner
    from seamstep.planning.explain import Situation
    from seamstep.show.drawing.choose import scene
    from seamstep.show.review.material import Material, Planned
    from seamstep.show.review.report import report

    suffix = os.path.splitext(options.output or "")[1].lower()
    if suffix in IMAGES:
        how = "name it .html, and print it from a browser for a PDF"
        raise InputError(Problem("--output", f"{options.output}: a report is an HTML page, not {suffix}: {how}"))
    shared.check_output(options)
    made = _moment()
    options.as_of = options.as_of or made.date().isoformat()
    inputs = shared.inputs(options, without_images=options.without_images)
    mapping, releases = inputs.catalog.mapping, inputs.catalog.releases

    def planned(policy: Policy) -> Planned:
        plan = planner.make_plan(
            mapping,
            releases,
            inputs.host,
            policy,
            as_of=inputs.as_of,
            without_images=options.without_images,
            tcb=inputs.tcb,
        )
        return Planned(policy, plan)

    situation = Situation(releases, inputs.host, inputs.policy, options.without_images)
    plans = [planned(inputs.policy), *map(planned, _others(options, inputs))]
    material = Material(
        host=inputs.host,
        plans=plans,
        remedies=_remedies(situation) if plans[0].plan.outcome is PlanOutcome.NO_PATH else (),
        scene=scene(situation, limit=_LIMIT),
        linted=_linted(options, inputs),
        made=made,
        as_of=inputs.as_of,
        version=__version__,
        tcb=inputs.tcb,
    )
    text = report(material)
    deliver(text, options.output, replace=options.force)
    return ExitCode.DONE


def _remedies(situation: Situation) -> tuple[str, ...]:
    """What would open a path to the newest release that is wanted, as ``seamstep explain`` says it."""
    from seamstep.planning import explain
    from seamstep.show.explanation import remedies

    graph = situation.graph()
    wanted = situation.router(graph).wanted
    if not wanted:
        return ()
    goal = wanted[-1]
    changes = explain.smallest_changes(situation, graph, goal)
    return tuple(remedies(goal, changes.sets, changes.untried))


def _moment() -> datetime:
    """The time in SOURCE_DATE_EPOCH, so that a report can be reproduced, or the current time without it."""
    text = os.environ.get(_EPOCH)
    if not text:
        return datetime.now(UTC)
    if not (text.isascii() and text.isdecimal() and len(text) <= 12 and int(text) <= _LAST):
        raise InputError(Problem(_EPOCH, f"{text!r} is not a number of seconds since 1970"))
    return datetime.fromtimestamp(int(text), UTC)


def _others(options: argparse.Namespace, inputs: shared.Inputs) -> Iterator[Policy]:
    """The shipped policies with the target and the signers of the options, except the policy to go by."""
    from seamstep.base import resources
    from seamstep.policy import policy_file

    for name in resources.policies():
        policy = policy_file.load(name, inputs.as_of)
        if policy.sources != inputs.policy.sources:
            other = policy.with_signers(shared.signers(options))
            yield other.with_target(inputs.policy.target) if options.target else other


def _linted(options: argparse.Namespace, inputs: shared.Inputs) -> Linted:
    from collections import Counter

    from seamstep.analysis.lint import run as linter
    from seamstep.analysis.lint import settings
    from seamstep.cli.lint import load_settings, settings_file
    from seamstep.domain.model import INTEL_SIGNER
    from seamstep.show.findings import Linted

    path, images = shared.sources(options, why="")
    target = linter.Target(path, None if options.without_images else images, bool(options.catalog))
    found = linter.lint(target, frozenset({INTEL_SIGNER}) | inputs.policy.signers, inputs.tcb)
    chosen = load_settings(settings_file(options, path), found=not options.config)
    results = settings.judge(found, chosen, inputs.as_of, Counter())
    return Linted((target,), results, incomplete=[path] if linter.incomplete(found) else [])
