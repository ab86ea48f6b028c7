"""Versions of TDX modules and P-SEAMLDRs, and the specifiers that policies select them with.

Versions are ``major.minor.update``, three unsigned 16-bit numbers; the kernel prints them ``%u.%u.%02u``
(TDX_VERSION_FMT in arch/x86/include/asm/tdx.h). A *series* is ``major.minor``; an update stays inside its series.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

_FORM = re.compile(r"(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4})\.([0-9]{1,5})", re.ASCII)
_PART_MAX = 0xFFFF

EXPECTED = "a version of three numbers, such as 1.5.06"


class _ThreePartVersion:
    """A three-part version. Orders numerically, prints as the kernel does, equals only versions of its own class."""

    __slots__ = ("_hash", "numbers", "series", "text")

    def __init__(self, text: str) -> None:
        """Parse ``text``.

        Raises:
            ValueError: not exactly three numbers of at most 16 bits each.
        """
        match = _FORM.fullmatch(text)
        parts = tuple(int(part) for part in match.groups()) if match else ()
        if len(parts) != 3 or max(parts) > _PART_MAX:
            raise ValueError(f"{text!r} is not {EXPECTED}")
        #: Major, minor and update.
        self.numbers: tuple[int, int, int] = parts
        self._hash = hash(parts)
        #: ``major.minor``.
        self.series = f"{parts[0]}.{parts[1]}"
        #: ``major.minor.update`` as the kernel prints it.
        self.text = f"{self.series}.{parts[2]:02}"

    @property
    def update(self) -> int:
        """The last of the three numbers."""
        return self.numbers[2]

    @property
    def packaging(self) -> Version:
        """The same version as a PEP 440 version."""
        from packaging.version import Version

        return Version(self.text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.numbers == other.numbers

    def __lt__(self, other: Self) -> bool:
        return self.numbers < other.numbers if type(other) is type(self) else NotImplemented

    def __le__(self, other: Self) -> bool:
        return self.numbers <= other.numbers if type(other) is type(self) else NotImplemented

    def __gt__(self, other: Self) -> bool:
        return self.numbers > other.numbers if type(other) is type(self) else NotImplemented

    def __ge__(self, other: Self) -> bool:
        return self.numbers >= other.numbers if type(other) is type(self) else NotImplemented


class ModuleVersion(_ThreePartVersion):
    """The version of a TDX module."""

    __slots__ = ()


class SeamldrVersion(_ThreePartVersion):
    """The version of a P-SEAMLDR."""

    __slots__ = ()


class Specifier:
    """A set of module versions: ``1.5.28``, ``2.0.*`` or PEP 440, ``>=1.5.24,<1.5.30``.

    A bare version or prefix means ``==``. ``===`` is refused: it compares text, which differs between 1.5.6 and 1.5.06,
    one and the same version.
    """

    __slots__ = ("_known", "_set", "text", "version")

    def __init__(self, text: str) -> None:
        """Parse ``text``.

        Raises:
            ValueError: not a specifier over three-part versions.
        """
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        self._known: dict[ModuleVersion, bool] = {}
        #: The specifier as it was written.
        self.text = text.strip()
        #: The only version in the set, where ``text`` is a plain version; else None.
        self.version: ModuleVersion | None = None
        bare = re.fullmatch(r"[0-9.]+(\.\*)?", self.text, re.ASCII)
        exact = re.fullmatch(r"(?:== *)?([0-9.]+)", self.text, re.ASCII)
        if exact:
            self.version = ModuleVersion(exact[1])
        try:
            self._set: SpecifierSet = SpecifierSet(f"=={self.text}" if bare else self.text)
        except InvalidSpecifier:
            raise ValueError(
                f"{text!r} is not a version or a specifier such as '>=1.5.24,<1.5.30' or '1.5.*'"
            ) from None
        if not len(self._set) or any(not _is_plain(part) for part in self._set):
            raise ValueError(
                f"{text!r}: expected comparisons with versions of three numbers, such as '>=1.5.24,<1.5.30'"
            )

    def __contains__(self, version: ModuleVersion) -> bool:
        known = self._known.get(version)  # a graph asks about the same versions once for each of its steps
        if known is None:
            known = self._known[version] = self._set.contains(version.packaging)
        return known

    def __str__(self) -> str:
        return self.text


def _is_plain(part: Any) -> bool:
    """Whether a comparison is with three numbers, or with a prefix and a star. ``<=1.5`` is refused because it means
    1.5.00 and older, and reads as if it included all of series 1.5."""
    numeric = re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,5}){0,2}(\.\*)?", part.version, re.ASCII)
    if numeric is None or part.operator == "===":
        return False
    return bool(part.version.count(".") == 2 or part.version.endswith(".*"))
