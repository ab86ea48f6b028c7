"""``seamstep measurements``."""

from __future__ import annotations

import argparse
from typing import Any

from seamstep.base.errors import ExitCode, InputError, Problem
from seamstep.cli import options as shared
from seamstep.cli.output import deliver, to_json


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "measurements",
        description="MRSEAM, SVN and more of every release in a catalog; with --plan, what a verifier must accept"
        " before, during and after the update.",
    )
    shared.add_catalog(parser)
    shared.add_signer(parser)
    parser.add_argument("--plan", metavar="FILE", type=shared.given, help="a saved plan")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--format", choices=("table", "json", "csv"), default="table", help="default: table")
    form.add_argument("--json", action="store_const", dest="format", const="json", help="the same as --format json")
    shared.add_destination(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> ExitCode:
    """List the measurements. NO if an image of the catalog is not usable."""

    shared.check_output(options)
    text, code = _of_plan(options) if options.plan else _of_catalog(options)
    deliver(text, options.output, code, replace=options.force)
    return code


def _of_plan(options: argparse.Namespace) -> tuple[str, ExitCode]:
    from seamstep.plan import document as plan
    from seamstep.plan import measurements
    from seamstep.show.images import csv_text, phases_text

    if options.mapping or options.images or options.catalog:
        raise InputError(Problem("--plan", "says already which images are meant; leave the catalog out"))
    loaded = plan.load(options.plan)
    phases = measurements.of_plan(loaded.document)
    if options.format == "json":
        return to_json({"schema": "seamstep/measurements/v1", "plan": loaded.id, **phases}), ExitCode.DONE
    if options.format == "csv":
        rows = [{"phase": phase, **row} for phase, listed in phases.items() for row in listed]
        return csv_text(measurements.PHASE_COLUMNS, rows), ExitCode.DONE
    return phases_text(phases) + "\n", ExitCode.DONE


def _of_catalog(options: argparse.Namespace) -> tuple[str, ExitCode]:
    from seamstep.domain.model import NO_IMAGE
    from seamstep.image import catalog
    from seamstep.image.files import TRUSTED
    from seamstep.plan import measurements
    from seamstep.show.images import csv_text, measurements_text

    mapping, images = shared.sources(options, why="measurements stand in the images")
    loaded = catalog.load(mapping, images, TRUSTED | shared.signers(options), found=bool(options.catalog))
    shared.tell_of_images(loaded)
    rows = measurements.of_releases(loaded.releases)
    doubtful = [one for one in loaded.releases if not one.usable_image() and one.why_no_image() != NO_IMAGE]
    code = ExitCode.NO if doubtful else ExitCode.DONE
    if options.format == "json":
        document = {"schema": "seamstep/measurements/v1", "mapping": loaded.mapping.sha256, "releases": rows}
        return to_json(document), code
    if options.format == "csv":
        return csv_text(measurements.COLUMNS, rows), code
    return measurements_text(rows) + "\n", code
