"""The catalog: the releases of a mapping file, each with its image.

An image belongs to the release that its file name tells, ``tdx_module_<version>.blob``: nothing inside an image names
its version.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from seamstep import image, mapping
from seamstep.errors import InputError, Problem
from seamstep.model import Release
from seamstep.versions import ModuleVersion

MAPPING_FILE = "mapping_file.json"
_IMAGE_NAME = re.compile(r"tdx_module_([0-9]+\.[0-9]+\.[0-9]+)\.blob", re.ASCII)
_FILES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Catalog:
    """Releases in ascending order. ``findings`` lists what is wrong with the images; it stops nobody, but a release
    whose image is broken has no image."""

    mapping: mapping.MappingFile
    releases: tuple[Release, ...]
    findings: tuple[Problem, ...] = ()


def load(mapping_path: str, images: str | None = None) -> Catalog:
    """Read a mapping file and, below the folder ``images``, the images of its releases.

    Raises:
        InputError: the mapping file is unreadable or invalid, or ``images`` is not a folder.
    """
    file = mapping.load(mapping_path)
    if images is None:
        return Catalog(file, file.releases)
    found: dict[ModuleVersion, list[str]] = {}
    for version, path in _find(images):
        found.setdefault(version, []).append(path)
    findings: list[Problem] = []
    releases = tuple(_with_image(release, found.pop(release.version, []), findings) for release in file.releases)
    for version, paths in sorted(found.items()):
        findings += [Problem(path, f"the mapping file does not list {version}") for path in paths]
    return Catalog(file, releases, tuple(findings))


def _find(images: str) -> Iterator[tuple[ModuleVersion, str]]:
    if not Path(images).is_dir():
        raise InputError(Problem(images, "can't read the images: not a folder"))
    count = 0
    for folder, folders, files in os.walk(images):
        folders.sort()
        count += len(files)
        if count > _FILES_MAX:
            raise InputError(Problem(images, f"more than {_FILES_MAX} files below it; name the images' own folder"))
        for name in sorted(files):
            match = _IMAGE_NAME.fullmatch(name)
            if match:
                try:
                    yield ModuleVersion(match[1]), str(Path(folder, name).absolute())
                except ValueError:
                    continue


def _with_image(release: Release, paths: list[str], findings: list[Problem]) -> Release:
    if not paths:
        return release
    if len(paths) > 1:
        message = f"more than one image of {release.version}: {', '.join(paths)}"
        findings.append(Problem(paths[0], message))
        return replace(release, image_problem=message)
    try:
        return replace(release, image=image.read(paths[0]))
    except InputError as error:
        findings += error.problems
        return replace(release, image_problem=str(error))
