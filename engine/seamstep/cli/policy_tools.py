"""``seamstep policy check``, ``show``, ``diff`` and ``schema``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from seamstep.base.errors import ExitCode, InputError, Problem
from seamstep.cli import options as shared
from seamstep.cli import tcb_options
from seamstep.cli.lint import FOR_CI, for_ci
from seamstep.cli.output import emit, say, to_json
from seamstep.show.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seamstep.domain.model import Release
    from seamstep.policy.layers import Layer
    from seamstep.show.policies import PolicyDifference

_SCHEMAS = ("policy", "scenario", "mapping", "facts", "plan", "measurements", "modules", "tcb-info")


def add(actions: Any) -> None:
    """Add the commands below ``policy``."""
    check = actions.add_parser("check", help="find mistakes, and with a mapping file what changes nothing")
    check.add_argument("policies", nargs="+", metavar="NAME|FILE", type=shared.given)
    _add_reading(check)
    check.add_argument("--format", choices=("text", "json", *FOR_CI), default="text", help="default: text")
    check.set_defaults(run=run_check)

    show = actions.add_parser("show", help="show what a policy, or layers of policies, amount to")
    show.add_argument("policies", nargs="+", metavar="NAME|FILE", type=shared.given)
    show.add_argument("--effective", action="store_true", help="every value in force, with where it comes from")
    _add_day(show)
    show.set_defaults(run=run_show)

    diff = actions.add_parser("diff", help="which steps open and close and which paths change, on every kind of host")
    diff.add_argument("old", metavar="OLD", type=shared.given)
    diff.add_argument("new", metavar="NEW", type=shared.given)
    _add_reading(diff)
    diff.add_argument("--format", choices=("text", "json", "markdown", *FOR_CI), default="text", help="default: text")
    diff.add_argument(
        "--fail-on", choices=("opened", "closed", "any"), help="exit with 1 when a step did, or anything changed"
    )
    diff.set_defaults(run=run_diff)

    schema = actions.add_parser("schema", help="print a JSON Schema")
    schema.add_argument("kind", nargs="?", choices=_SCHEMAS, default="policy", help="default: policy")
    schema.add_argument("--json", action="store_true", help="print JSON, errors included; a schema is JSON anyway")
    schema.set_defaults(run=run_schema)


def _add_reading(parser: argparse.ArgumentParser) -> None:
    shared.add_catalog(parser)
    shared.add_signer(parser)
    tcb_options.add(parser)
    _add_day(parser)


def _add_day(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--as-of", metavar="DAY", type=shared.given, help="the day that decides what has expired")
    parser.add_argument("--json", action="store_true", help="print JSON, errors included")


def run_check(options: argparse.Namespace) -> ExitCode:
    """Check policies. NO on any finding."""
    from seamstep.analysis import policy_review
    from seamstep.policy import policy_file

    as_of = shared.day(options)
    given = options.mapping or options.catalog
    problems: list[Problem] = []
    layers: list[Layer] = []
    for name in options.policies:
        try:
            layers.append(policy_file.layer(name, as_of))
        except InputError as error:
            problems += error.problems
    invalid, problems = problems, []
    form = "json" if options.json else options.format
    if invalid and form not in FOR_CI:
        raise InputError(invalid)
    for layer in layers:
        releases = _releases(options, layer) if given else ()
        problems += policy_review.findings(layer.document, layer.policy, releases, as_of)
    document = {"schema": "seamstep/findings/v1", "findings": [problem.to_document() for problem in problems]}
    lines = [printable(problem) for problem in problems]
    if not given:
        lines.append("give --mapping or --catalog to find entries that change nothing")
    lines.append(f"{len(layers)} policies, {len(problems)} findings")
    code = ExitCode.INVALID if invalid else ExitCode.NO if problems else ExitCode.DONE
    if form in FOR_CI:
        from seamstep.show.policy_findings import check_results

        say(for_ci(check_results([layer.document.source for layer in layers], invalid, problems), form), code)
    else:
        emit(document, "\n".join(lines), as_json=form == "json", code=code)
    return code


def _releases(options: argparse.Namespace, layer: Layer) -> Sequence[Release]:
    from seamstep.image import catalog
    from seamstep.image.files import TRUSTED

    mapping, images = shared.sources(options, why="")
    trusted = TRUSTED | layer.policy.signers | shared.signers(options)
    releases = catalog.load(mapping, images, trusted, found=bool(options.catalog)).releases
    tcb = tcb_options.view(options, shared.day(options), layer.policy.tcb_stale_until)
    if tcb is None:
        return releases
    from seamstep.tcb.releases import with_tcb

    return with_tcb(releases, tcb)


def run_show(options: argparse.Namespace) -> ExitCode:
    """Show policies as written, or with ``--effective`` the values they merge into."""
    from seamstep.policy import policy_file
    from seamstep.policy.effective import effective
    from seamstep.show.effective import effective_document, effective_text

    as_of = shared.day(options)
    layers = [policy_file.layer(name, as_of) for name in options.policies]
    if options.effective:
        rows = effective(layers)
        emit(effective_document(rows), effective_text(rows), as_json=options.json)
        return ExitCode.DONE
    document = {"schema": "seamstep/policies/v1", "policies": [layer.document.data for layer in layers]}
    texts = [f"# {printable(layer.document.source)}\n{to_json(layer.document.data)}" for layer in layers]
    emit(document, "\n".join(texts).rstrip(), as_json=options.json)
    return ExitCode.DONE


def run_diff(options: argparse.Namespace) -> ExitCode:
    """Compare two policies. NO if a change meets ``--fail-on``."""
    from seamstep.analysis import environments, policy_changes, policy_review
    from seamstep.policy import policy_file
    from seamstep.show.policies import PolicyDifference

    as_of = shared.day(options)
    old, new = (policy_file.layer(name, as_of) for name in (options.old, options.new))
    sides = [policy_review.Side(layer.policy, _releases(options, layer)) for layer in (old, new)]
    unclear = policy_review.undecided(*sides)
    if unclear:
        message = f"the policies differ in what they ask of images ({', '.join(unclear)}), and only images can tell"
        raise InputError(Problem("--images", f"{message} what comes of it: give --images or --catalog"))
    if not options.tcb_info and any(side.policy.uses_tcb for side in sides):
        message = "a policy goes by TCB Info (tcb-status, or a target that closes advisories); give --tcb-info"
        raise InputError(Problem("--tcb-info", message))
    kinds = list(environments.environments(sides[1].releases))
    found = PolicyDifference(*policy_review.changes(*sides), policy_changes.changes(old, new), kinds)
    wanted = {"opened": [True], "closed": [False], "any": [True, False], None: []}[options.fail_on]
    anything = options.fail_on == "any" and (found.paths or found.settings)
    failed = any(change.opened in wanted for change in found.steps) or anything
    code = ExitCode.NO if failed else ExitCode.DONE
    say(_difference(options, new.document.source, found), code)
    return code


def _difference(options: argparse.Namespace, source: str, found: PolicyDifference) -> str:
    from seamstep.show import policies

    form = "json" if options.json else options.format
    if form == "json":
        return to_json(policies.difference_document(found))
    if form in FOR_CI:
        from seamstep.show.policy_findings import difference_results

        return for_ci(difference_results(source, found, options.fail_on), form)
    render = policies.difference_markdown if form == "markdown" else policies.difference_text
    return render(found) + "\n"


def run_schema(options: argparse.Namespace) -> ExitCode:
    """Print a JSON Schema; the schema of policies includes the rules of installed plug-ins."""
    from seamstep.base import resources
    from seamstep.policy import policy_file

    say(to_json(policy_file.schema() if options.kind == "policy" else resources.schema(options.kind)))
    return ExitCode.DONE
