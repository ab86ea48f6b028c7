"""Copies what belongs into a catalog package out of a folder that is not trusted.

Copied are ``mapping_file.json``, the images, and the licences at the top of the folder; scripts and pages of the
vendor's repository stay out. A name that a package could misread, and a link or special file in place of a file that
belongs into the package, are errors. Hidden files and folders, such as ``.git``, are passed over.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from seamstep.base.documents import decode, read_regular
from seamstep.base.errors import InputError, Problem
from seamstep.domain.mapping import SIZE_LIMIT
from seamstep.image import catalog, files
from seamstep.image.layout import SIZE_MAX

#: The place of the catalog in the file system of a host, without the leading slash.
PLACE = "usr/lib/firmware/intel/tdx-module"
_ENTRIES_MAX, _IMAGES_MAX, _DEPTH_MAX = 100_000, 2_000, 8
_LICENCE_MAX = 1 << 20
_SUFFIXES = (".blob", files.MODULE_SUFFIX, files.SIGSTRUCT_SUFFIX)
_LICENCE = re.compile(r"([A-Z0-9]+_)?(LICEN[CS]E|COPYING|NOTICE)([._-][A-Za-z0-9._-]+)?", re.ASCII)
#: Neither a macro of rpm, nor a pattern, an option, or a word apart.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", re.ASCII)


class Staged(NamedTuple):
    """The copy of a catalog.

    Attributes:
        catalog: the folder of the copy.
        files: the paths in it, sorted: the mapping file and the images.
        images: the paths of the images; a module and its sigstruct count once.
        licences: the texts of the licences by file name.
    """

    catalog: Path
    files: tuple[str, ...]
    images: tuple[str, ...]
    licences: dict[str, str]


def stage(folder: Path, root: Path) -> Staged:
    """Copy a catalog to PLACE below ``root``.

    Raises:
        InputError: lists every file that is not fit for a package.
    """
    problems: list[Problem] = []
    found, licences = _find(folder, problems)
    if catalog.MAPPING_FILE not in found:
        problems.append(Problem(str(folder), f"there is no {catalog.MAPPING_FILE} at its top"))
    images = [path for path in found if path != catalog.MAPPING_FILE]
    if not images:
        problems.append(Problem(str(folder), "there are no images in it (tdx_module_<version>.blob or .bin)"))
    if len(images) > _IMAGES_MAX:
        problems.append(Problem(str(folder), f"there are more than {_IMAGES_MAX} images in it"))
    if problems:
        raise InputError(problems)
    target = root / PLACE
    for path in found:
        _copy(folder, path, target, problems)
    texts = {name: _licence(folder / name, problems) for name in licences}
    if problems:
        raise InputError(problems)
    return Staged(target, tuple(found), tuple(path for path in images if not _is_second(path, images)), texts)


def _find(folder: Path, problems: list[Problem]) -> tuple[list[str], list[str]]:
    """The paths that belong into the package, and the names of the licences, both sorted."""
    found: list[str] = []
    licences: list[str] = []
    count = 0

    def unreadable(error: OSError) -> None:
        problems.append(Problem(str(error.filename), f"can't look into this folder: {error.strerror}"))

    for at, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = os.path.relpath(at, folder)
        here = "" if below == "." else f"{below}/"
        problems += [
            Problem(os.path.join(at, name), "a symbolic link to a folder; put the folder itself in its place")
            for name in folders
            if os.path.islink(os.path.join(at, name))
        ]
        if here.count("/") >= _DEPTH_MAX:
            folders.clear()
        count += len(names) + len(folders)
        if count > _ENTRIES_MAX:
            raise InputError(
                Problem(str(folder), f"more than {_ENTRIES_MAX} files below it; name the catalog's folder")
            )
        for name in sorted(names):
            if not here and _LICENCE.fullmatch(name):
                licences.append(name)
            elif (not here and name == catalog.MAPPING_FILE) or (name.endswith(_SUFFIXES) and not name.startswith(".")):
                found.append(here + name)
    for path in found:
        problem = _name_problem(path)
        if problem:
            problems.append(Problem(ascii(os.path.join(folder, path)), problem))
    return sorted(found), sorted(licences)


def _name_problem(path: str) -> str | None:
    for part in path.split("/"):
        if not _PLAIN.fullmatch(part):
            return f"{part!a} is no name for a package: expected letters, digits and . _ + -, 100 at most; rename it"
    if path != catalog.MAPPING_FILE and catalog.version_of(path) is None:
        return "its name tells no release; expected tdx_module_<version>.blob, .bin or .sigstruct"
    return None


def _copy(folder: Path, path: str, target: Path, problems: list[Problem]) -> None:
    limit, what = (SIZE_LIMIT, "mapping file") if path == catalog.MAPPING_FILE else (SIZE_MAX, "TDX module image")
    try:
        content = read_regular(str(folder / path), limit, what)
    except InputError as error:
        problems += error.problems
        return
    copy = target / path
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(content)


def _licence(path: Path, problems: list[Problem]) -> str:
    try:
        text = decode(read_regular(str(path), _LICENCE_MAX, "licence"), str(path))
    except InputError as error:
        problems += error.problems
        return ""
    if any(not character.isprintable() and character not in "\n\r\t\f\ufeff" for character in text):
        problems.append(Problem(str(path), "this licence is not plain text: it has control characters"))
    return text


def _is_second(path: str, images: list[str]) -> bool:
    stem = path.removesuffix(files.SIGSTRUCT_SUFFIX)
    return stem != path and stem + files.MODULE_SUFFIX in images
