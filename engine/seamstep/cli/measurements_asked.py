"""``seamstep measurements --which`` and ``--check``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from seamstep.base.errors import ExitCode, InputError, Problem
from seamstep.cli import options as shared
from seamstep.cli import tcb_options
from seamstep.cli.measurements import Answer, catalog_rows
from seamstep.cli.output import to_json
from seamstep.plan import allow_list, allow_list_file, known_modules, measurements
from seamstep.plan import document as plan
from seamstep.plan.known_modules import Known, Origin, published_modules
from seamstep.show import allow_list as show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seamstep.plan.measurements import Row


def which(options: argparse.Namespace) -> Answer:
    """Name the releases whose MRSEAM is, or begins with, that of ``--which``. NO if there is none."""
    try:
        prefix = known_modules.mrseam_prefix(options.which)
    except ValueError as error:
        raise InputError(Problem("--which", str(error))) from None
    rows: Sequence[Row] = ()
    origin = Origin.PLAN if options.plan else Origin.IMAGE
    if options.plan:
        rows = measurements.of_plan(plan.load(options.plan).document)["during"]
    elif options.mapping or options.images or options.catalog:
        _, rows, _ = catalog_rows(options)
    given = known_modules.given(options.also, rows, origin)
    matches = Known([*known_modules.of_rows(rows, origin), *given, *published_modules()]).which(prefix)
    code = ExitCode.DONE if matches else ExitCode.NO
    if options.format == "json":
        return to_json(show.matches_document(prefix, matches)), code
    searched = [source for source, modules in ((origin, rows), (Origin.GIVEN, given)) if modules]
    return show.matches_text(matches, [*searched, Origin.PUBLISHED]) + "\n", code


def check(options: argparse.Namespace) -> Answer:
    """Compare the allow-list of ``--check`` with a plan or a catalog. NO if it lacks something or has something wrong,
    or an image of the catalog is not usable."""
    entries = allow_list_file.load(options.check)
    code = ExitCode.DONE
    left_out: Sequence[str] = ()
    joined: Sequence[allow_list.Quote] | None = None
    if options.tcb_info and not options.plan:
        raise InputError(Problem("--tcb-info", "is joined with a list for the stages of a plan; give --plan too"))
    if options.plan:
        loaded = plan.load(options.plan)
        stages = measurements.of_plan(loaded.document)
        given = known_modules.given(options.also, stages["during"], Origin.PLAN)
        modules = known_modules.of_rows(stages["during"], Origin.PLAN)
        others = [] if loaded.host.simulated else published_modules()  # made-up images have MRSEAMs of their own
        found = allow_list.with_plan(entries, stages, Known([*modules, *given, *others]), given)
        tcb = tcb_options.view(options, shared.day(options))
        if tcb:
            told = {stage: [measurements.with_status(row, tcb) for row in rows] for stage, rows in stages.items()}
            joined = allow_list.quotes(entries, told)
    else:
        _, rows, code = catalog_rows(options)
        given = known_modules.given(options.also, rows)
        modules = known_modules.of_rows(rows, Origin.IMAGE)
        wanted, left_out = known_modules.with_published(known_modules.with_given(rows, given))
        found = allow_list.with_catalog(entries, wanted, Known([*modules, *given, *published_modules()]))
    code = code if found.accepts_all else ExitCode.NO
    if options.format == "json":
        return to_json(show.comparison_document(options.check, len(entries), found, left_out, joined)), code
    lines = show.joined_lines(joined) if joined else ()
    return "\n".join([*lines, show.comparison_text(options.check, len(entries), found, left_out)]) + "\n", code
