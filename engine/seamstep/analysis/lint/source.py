"""A mapping file as its reader meets it: read as far as it can be, with the place of everything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from seamstep.analysis.lint.findings import Code, Finding
from seamstep.base import resources
from seamstep.base.documents import decode, parse_object, read_bytes, read_regular
from seamstep.base.errors import KeyPath
from seamstep.base.positions import Places
from seamstep.domain import mapping
from seamstep.domain.mapping import RELEASES, Fault
from seamstep.domain.model import Release

_VERSION_MAX = 64  # characters; no version has as many


class Entry(NamedTuple):
    """One release of a file: its position in the list, what can be read of it, and what can't."""

    position: int
    release: Release | None
    faults: tuple[Fault, ...]


class Source:
    """The text of a mapping file, its data, and its entries in the order of the file."""

    def __init__(self, path: str, *, found: bool = False) -> None:
        """Read the file. ``found`` is whether it was found in a folder rather than named by the user.

        Raises:
            InputError: unreadable, too large, not UTF-8, not JSON, nested too deeply, or not an object.
        """
        read = read_regular if found else read_bytes
        text = decode(read(path, mapping.SIZE_LIMIT, mapping.WHAT), path)
        self.path = path
        self.data = parse_object(text, path, mapping.WHAT, keep_duplicates=True)
        self.places = Places(text)
        self.entries = tuple(self._entries())

    def _entries(self) -> Iterator[Entry]:
        listed = self.data.get(RELEASES)
        for position, entry in enumerate(listed if isinstance(listed, list) else []):
            if isinstance(entry, dict):
                release, faults = mapping.read_release(entry)
                yield Entry(position, release, tuple(faults))

    def finding(
        self, code: Code, path: KeyPath, message: str, release: Release | str | None = None, **evidence: Any
    ) -> Finding:
        """A finding at ``path``, with its place."""
        return self.at(self.places.offset(path), code, path, message, release, **evidence)

    def at(
        self,
        offset: int,
        code: Code,
        path: KeyPath,
        message: str,
        release: Release | str | None = None,
        **evidence: Any,
    ) -> Finding:
        """A finding at an offset of the text."""
        line, column = self.places.line_and_column(offset)
        version = str(release.version) if isinstance(release, Release) else release
        excerpt = self.places.excerpt(offset)
        return Finding(code, message, self.path, path, line, column, excerpt, version, evidence)

    def entry(self, path: KeyPath) -> dict[str, Any]:
        """The release that a key path leads into, as it stands in the file."""
        found: dict[str, Any] = self.data[RELEASES][path[1]]
        return found

    def release_at(self, path: KeyPath) -> str | None:
        """The version, as written, of the release that a key path leads into. None where a duplicate key hides that
        release from readers, or where it is longer than any version: each finding repeats it."""
        listed = self.data.get(RELEASES)
        if len(path) < 2 or path[0] != RELEASES or not isinstance(path[1], int) or not isinstance(listed, list):
            return None
        entry = listed[path[1]] if path[1] < len(listed) else None
        version = entry.get(mapping.VERSION) if isinstance(entry, dict) else None
        return version if isinstance(version, str) and len(version) <= _VERSION_MAX else None


def known_keys() -> dict[KeyPath, frozenset[str]]:
    """The keys that the schema knows: at the top level, at (), and in a release, at its path."""
    schema = resources.schema("mapping")
    release = schema["properties"][RELEASES]["items"]
    return {(): frozenset(schema["properties"]), (RELEASES,): frozenset(release["properties"])}
