"""``seamstep image``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seamstep.base.errors import ExitCode, InputError, Problem
from seamstep.cli import options as shared
from seamstep.cli import tcb_options
from seamstep.cli.output import emit
from seamstep.show.text import printable

if TYPE_CHECKING:
    from seamstep.domain.model import Image


def add(commands: Any) -> None:
    """Add the commands."""
    parser = commands.add_parser("image")
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=type(parser))

    inspect = actions.add_parser("inspect", help="show what images say of themselves; verifies nothing")
    inspect.add_argument("files", nargs="+", metavar="FILE", help=".blob, or .bin with its .sigstruct beside it")
    tcb_options.add(inspect)
    tcb_options.add_evaluation(inspect)
    tcb_options.add_day(inspect)
    inspect.add_argument("--json", action="store_true", help="print JSON, errors included")
    inspect.set_defaults(run=run_inspect)

    verify = actions.add_parser("verify", help="check structure, checksum, hash, signature and signer of images")
    verify.add_argument("files", nargs="+", metavar="FILE|DIR", help="an image, or a folder with images at any depth")
    shared.add_signer(verify)
    verify.add_argument("--verbose", action="store_true", help="print every check of each image; JSON has all")
    verify.add_argument("--json", action="store_true", help="print JSON, errors included")
    verify.set_defaults(run=run_verify)

    convert = actions.add_parser("convert", help="write an image in another format; the payload stays as it is")
    convert.add_argument("file", metavar="FILE", help=".blob, or .bin with its .sigstruct beside it")
    _add_writing(convert, run_convert)

    join = actions.add_parser("join", help="make one image of a module and its sigstruct")
    join.add_argument("module", metavar="BIN", help="the module")
    join.add_argument("sigstruct", metavar="SIGSTRUCT", help="its sigstruct")
    _add_writing(join, run_join)


def _add_writing(parser: argparse.ArgumentParser, run: Any) -> None:
    parser.add_argument("--to", choices=("2.0", "1.0"), default="2.0", help="the format to write (default: 2.0)")
    parser.add_argument("-o", "--output", metavar="OUT", type=shared.given, required=True, help="where to write it")
    parser.add_argument("--force", action="store_true", help="overwrite OUT")
    parser.add_argument("--json", action="store_true", help="print JSON, errors included")
    parser.set_defaults(run=run)


def run_inspect(options: argparse.Namespace) -> ExitCode:
    """Show the fields of images. Raises InputError with the problems of all that can't be read."""
    from seamstep.image import files
    from seamstep.show.images import image_document, image_text

    images: list[Image] = []
    problems: list[Problem] = []
    for path in options.files:
        try:
            images.append(files.read(path, links=True))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    tcb = tcb_options.view(options, shared.day(options))
    document = {"schema": "seamstep/images/v1", "images": [image_document(image, tcb) for image in images]}
    emit(document, "\n\n".join(image_text(image, tcb) for image in images), as_json=options.json)
    return ExitCode.DONE


def run_verify(options: argparse.Namespace) -> ExitCode:
    """Verify images. NO on any finding, INVALID if an image can't be read."""
    from seamstep.image import files, verify
    from seamstep.show.images import Verified, checks_text, verified_text

    trusted = files.TRUSTED | shared.signers(options)
    paths, findings = _images(options.files, trusted)
    images: list[dict[str, Any]] = []
    verified: list[Verified] = []
    unreadable: list[Problem] = []
    for path, named in paths:
        try:
            checks, debug = files.examine(path, trusted, links=named)
        except InputError as error:
            unreadable += error.problems
            continue
        listed = [{"name": check.name, "ok": check.ok, "message": check.message} for check in checks]
        ok = all(check.ok for check in checks)
        images.append({"path": path, "ok": ok, "debug": debug, "checks": listed})
        verified.append(Verified(path, checks, bool(debug)))
    document = {
        "schema": "seamstep/verification/v1",
        "images": images,
        "findings": [problem.to_document() for problem in findings],
        "unreadable": [problem.to_document() for problem in unreadable],
    }
    texts = [checks_text(one, verify.CHECKS) for one in verified] if options.verbose else [verified_text(verified)]
    texts += [f"finding: {printable(problem)}" for problem in (*findings, *unreadable)]
    failed = sum(not image["ok"] for image in images)
    texts.append(f"{len(images)} images: {failed} with findings; {len(findings)} findings on the whole")
    code = ExitCode.INVALID if unreadable else ExitCode.NO if failed or findings else ExitCode.DONE
    emit(document, "\n".join(filter(None, texts)), as_json=options.json, code=code)
    return code


def _images(arguments: list[str], trusted: frozenset[str]) -> tuple[list[tuple[str, bool]], list[Problem]]:
    """The paths of the images, each with whether it is an argument itself rather than found below one, and the findings
    on folders: on the whole catalog if there is a mapping file, else on the files that are skipped."""
    from seamstep.image import catalog

    paths: list[tuple[str, bool]] = []
    findings: list[Problem] = []
    for argument in arguments:
        if not Path(argument).is_dir():
            paths.append((argument, True))
            continue
        found, skipped = catalog.find(argument)
        if not found:
            raise InputError(Problem(argument, "no image below this folder (tdx_module_<version>.blob or .bin)"))
        paths += [(path, False) for path in found]
        mapping = Path(argument, catalog.MAPPING_FILE)
        has_mapping = mapping.is_symlink() or mapping.exists()
        if has_mapping:
            loaded = catalog.load(str(mapping), argument, trusted, found=True)
            skipped = [finding.problem for finding in loaded.findings]
        findings += skipped
    return paths, findings


def run_convert(options: argparse.Namespace) -> ExitCode:
    """Write an image in another format."""
    from seamstep.image import files

    return _write(files.read(options.file, links=True), options)


def run_join(options: argparse.Namespace) -> ExitCode:
    """Write one image of two files."""
    from seamstep.image import files

    return _write(files.read_separate(options.module, options.sigstruct, links=True), options)


def _write(image: Image, options: argparse.Namespace) -> ExitCode:
    import hashlib

    from seamstep.base.writing import write_atomic
    from seamstep.image import files

    content = files.packed(image, options.to)
    write_atomic(Path(options.output), content, replace=options.force, mode=None)
    sha256 = hashlib.sha256(content).hexdigest()
    document = {
        "schema": "seamstep/converted/v1",
        "path": options.output,
        "format": options.to,
        "size": len(content),
        "sha256": sha256,
        "mrseam": image.sigstruct.mrseam,
    }
    emit(
        document,
        f"{printable(options.output)}: format {options.to}, {len(content)} bytes, SHA-256 {sha256}",
        as_json=options.json,
    )
    return ExitCode.DONE
