"""What a team makes of findings: severities of its own, suppressions that expire, and a baseline to begin with."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, NamedTuple

from seamstep.analysis.lint.findings import FINGERPRINTS, Code, Finding, Severity
from seamstep.base import repository
from seamstep.base.documents import Document, read_bytes, read_json, read_regular
from seamstep.base.errors import InputError, KeyPath, Problem, in_reading_order
from seamstep.base.resources import schema
from seamstep.base.validation import check, did_you_mean
from seamstep.base.versions import ModuleVersion, Specifier

SCHEMA = "seamstep/lint/v1"
#: The name of the file with the settings for a folder and those below it.
DEFAULT_FILE = ".seamstep-lint.yaml"
_SIZE_LIMIT = 1 << 20
_BASELINE_LIMIT = 64 << 20
_BASELINE_VALUES = 8_000_000
_OFF = "off"

UNUSED = Code(
    "suppression-unused",
    Severity.WARNING,
    "A suppression matches no finding.",
    "What it accepted is gone, or it is misspelt and accepts nothing. Left in place it hides the next mistake of its"
    " kind.",
    "Remove it, or correct what it names.",
)
EXPIRED = Code(
    "suppression-expired",
    Severity.WARNING,
    "A suppression has expired.",
    "Its findings count again.",
    "Correct the file, or have the owner accept the findings until a later day.",
)
CODES = (UNUSED, EXPIRED)


class Suppression(NamedTuple):
    """Findings that are accepted: those of ``code``, on releases in ``versions`` (None: on any or none), in files that
    match ``file`` (a pattern for the end of their path from the root of the repository)."""

    code: str
    versions: Specifier | None
    file: str | None
    reason: str
    owner: str
    until: date
    path: KeyPath

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is one of them."""
        if finding.code.name != self.code:
            return False
        if self.file is not None and not PurePath(repository.path_of(finding.source)).match(self.file):
            return False
        return self.versions is None or _is_in(finding.release, self.versions)


def _is_in(release: str | None, versions: Specifier) -> bool:
    try:
        return release is not None and ModuleVersion(release) in versions
    except ValueError:
        return False


class Settings(NamedTuple):
    """Severities by code (``off``: not told) and suppressions; ``document`` is where they stand."""

    severities: Mapping[str, str] = MappingProxyType({})
    suppressions: tuple[Suppression, ...] = ()
    document: Document | None = None


class Result(NamedTuple):
    """A finding and what the settings make of it: its severity, what suppresses it, and whether the baseline has it."""

    finding: Finding
    severity: Severity
    suppression: Suppression | None = None
    known: bool = False

    @property
    def counts(self) -> bool:
        """Whether it is new and not accepted."""
        return self.suppression is None and not self.known


def nearest(file: str) -> str | None:
    """The settings for a linted file if none are named: the nearest, from its folder upwards to the root of its
    repository; else those in the working directory. None if there are none."""
    found = (str(folder / DEFAULT_FILE) for folder in repository.folders(file))
    return next((path for path in found if os.path.lexists(path)), None)


def load(path: str, codes: Iterable[str], *, found: bool = False) -> Settings:
    """Read settings; ``codes`` are the names that there are. ``found`` is whether the file was found rather than named
    by the user: it must then be a regular file, and no symbolic link to one.

    Raises:
        InputError: unreadable or invalid; lists all problems.
    """
    from seamstep.base import yaml_text

    form = schema("lint")
    read = read_regular if found else read_bytes
    document = yaml_text.read(read(path, _SIZE_LIMIT, "linter's settings"), path)
    document = document._replace(data=yaml_text.typed(document.data, form))
    problems = check(document, "lint")
    known = set(codes)
    severities = _mapping(document.data.get("severity"))
    for name in severities:
        if name not in known:
            problems.append(_unknown(document, ("severity", name), name, known))
    listed = document.data.get("suppress")
    suppressions = []
    for index, entry in enumerate(listed if isinstance(listed, list) else []):
        path_to = ("suppress", index)
        code = _mapping(entry).get("code")
        if isinstance(code, str) and code not in known:
            problems.append(_unknown(document, (*path_to, "code"), code, known))
        suppressions.append(_suppression(document, path_to, _mapping(entry), problems))
    if problems:
        raise InputError(in_reading_order(dict.fromkeys(problems)))
    return Settings(severities, tuple(one for one in suppressions if one), document)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _unknown(document: Document, path: KeyPath, name: str, known: set[str]) -> Problem:
    return document.problem(path, f"unknown code {name!r}{did_you_mean(name, known)}")


def _pattern(text: str) -> str:
    try:
        PurePath().match(text)
    except ValueError:
        raise ValueError(f"{text!r} is no pattern of file names, such as mirror/*.json") from None
    return text


def _suppression(
    document: Document, path: KeyPath, entry: Mapping[str, Any], problems: list[Problem]
) -> Suppression | None:
    def read(key: str, parse: Any) -> Any:
        try:
            return parse(entry[key]) if isinstance(entry.get(key), str) else None
        except ValueError as error:
            message = f"{entry[key]!r} is not a day such as 2027-03-31" if key == "until" else str(error)
            problems.append(document.problem((*path, key), message))
            return None

    pattern = read("file", _pattern)
    versions, until = read("versions", Specifier), read("until", date.fromisoformat)
    texts = [entry.get(key) for key in ("code", "reason", "owner")]
    if until is None or not all(isinstance(text, str) for text in texts):
        return None
    code, reason, owner = map(str, texts)
    return Suppression(code, versions, pattern, reason, owner, until, path)


def judge(findings: Iterable[Finding], settings: Settings, as_of: date, known: Counter[str]) -> list[Result]:
    """What the settings make of findings on the day ``as_of``, with findings on the settings themselves. ``known`` are
    the fingerprints of a baseline."""
    active = [suppression for suppression in settings.suppressions if suppression.until >= as_of]
    used: set[KeyPath] = set()
    left = Counter(known)
    results: list[Result] = []
    for finding in findings:
        covering = [one for one in active if one.covers(finding)]
        used |= {one.path for one in covering}
        suppression = covering[0] if covering else None
        result = _result(finding, settings, suppression, known=left[finding.fingerprint] > 0)
        left[finding.fingerprint] -= result is not None and result.known
        results += [result] if result else []
    own = (_result(finding, settings, None, known=False) for finding in _on_settings(settings, used, as_of))
    return results + [result for result in own if result]


def _result(finding: Finding, settings: Settings, suppression: Suppression | None, *, known: bool) -> Result | None:
    severity = settings.severities.get(finding.code.name, finding.code.severity.value)
    return None if severity == _OFF else Result(finding, Severity(severity), suppression, known)


def _on_settings(settings: Settings, used: set[KeyPath], as_of: date) -> Iterator[Finding]:
    for suppression in settings.suppressions:
        if suppression.path in used:
            continue
        expired = suppression.until < as_of
        message = f"expired on {suppression.until}" if expired else "matches no finding"
        text = f"the suppression of {suppression.code} ({suppression.reason}; {suppression.owner}) {message}"
        if settings.document:
            place = settings.document.problem(suppression.path, text)
            code = EXPIRED if expired else UNUSED
            yield Finding(code, text, place.source, place.path, place.line, place.column)


def load_baseline(path: str) -> Counter[str]:
    """The fingerprints in an earlier report of ``seamstep lint`` (JSON), each as often as it stands there. What was
    suppressed then is not among them: a suppression ends on its day, and a baseline would go on.

    Raises:
        InputError: unreadable, not such a report, or one whose fingerprints are of an earlier version. These told
            files apart by their names alone, so that the findings of one hid those of another.
    """
    document = read_json(path, _BASELINE_LIMIT, "baseline", values_max=_BASELINE_VALUES)
    findings = document.data.get("findings")
    if document.data.get("schema") != SCHEMA or not isinstance(findings, list):
        raise InputError(document.problem((), f"expected {SCHEMA!r}: a report that seamstep lint wrote as JSON"))
    if document.data.get("fingerprints") != FINGERPRINTS:
        message = "its findings can't be recognised: another version of seamstep wrote it; write it again with -o"
        raise InputError(document.problem((), f"{message} (expected 'fingerprints': {FINGERPRINTS!r})"))
    known: Counter[str] = Counter()
    for index, finding in enumerate(findings):
        if not isinstance(finding, dict) or not isinstance(finding.get("fingerprint"), str):
            raise InputError(document.problem(("findings", index), "expected a finding with its fingerprint"))
        known[finding["fingerprint"]] += finding.get("suppressed") is None
    return +known
