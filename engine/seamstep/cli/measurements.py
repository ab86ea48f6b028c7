"""``seamstep measurements``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from seamstep.base.errors import ExitCode, InputError, Problem
from seamstep.cli import configuration, notes, tcb_options
from seamstep.cli import options as shared
from seamstep.cli.output import deliver, to_json

if TYPE_CHECKING:
    from seamstep.image.catalog import Catalog
    from seamstep.plan.measurements import Row

#: The text of an answer, and the exit code.
Answer = tuple[str, ExitCode]


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "measurements",
        description="MRSEAM, SVN and more of every release in a catalog; with --plan, what a verifier must accept"
        " before, during and after the update.",
    )
    shared.add_catalog(parser)
    shared.add_config(parser)
    shared.add_signer(parser)
    tcb_options.add(parser)
    tcb_options.add_evaluation(parser)
    tcb_options.add_day(parser)
    parser.add_argument("--plan", metavar="FILE", type=shared.given, help="a saved plan")
    ask = parser.add_mutually_exclusive_group()
    ask.add_argument(
        "--which",
        metavar="MRSEAM",
        type=shared.given,
        help="name the releases with this MRSEAM, or whose MRSEAM begins so (8 hex digits or more)",
    )
    ask.add_argument(
        "--check",
        metavar="LIST",
        type=shared.given,
        help="compare an allow-list with the catalog or the plan: JSON or CSV of this command, or MRSEAMs line by line",
    )
    parser.add_argument(
        "--also",
        metavar="FILE",
        type=shared.given,
        help="modules that no image and no list tells, such as one of a BIOS (policy schema modules)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--format", choices=("table", "json", "csv"), default="table", help="default: table")
    form.add_argument("--json", action="store_const", dest="format", const="json", help="the same as --format json")
    shared.add_destination(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> ExitCode:
    """List the measurements, name a release or check a list. NO if an image of the catalog is not usable, no release
    is found, or the list lacks something."""

    shared.check_output(options)
    if options.format == "csv" and (options.which or options.check):
        raise InputError(Problem("--format", "csv is for lists of measurements"))
    if options.plan and (options.mapping or options.images or options.catalog):
        raise InputError(Problem("--plan", "says already which images are meant; leave the catalog out"))
    if options.which or options.check:
        from seamstep.cli import measurements_asked as asked

        text, code = asked.which(options) if options.which else asked.check(options)
    else:
        text, code = _of_plan(options) if options.plan else _of_catalog(options)
    deliver(text, options.output, code, replace=options.force)
    return code


def _of_plan(options: argparse.Namespace) -> Answer:
    from seamstep.plan import document as plan
    from seamstep.plan import measurements
    from seamstep.show.images import csv_text, phases_text

    if options.also:
        raise InputError(Problem("--also", "a plan knows its modules; give it with --check, --which or a catalog"))
    loaded = plan.load(options.plan)
    tcb = tcb_options.view(options, shared.day(options))
    phases = {
        phase: [measurements.with_status(row, tcb) for row in listed]
        for phase, listed in measurements.of_plan(loaded.document).items()
    }
    if options.format == "json":
        return to_json({"schema": "seamstep/measurements/v1", "plan": loaded.id, **phases}), ExitCode.DONE
    if options.format == "csv":
        rows = [{"phase": phase, **row} for phase, listed in phases.items() for row in listed]
        more = measurements.PHASE_TCB_COLUMNS if tcb else ()
        return csv_text((*measurements.PHASE_COLUMNS, *more), rows), ExitCode.DONE
    return phases_text(phases) + "\n", ExitCode.DONE


def _of_catalog(options: argparse.Namespace) -> Answer:
    from seamstep.plan import known_modules, measurements
    from seamstep.show.images import csv_text, measurements_text

    loaded, rows, code = catalog_rows(options)
    rows = known_modules.with_given(rows, known_modules.given(options.also, rows))
    tcb = tcb_options.view(options, shared.day(options))
    rows = [measurements.with_status(row, tcb) for row in rows]
    if options.format == "json":
        document = {"schema": "seamstep/measurements/v1", "mapping": loaded.mapping.sha256, "releases": rows}
        return to_json(document), code
    if options.format == "csv":
        return csv_text((*measurements.COLUMNS, *(measurements.TCB_COLUMNS if tcb else ())), rows), code
    return measurements_text(rows) + "\n", code


def catalog_rows(options: argparse.Namespace) -> tuple[Catalog, list[Row], ExitCode]:
    """The catalog that the options name, the rows of its releases, and NO if an image of it is not usable."""
    from seamstep.domain.model import NO_IMAGE
    from seamstep.image import catalog
    from seamstep.image.files import TRUSTED
    from seamstep.plan import measurements

    configuration.configure(options)
    mapping, images = shared.sources(options, why="measurements stand in the images")
    loaded = catalog.load(mapping, images, TRUSTED | shared.signers(options), found=bool(options.catalog))
    notes.tell_of_images(loaded)
    doubtful = [one for one in loaded.releases if not one.usable_image() and one.why_no_image() != NO_IMAGE]
    code = ExitCode.NO if doubtful else ExitCode.DONE
    return loaded, measurements.of_releases(loaded.releases), code
