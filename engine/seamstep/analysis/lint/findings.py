"""What the linter says: codes, which are stable, and findings, which have one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from seamstep.base import repository
from seamstep.base.documents import canonical
from seamstep.base.errors import KeyPath
from seamstep.base.positions import Excerpt

#: The version of fingerprints. Those of different versions can't be compared.
FINGERPRINTS = "seamstep/v2"
_NO_EVIDENCE: Mapping[str, Any] = MappingProxyType({})


class Severity(StrEnum):
    """How bad a finding is: an ERROR makes a plan wrong or impossible, a WARNING probably does, a NOTE is to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """0 for a note, more for what is worse."""
        return (Severity.NOTE, Severity.WARNING, Severity.ERROR).index(self)


class Code(NamedTuple):
    """A kind of finding: its stable ``name``, its default ``severity``, what it says in general, why that matters, and
    what to do about it."""

    name: str
    severity: Severity
    summary: str
    why: str
    fix: str


class Finding(NamedTuple):
    """One mistake, or one thing to know, in a file.

    ``line`` and ``column`` count from 1 and are None where the file has no lines (an image); ``excerpt`` is the line.
    ``release`` is the version concerned, as text. ``evidence`` (JSON-able) tells this finding from others of its code
    and release, whatever the message says.
    """

    code: Code
    message: str
    source: str
    path: KeyPath = ()
    line: int | None = None
    column: int | None = None
    excerpt: Excerpt | None = None
    release: str | None = None
    evidence: Mapping[str, Any] = _NO_EVIDENCE

    def __hash__(self) -> int:
        return hash(self[:-1])  # the evidence has no hash

    @property
    def fingerprint(self) -> str:
        """The same for the same mistake in the same file of a repository, wherever in the file it stands and wherever
        the repository does. 64 hex digits."""
        identity = [self.code.name, repository.path_of(self.source), self.release, dict(self.evidence)]
        return hashlib.sha256(canonical(identity)).hexdigest()
