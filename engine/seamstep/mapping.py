"""The mapping file: which TDX module releases there are and what each asks of a host.

Source: mapping_file.json of Intel's repository confidential-computing.tdx.tdx-module.binaries, in both published
shapes, with and without ``strict_compat_versions``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seamstep.documents import read_json
from seamstep.errors import InputError
from seamstep.model import Release
from seamstep.validation import check
from seamstep.versions import ModuleVersion, SeamldrVersion

_SIZE_LIMIT = 16 << 20
_HEX = re.compile(r"0x[0-9A-Fa-f]{1,16}", re.ASCII)
_RELEASES = "tdx_module_releases"
_READ_KEYS = {
    "version",
    "min_module_version_for_td_preserving",
    "strict_compat_versions",
    "min_seamldr_versions",
    "tdx_feature0",
}


@dataclass(frozen=True, slots=True)
class MappingFile:
    """A mapping file: its releases in ascending order, and every key it has that seamstep does not know."""

    path: str
    sha256: str
    releases: tuple[Release, ...]
    header: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


def load(path: str) -> MappingFile:
    """Read a mapping file.

    Raises:
        InputError: unreadable or invalid; lists all problems.
    """
    document = read_json(path, _SIZE_LIMIT, "mapping file")
    problems = check(document, "mapping")
    if problems:
        raise InputError(problems)
    releases: dict[ModuleVersion, Release] = {}
    for index, entry in enumerate(document.data[_RELEASES]):
        try:
            release = _release(entry)
        except _FieldError as error:
            problems.append(document.problem((_RELEASES, index, error.key), str(error)))
            continue
        if release.version in releases:
            message = f"release {release.version} stands twice; keep one"
            problems.append(document.problem((_RELEASES, index, "version"), message))
        releases[release.version] = release
    if problems:
        raise InputError(problems)
    if not releases:
        raise InputError(document.problem((_RELEASES,), "lists no release"))
    return MappingFile(
        path=path,
        sha256=document.sha256,
        releases=tuple(releases[version] for version in sorted(releases)),
        header=document.data.get("Header", {}),
        extra={key: value for key, value in document.data.items() if key not in {"Header", _RELEASES}},
    )


class _FieldError(Exception):
    """A field of a release does not parse."""

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(message)


def _release(entry: Mapping[str, Any]) -> Release:
    def parsed(key: str, parse: Any) -> Any:
        try:
            value = entry[key]
            return tuple(parse(text) for text in value) if isinstance(value, list) else parse(value)
        except ValueError as error:
            raise _FieldError(key, str(error)) from None

    return Release(
        version=parsed("version", ModuleVersion),
        minimum_module=parsed("min_module_version_for_td_preserving", ModuleVersion),
        minimum_seamldrs=parsed("min_seamldr_versions", SeamldrVersion),
        features0=parsed("tdx_feature0", _features0),
        strict_compat=parsed("strict_compat_versions", ModuleVersion) if "strict_compat_versions" in entry else None,
        extra={key: value for key, value in entry.items() if key not in _READ_KEYS},
    )


def _features0(text: str) -> int:
    if not _HEX.fullmatch(text):
        raise ValueError(f"{text!r} is not a hex number of at most 64 bits, such as 0x1F0FBF")
    return int(text, 16)
