"""``seamstep lint``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from seamstep.base.errors import ExitCode, InputError, Problem
from seamstep.cli import options as shared
from seamstep.cli import tcb_options
from seamstep.cli.output import save, say, to_json

if TYPE_CHECKING:
    from collections import Counter

    from seamstep.analysis.lint.findings import Finding
    from seamstep.analysis.lint.settings import Settings
    from seamstep.show.findings import Linted

#: The formats that CI systems read.
FOR_CI = ("sarif", "junit", "github")
_FORMATS = ("text", "json", *FOR_CI)


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "lint",
        description="Find mistakes in mapping files, and with images in whole catalogs: each finding with its place,"
        " why it matters and how to mend it. Exit code 0: none that counts; 1: some; 2: a file could not be read.",
    )
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="FILE|DIR",
        type=shared.given,
        help="a mapping file, or a folder with mapping_file.json and images below it, or a folder of such folders",
    )
    parser.add_argument("--images", metavar="DIR", type=shared.given, help="the images of the mapping file")
    shared.add_signer(parser)
    tcb_options.add(parser)
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=shared.given,
        help="settings (default: the nearest .seamstep-lint.yaml, from each file's folder upwards)",
    )
    parser.add_argument(
        "--baseline",
        metavar="FILE",
        type=shared.given,
        help="an earlier report as JSON: what is in it does not count",
    )
    parser.add_argument(
        "--fail-on",
        choices=("error", "warning", "note", "never"),
        default="error",
        help="the severity from which on findings count for the exit code (default: error)",
    )
    parser.add_argument("--as-of", metavar="DAY", type=shared.given, help="the day that decides what has expired")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--format", choices=_FORMATS, default="text", help="default: text")
    form.add_argument("--json", action="store_true", help="print JSON, errors included")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=shared.given, help="write the report to FILE as well; text as JSON"
    )
    parser.add_argument("--force", action="store_true", help="let -o overwrite FILE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> ExitCode:
    """Lint the files. NO if a finding fails the run, INVALID if a file could not be read."""
    from collections import Counter

    from seamstep.analysis.lint import settings

    shared.check_output(options)
    as_of = shared.day(options)
    known: Counter[str] = settings.load_baseline(options.baseline) if options.baseline else Counter()
    linted = _lint(options, as_of, known)
    code = ExitCode.NO if linted.failed else ExitCode.DONE
    if linted.unreadable:
        code = ExitCode.INVALID
    form = "json" if options.json else options.format
    try:
        say(_report(linted, form, baseline=bool(options.baseline)), code)
    finally:
        if options.output:
            content = _report(linted, "json" if form == "text" else form, baseline=bool(options.baseline))
            save(content, options.output, replace=options.force)
    return code


def settings_file(options: argparse.Namespace, mapping: str) -> str | None:
    """The settings for a mapping file: those of ``--config``, else the nearest to it; None if there are none."""
    from seamstep.analysis.lint import settings

    config: str | None = options.config
    return config or settings.nearest(mapping)


def load_settings(path: str | None, *, found: bool) -> Settings:
    """The settings in a file; no settings for None. ``found`` is whether the file was found, not named.

    Raises:
        InputError: the file is unreadable or invalid.
    """
    from seamstep.analysis.lint import settings
    from seamstep.analysis.lint.codes import CODES

    return settings.load(path, CODES, found=found) if path else settings.Settings()


def _lint(options: argparse.Namespace, as_of: Any, known: Counter[str]) -> Linted:
    """Lint every file that can be read, and collect the problems of the others. Findings are judged by the settings for
    their file."""
    from seamstep.analysis.lint import run as linter
    from seamstep.analysis.lint import settings
    from seamstep.analysis.lint.findings import Severity
    from seamstep.domain.model import INTEL_SIGNER
    from seamstep.show.findings import Linted

    if options.images and len(options.paths) > 1:
        raise InputError(Problem("--images", "is for one mapping file; give folders that hold both"))
    trusted = frozenset({INTEL_SIGNER}) | shared.signers(options)
    tcb = tcb_options.view(options, as_of)
    targets: list[linter.Target] = []
    unreadable: list[Problem] = []
    incomplete: list[str] = []
    for path in options.paths:
        try:
            targets += linter.targets(path, options.images)
        except InputError as error:
            unreadable += error.problems
    targets = list({(target.mapping, target.images): target for target in targets}.values())
    files = [settings_file(options, target.mapping) for target in targets]
    chosen = {file: load_settings(file, found=not options.config) for file in files or [options.config]}
    findings: dict[str | None, list[Finding]] = {file: [] for file in chosen}
    for target, file in zip(targets, files, strict=True):
        try:
            found = linter.lint(target, trusted, tcb)
        except InputError as error:
            unreadable += error.problems
            continue
        findings[file] += found
        incomplete += [target.mapping] if linter.incomplete(found) else []
    judged = (settings.judge(found, chosen[file], as_of, known) for file, found in findings.items())
    return Linted(
        targets=tuple(targets),
        results=[result for results in judged for result in results],
        unreadable=unreadable,
        incomplete=incomplete,
        fail_on=None if options.fail_on == "never" else Severity(options.fail_on),
    )


def _report(linted: Linted, form: str, *, baseline: bool) -> str:
    from seamstep.show import findings

    if form == "json":
        return to_json(findings.findings_document(linted))
    return findings.findings_text(linted) + "\n" if form == "text" else for_ci(linted, form, baseline=baseline)


def for_ci(linted: Linted, form: str, *, baseline: bool = False) -> str:
    """Findings in one of the formats ``FOR_CI``."""
    from seamstep.show import findings

    if form == "sarif":
        from seamstep.show.formats.sarif import sarif_document

        return to_json(sarif_document(linted, baseline=baseline))
    render = findings.findings_junit if form == "junit" else findings.findings_github
    return render(linted) + "\n"
