"""The catalog: the releases of a mapping file, each with its image.

An image belongs to the release in its file name, ``tdx_module_<version>.blob``, or ``.bin`` and ``.sigstruct`` in one
folder: no field of an image holds its version. Loading reads headers and sigstructs only; verification runs when its
result is used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from seamstep.base.documents import absolute
from seamstep.base.errors import InputError, Problem
from seamstep.base.versions import ModuleVersion
from seamstep.domain import mapping
from seamstep.domain.model import NO_IMAGE, Image, Release
from seamstep.image import files, published
from seamstep.image.files import TRUSTED

MAPPING_FILE = "mapping_file.json"
_IMAGE_NAME = re.compile(r"tdx_module_([0-9]+\.[0-9]+\.[0-9]+)\.(blob|bin|sigstruct)", re.ASCII)
_SUFFIXES = (".blob", files.MODULE_SUFFIX, files.SIGSTRUCT_SUFFIX)
_FILES_MAX = 100_000


class Kind(StrEnum):
    """The kinds of findings on the images of a catalog.

    PASSED_OVER: a folder that was not searched. MISNAMED: an image whose file name has no version. WITHOUT_RELEASE: an
    image of a release that the mapping file lacks. MISSING: a release without an image. TWICE: a second image of one
    release. DIFFER: images of one release with different sigstructs. IMPOSTOR: an image whose MRSEAM is that of another
    published release. SHARED: images of several releases with the same MRSEAM.
    """

    PASSED_OVER = "image-passed-over"
    MISNAMED = "image-misnamed"
    WITHOUT_RELEASE = "image-without-release"
    MISSING = "image-missing"
    TWICE = "image-twice"
    DIFFER = "images-differ"
    IMPOSTOR = "image-of-another-release"
    SHARED = "mrseam-shared"


class Finding(NamedTuple):
    """A fault of a catalog that no single image shows.

    Attributes:
        kind: the kind of fault.
        problem: the file and the message.
        version: the release concerned, if there is one.
    """

    kind: Kind
    problem: Problem
    version: ModuleVersion | None = None


class Images(NamedTuple):
    """Releases with the images found for them.

    Attributes:
        releases: in the order of the mapping file's releases. A release whose image is in doubt has no image.
        findings: the faults of the images as a whole.
        unreadable: the problems of images that can't be read.
    """

    releases: tuple[Release, ...]
    findings: tuple[Finding, ...] = ()
    unreadable: tuple[Problem, ...] = ()


class Catalog(NamedTuple):
    """A mapping file and its releases with their images.

    Attributes:
        mapping: the mapping file.
        releases: in ascending order, with their images.
        findings: as in :class:`Images`.
        unreadable: as in :class:`Images`.
    """

    mapping: mapping.MappingFile
    releases: tuple[Release, ...]
    findings: tuple[Finding, ...] = ()
    unreadable: tuple[Problem, ...] = ()


def load(
    mapping_path: str, images: str | None = None, trusted: frozenset[str] = TRUSTED, *, found: bool = False
) -> Catalog:
    """Read a mapping file and, below the folder ``images``, the images of its releases. ``found`` is whether the
    mapping file was found in a folder rather than named by the user; see :func:`seamstep.domain.mapping.load`.

    Raises:
        InputError: the mapping file is unreadable or invalid, or ``images`` is not a folder.
    """
    file = mapping.load(mapping_path, found=found)
    if images is None:
        return Catalog(file, file.releases)
    return Catalog(file, *with_images(file.releases, mapping_path, images, trusted))


def with_images(bare: Iterable[Release], mapping_path: str, images: str, trusted: frozenset[str] = TRUSTED) -> Images:
    """The releases of a mapping file with the images below the folder ``images``. Raises InputError as :func:`find`
    does."""
    paths, skipped = find(images)
    found = with_paths(bare, paths, trusted)
    findings = [Finding(Kind.PASSED_OVER, problem) for problem in skipped]
    findings += found.findings
    for release in found.releases:
        if release.image is None and release.image_problem == NO_IMAGE:
            problem = Problem(mapping_path, f"release {release.version} has no image")
            findings.append(Finding(Kind.MISSING, problem, release.version))
    return found._replace(findings=tuple(findings))


def with_paths(bare: Iterable[Release], paths: Iterable[str], trusted: frozenset[str] = TRUSTED) -> Images:
    """The releases with the images among ``paths``."""
    found: dict[ModuleVersion, list[str]] = {}
    findings: list[Finding] = []
    unreadable: list[Problem] = []
    for path in paths:
        version = version_of(path)
        if version is None:
            message = "its name tells no release; expected tdx_module_<version>.blob, .bin or .sigstruct"
            findings.append(Finding(Kind.MISNAMED, Problem(path, message)))
        else:
            found.setdefault(version, []).append(path)
    releases = []
    for release in bare:
        readable, errors = _read_all(found.pop(release.version, []), trusted)
        unreadable += errors
        releases.append(_with_image(release, readable, errors, findings))
    for version, extra in sorted(found.items()):
        message = f"an image without a release: the mapping file lacks {version}"
        findings += [Finding(Kind.WITHOUT_RELEASE, Problem(path, message), version) for path in extra]
    return Images(_without_impostors(releases, findings), tuple(findings), tuple(unreadable))


def find(images: str) -> tuple[list[str], list[Problem]]:
    """The images below a folder, as absolute paths in sorted order, and the folders that were passed over. A module and
    its sigstruct count once, as the module (or as the sigstruct where there is no module).

    Raises:
        InputError: ``images`` is not a folder, there are more than _FILES_MAX files below it, or an image's path is not
            UTF-8.
    """
    paths: list[str] = []
    skipped: list[Problem] = []

    def passed_over(error: OSError) -> None:
        if error.filename == images:
            raise InputError(Problem(images, f"can't read the images: {error.strerror}"))
        skipped.append(Problem(str(error.filename), f"can't look into this folder: {error.strerror}"))

    count = 0
    for folder, folders, names in os.walk(images, onerror=passed_over):
        folders.sort()
        skipped += [
            Problem(os.path.join(folder, name), "a symbolic link to a folder is not followed")
            for name in folders
            if os.path.islink(os.path.join(folder, name))
        ]
        count += len(names)
        if count > _FILES_MAX:
            raise InputError(Problem(images, f"more than {_FILES_MAX} files below it; name the images' own folder"))
        here = set(names)
        for name in sorted(names):
            stem = name.removesuffix(files.SIGSTRUCT_SUFFIX)
            is_second = stem != name and stem + files.MODULE_SUFFIX in here
            if name.endswith(_SUFFIXES) and not is_second:
                paths.append(absolute(os.path.join(folder, name)))
    for path in paths:
        if not path.isprintable() and not _is_text(path):
            raise InputError(Problem(ascii(path), "the name of this file is not UTF-8; rename it"))
    return paths, skipped


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def version_of(path: str) -> ModuleVersion | None:
    """The version in an image's file name; None if there is none."""
    match = _IMAGE_NAME.fullmatch(os.path.basename(path))
    try:
        return ModuleVersion(match[1]) if match else None
    except ValueError:
        return None


def _read_all(paths: list[str], trusted: frozenset[str]) -> tuple[list[Image], list[Problem]]:
    images: list[Image] = []
    errors: list[Problem] = []
    for path in paths:
        try:
            images.append(files.read(path, trusted))
        except InputError as error:
            errors += error.problems
    return images, errors


def _with_image(release: Release, images: list[Image], errors: list[Problem], findings: list[Finding]) -> Release:
    """The release with its image. A joined image is preferred to separate files, which Intel publishes with it."""
    joined = [image for image in images if image.sigstruct_path is None]
    separate = [image for image in images if image.sigstruct_path is not None]
    for alike in (joined, separate):
        for image in alike[1:]:
            problem = Problem(image.path, f"a second image of {release.version}, beside {alike[0].path}")
            findings.append(Finding(Kind.TWICE, problem, release.version))
    images = joined + separate
    if len({image.sigstruct for image in images}) > 1:
        message = f"the images of {release.version} contradict each other: {', '.join(image.path for image in images)}"
        findings.append(Finding(Kind.DIFFER, Problem(images[0].path, message), release.version))
        return release._replace(image_problem=message)
    if images:
        return release._replace(image=images[0])
    return release._replace(image_problem="; ".join(map(str, errors))) if errors else release


def _without_impostors(releases: list[Release], findings: list[Finding]) -> tuple[Release, ...]:
    """The releases, without images that may be those of another release. An MRSEAM under two versions, or under another
    version than the published one, means that a file has the wrong name, and that another module would be installed
    than the plan says."""
    holders: dict[str, list[Release]] = {}
    for release in releases:
        if release.image:
            holders.setdefault(release.image.sigstruct.mrseam, []).append(release)
    doubts: dict[ModuleVersion, str] = {}
    for mrseam, holding in holders.items():
        known = published.version_of(mrseam)
        wrong = [release for release in holding if known and str(release.version) != known]
        doubtful = wrong or (holding if len(holding) > 1 and not known else [])
        others = " and ".join(str(release.version) for release in holding)
        for release in doubtful:
            message = f"it is the image of {known}" if known else f"one image stands for {others}"
            doubts[release.version] = f"{message} (MRSEAM {mrseam}): a file has the wrong name"
            problem = Problem(release.image.path if release.image else "", doubts[release.version])
            findings.append(Finding(Kind.IMPOSTOR if known else Kind.SHARED, problem, release.version))
    return tuple(
        release._replace(image=None, image_problem=doubts[release.version]) if release.version in doubts else release
        for release in releases
    )
