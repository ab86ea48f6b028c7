"""Makes a .deb and an .rpm of a folder laid out as Intel's repository of TDX modules.

The files are copied first. What is linted, verified and packaged is the copy, so a folder that changes meanwhile does
not matter. A catalog with an error, or with an image that does not verify, makes no package. docs/catalog-packages.md
is the manual, docs/adr/0029-where-a-catalog-lives.md has the reasons.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

try:
    import seamstep.cli
except ModuleNotFoundError as error:
    sys.exit(f"{sys.executable} has no {error.name}; name a Python that has seamstep installed: PYTHON=... build ...")

import catalog_archives
import catalog_staging
from catalog_archives import Package
from seamstep.base.errors import ExitCode, InputError, Problem, RefusedError
from seamstep.base.writing import check_writable, write_atomic
from seamstep.cli import options as shared
from seamstep.cli.output import say
from seamstep.cli.running import run
from seamstep.image import catalog
from seamstep.image.files import TRUSTED
from seamstep.show.text import printable

NAME, SIMULATED = "intel-tdx-module", "simulated-tdx-module"
#: Versions that dpkg and rpm order alike: numbers, and one word after "~", which comes before the version without it.
_VERSION = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12}){0,5}(~[a-z]{1,12}[0-9]{0,6})?", re.ASCII)
_PACKAGER = re.compile(r"[^<>%\x00-\x1f\x7f]{1,100} <[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,128}>")
_EPOCH = re.compile(r"[0-9]{1,10}", re.ASCII)
_EPOCH_MAX = (1 << 32) - 1  # both formats hold it
#: No settings: those that lie in the folder are of the folder's author.
_NO_SETTINGS = "schema: seamstep/lint-settings/v1\n"
_MAKERS: dict[str, Callable[[Package, Path], bytes]] = {"deb": catalog_archives.deb, "rpm": catalog_archives.rpm}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="build",
        description="Make a .deb and an .rpm of a folder laid out as Intel's repository of TDX modules. Exit code 0:"
        " made; 1: the catalog has an error or an image does not verify; 2: the input can't be used.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=shared.given, help="mapping_file.json, and images below it")
    parser.add_argument("outdir", metavar="OUTDIR", type=shared.given, help="where to write the packages")
    parser.add_argument("--deb", dest="forms", action="append_const", const="deb", help="make a .deb alone")
    parser.add_argument("--rpm", dest="forms", action="append_const", const="rpm", help="make an .rpm alone")
    parser.add_argument(
        "--version",
        metavar="V",
        type=shared.given,
        help="the version of the package, such as 20260212 (default: the day of SOURCE_DATE_EPOCH)",
    )
    parser.add_argument(
        "--release", metavar="N", type=int, default=1, help="counts packages of one version (default: 1)"
    )
    parser.add_argument(
        "--packager",
        metavar="'NAME <ADDRESS>'",
        default="The builder of this package <root@localhost>",
        help="who answers for the package",
    )
    shared.add_signer(parser)
    parser.add_argument(
        "--simulated", action="store_true", help=f"the images are made up, as --signer says: the package is {SIMULATED}"
    )
    parser.add_argument("--force", action="store_true", help="overwrite packages of the same name")
    parser.set_defaults(run=build)
    return parser


def build(options: argparse.Namespace) -> ExitCode:
    """Check the options, copy the catalog, check the copy, and write the packages; all are made before one is written.

    Raises:
        InputError: an option or a file of the folder is not fit for a package, or a tool is missing.
        RefusedError: the catalog has errors, or a package exists.
    """
    _check_options(options)
    forms = sorted(set(options.forms or _MAKERS))
    catalog_archives.require_tools(forms)
    epoch = _epoch()
    with tempfile.TemporaryDirectory(prefix="seamstep-catalog-") as name:
        work = Path(name)
        staged = catalog_staging.stage(Path(options.folder), work / "root")
        releases, newest = _check(staged, options, work)
        package = Package(
            name=SIMULATED if options.simulated else NAME,
            conflicts=NAME if options.simulated else SIMULATED,
            simulated=options.simulated,
            version=options.version or _day(epoch),
            release=options.release,
            packager=options.packager,
            epoch=newest if epoch is None else epoch,
            releases=releases,
            staged=staged,
        )
        outputs = {form: Path(options.outdir) / package.file_name(form) for form in forms}
        for path in outputs.values():
            check_writable(path, replace=options.force)
        made = {form: _MAKERS[form](package, work / form) for form in forms}
        for form, path in outputs.items():
            write_atomic(path, made[form], replace=options.force, mode=0o644)
    say("".join(f"written: {printable(path)}\n" for path in outputs.values()))
    return ExitCode.DONE


def _check_options(options: argparse.Namespace) -> None:
    problems = []
    if options.simulated != bool(shared.signers(options)):
        problems.append(Problem("--simulated", "made-up images need both --simulated and --signer; real ones, neither"))
    if options.version is None and _epoch() is None:
        message = (
            "the package needs a version that grows: give --version, or set SOURCE_DATE_EPOCH to the time of the"
            " catalog's last commit (git -C FOLDER log -1 --format=%ct)"
        )
        problems.append(Problem("--version", message))
    if options.version is not None and not _VERSION.fullmatch(options.version):
        message = f"{options.version!r} is not numbers with dots between, such as 20260212 or 2026.2~rc1"
        problems.append(Problem("--version", message))
    if not 1 <= options.release <= 9999:
        problems.append(Problem("--release", f"{options.release} is not a number from 1 to 9999"))
    if not _PACKAGER.fullmatch(options.packager) or not options.packager.isprintable():
        problems.append(Problem("--packager", f"{options.packager!r} is not of the form 'NAME <ADDRESS>'"))
    if problems:
        raise InputError(problems)


def _epoch() -> int | None:
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return None
    if not _EPOCH.fullmatch(text) or int(text) > _EPOCH_MAX:
        raise InputError(Problem("SOURCE_DATE_EPOCH", f"{text!r} is not a number of seconds up to {_EPOCH_MAX}"))
    return int(text)


def _day(epoch: int | None) -> str:
    return f"{datetime.fromtimestamp(epoch or 0, UTC):%Y%m%d}"


def _check(staged: catalog_staging.Staged, options: argparse.Namespace, work: Path) -> tuple[tuple[str, ...], int]:
    """Lint the copy and verify its images. Returns the releases with an image, and when the newest image was built.

    Raises:
        RefusedError: a finding is an error, or an image does not verify; the report has been printed.
        InputError: no image is of a release of the mapping file.
    """
    settings = work / "lint.yaml"
    settings.write_text(_NO_SETTINGS)
    signers = [word for signer in options.signer for word in ("--signer", signer)]
    root = str(staged.catalog)
    _ask(["lint", "--config", str(settings), *signers, root], root, options.folder, "the catalog has errors")
    images = [str(staged.catalog / name) for name in staged.images]
    _ask(["image", "verify", *signers, *images], root, options.folder, "an image does not verify")
    loaded = catalog.load(str(staged.catalog / catalog.MAPPING_FILE), root, TRUSTED | set(options.signer))
    found = {str(release.version): release.image.sigstruct for release in loaded.releases if release.image}
    if not found:
        raise InputError(Problem(options.folder, "no image is of a release that the mapping file lists"))
    return tuple(found), max(_built(signed.build_date) for signed in found.values())


def _built(day: str) -> int:
    """The time of an image's build date."""
    try:
        return int(datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).timestamp())
    except ValueError:
        message = f"an image has the build date {day}, which is no day; set SOURCE_DATE_EPOCH"
        raise InputError(Problem("SOURCE_DATE_EPOCH", message)) from None


def _ask(arguments: list[str], root: str, folder: str, refusal: str) -> None:
    """Run a command of seamstep. Its last line is printed, or all of it if its answer is no, with the user's paths."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = seamstep.cli.main(arguments)
    text = said.getvalue().replace(root, printable(folder.rstrip("/")))
    if code != ExitCode.DONE:
        say(text)
        raise RefusedError(f"{refusal}; no package was made")
    say("".join(text.splitlines(keepends=True)[-1:]))


def main(arguments: list[str]) -> int:
    """Run the tool and return its exit code."""
    return run(arguments, lambda: parser().parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
