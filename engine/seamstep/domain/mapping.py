"""The mapping file: the TDX module releases and the requirements of each.

Source: mapping_file.json of Intel's repository confidential-computing.tdx.tdx-module.binaries, in both published
shapes, with and without ``strict_compat_versions``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from seamstep.base.documents import read_json
from seamstep.base.errors import InputError, KeyPath, Problem
from seamstep.base.validation import require
from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.domain.model import Release

WHAT = "mapping file"
SIZE_LIMIT = 16 << 20
_HEX = re.compile(r"0x[0-9A-Fa-f]{1,16}", re.ASCII)
T = TypeVar("T")

HEADER, RELEASES = "Header", "tdx_module_releases"
VERSION = "version"
MINIMUM_MODULE = "min_module_version_for_td_preserving"
STRICT_COMPAT = "strict_compat_versions"
MINIMUM_SEAMLDRS = "min_seamldr_versions"
FEATURES = "tdx_feature0"
#: The keys of a release that seamstep knows.
KEYS = (VERSION, MINIMUM_MODULE, STRICT_COMPAT, MINIMUM_SEAMLDRS, FEATURES)


class MappingFile(NamedTuple):
    """A mapping file.

    Attributes:
        path: the file.
        sha256: its digest in hex.
        releases: in ascending order.
        header: the object under ``Header``.
        extra: the top-level keys that seamstep does not know, with their values.
    """

    path: str
    sha256: str
    releases: tuple[Release, ...]
    header: Mapping[str, Any] = MappingProxyType({})
    extra: Mapping[str, Any] = MappingProxyType({})


def load(path: str, *, found: bool = False) -> MappingFile:
    """Read a mapping file. ``found`` is whether it was found in a folder rather than named by the user: it must then be
    a regular file, and no symbolic link to one.

    Raises:
        InputError: unreadable or invalid; lists all problems.
    """
    document = read_json(path, SIZE_LIMIT, WHAT, found=found)
    require(document, "mapping")
    problems: list[Problem] = []
    releases: dict[ModuleVersion, Release] = {}
    for index, entry in enumerate(document.data[RELEASES]):
        release, faults = read_release(entry)
        problems += [document.problem((RELEASES, index, *fault.path), fault.message) for fault in faults]
        if release is None:
            continue
        if release.version in releases:
            message = f"release {release.version} stands twice; keep one"
            problems.append(document.problem((RELEASES, index, VERSION), message))
        releases[release.version] = release
    if problems:
        raise InputError(problems)
    if not releases:
        raise InputError(document.problem((RELEASES,), "lists no release"))
    return MappingFile(
        path=path,
        sha256=document.sha256,
        releases=tuple(releases[version] for version in sorted(releases)),
        header=document.data.get(HEADER, {}),
        extra={key: value for key, value in document.data.items() if key not in {HEADER, RELEASES}},
    )


class Fault(NamedTuple):
    """A value of a release that can't be read: its key path in the release, and the error."""

    path: KeyPath
    message: str


def read_release(entry: Mapping[str, Any]) -> tuple[Release | None, list[Fault]]:
    """A release of a mapping file, with a fault for each value that can't be read.

    Such a value is None in the release, or left out if it is an item of a list. The release is None if its version
    can't be read.
    """
    faults: list[Fault] = []

    def one(parse: Callable[[str], T], value: object, *path: str | int) -> T | None:
        try:
            return parse(value) if isinstance(value, str) else None
        except ValueError as error:
            faults.append(Fault(path, str(error)))
            return None

    def several(parse: Callable[[str], T], key: str) -> tuple[T, ...]:
        values = entry.get(key)
        items = values if isinstance(values, list) else []
        read = (one(parse, value, key, index) for index, value in enumerate(items))
        return tuple(value for value in read if value is not None)

    version = one(ModuleVersion, entry.get(VERSION), VERSION)
    rest: dict[str, Any] = {
        "minimum_module": one(ModuleVersion, entry.get(MINIMUM_MODULE), MINIMUM_MODULE),
        "minimum_seamldrs": several(SeamldrVersion, MINIMUM_SEAMLDRS),
        "features0": one(_features0, entry.get(FEATURES), FEATURES),
        "strict_compat": several(ModuleVersion, STRICT_COMPAT) if isinstance(entry.get(STRICT_COMPAT), list) else None,
        "extra": {key: value for key, value in entry.items() if key not in KEYS},
    }
    return (Release(version, **rest) if version else None), faults


def _features0(text: str) -> int:
    if not _HEX.fullmatch(text):
        raise ValueError(f"{text!r} is not a hex number of at most 64 bits, such as 0x1F0FBF")
    return int(text, 16)
