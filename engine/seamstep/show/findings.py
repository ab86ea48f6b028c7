"""The linter's findings as text, as a document, as JUnit XML and as annotations of a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any, NamedTuple

from seamstep.analysis.lint.findings import FINGERPRINTS, Severity
from seamstep.analysis.lint.run import Target
from seamstep.analysis.lint.settings import SCHEMA, Result
from seamstep.base import repository
from seamstep.base.errors import Problem, dotted
from seamstep.show.text import printable

_WIDTH = 100
_WORDS = ("error", "warning", "note")
_GITHUB = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


class Linted(NamedTuple):
    """The result of a run of the linter.

    ``targets`` are the files linted, ``results`` their findings, each with its severity under the settings.
    ``unreadable`` holds the problems of files that could not be linted, ``incomplete`` the mapping files with more
    findings than ``results`` has. ``fail_on`` is the lowest severity that fails the run, None if no severity does.
    ``command`` is what was run, ``what`` the kind of file.
    """

    targets: Sequence[Target]
    results: Sequence[Result]
    unreadable: Sequence[Problem] = ()
    incomplete: Sequence[str] = ()
    fail_on: Severity | None = Severity.ERROR
    command: str = "seamstep lint"
    what: str = "mapping file"

    def fails(self, result: Result) -> bool:
        """Whether the result fails the run."""
        return result.counts and self.fail_on is not None and result.severity.rank >= self.fail_on.rank

    @property
    def failed(self) -> bool:
        """Whether any result fails the run."""
        return any(map(self.fails, self.results))

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of findings that count, by severity, of those suppressed, and of those in the baseline."""
        found = Counter(result.severity.value for result in self.results if result.counts)
        return {word: found[word] for word in _WORDS} | {
            "suppressed": sum(result.suppression is not None for result in self.results),
            "baseline": sum(result.known and result.suppression is None for result in self.results),
        }


def place(result: Result) -> str:
    """The place of a finding as ``file:line:column``, or the file alone if it has no line."""
    finding = result.finding
    return finding.source if finding.line is None else f"{finding.source}:{finding.line}:{finding.column}"


def findings_text(linted: Linted) -> str:
    """Each finding that counts with its source line, then a summary. A code is explained at its first finding only."""
    lines: list[str] = []
    told: set[str] = set()
    for result in linted.results:
        if result.counts:
            lines += _lines(result, explain=result.finding.code.name not in told)
            told.add(result.finding.code.name)
    lines += [f"{problem}" for problem in linted.unreadable]
    lines += [f"{source}: there are more findings; these are the first" for source in linted.incomplete]
    bare = [target.mapping for target in linted.targets if target.images is None]
    if bare:
        lines.append(f"no images were looked at with {', '.join(bare)}")
    return "\n".join(map(printable, [*lines, _summary(linted)]))


def _lines(result: Result, *, explain: bool) -> Iterator[str]:
    finding = result.finding
    concerned = f", {finding.release}" if finding.release else ""
    yield f"{place(result)}: {result.severity}: {finding.message} [{finding.code.name}{concerned}]"
    if finding.excerpt:
        number = f"{finding.line:>5} | "
        before = finding.excerpt.text[: finding.excerpt.caret]
        indent = sum(len(printable(" " if character == "\t" else character)) for character in before)
        yield number + finding.excerpt.text.replace("\t", " ")
        yield " " * (len(number) - 2) + "| " + " " * indent + "^"
    if explain:
        yield from _wrapped("why: ", finding.code.why)
        yield from _wrapped("fix: ", finding.code.fix)


def _wrapped(label: str, text: str) -> list[str]:
    return wrap(label + text, _WIDTH, initial_indent="        ", subsequent_indent=" " * (8 + len(label)))


def _summary(linted: Linted) -> str:
    counts = linted.counts
    parts = [f"{counts[word]} {word}{'' if counts[word] == 1 else 's'}" for word in _WORDS]
    parts += [f"{counts['suppressed']} suppressed"] if counts["suppressed"] else []
    parts += [f"{counts['baseline']} in the baseline"] if counts["baseline"] else []
    parts += [f"{len(linted.unreadable)} unreadable"] if linted.unreadable else []
    files = len(linted.targets)
    return f"{files} {linted.what}{'' if files == 1 else 's'}: {', '.join(parts)}"


def findings_document(linted: Linted) -> dict[str, Any]:
    """The report ``seamstep/lint/v1``, which a later run can use as its baseline."""
    return {
        "schema": SCHEMA,
        "fingerprints": FINGERPRINTS,
        "files": [{"mapping": target.mapping, "images": target.images} for target in linted.targets],
        "failed": linted.failed,
        "counts": dict(linted.counts),
        "findings": [_document(result) for result in linted.results],
        "unreadable": [problem.to_document() for problem in linted.unreadable],
        "incomplete": list(linted.incomplete),
    }


def _document(result: Result) -> dict[str, Any]:
    finding, suppression = result.finding, result.suppression
    accepted = suppression and {
        "reason": suppression.reason,
        "owner": suppression.owner,
        "until": suppression.until.isoformat(),
    }
    return {
        "code": finding.code.name,
        "severity": result.severity.value,
        "file": finding.source,
        "line": finding.line,
        "column": finding.column,
        "path": dotted(finding.path),
        "release": finding.release,
        "message": finding.message,
        "why": finding.code.why,
        "fix": finding.code.fix,
        "evidence": dict(finding.evidence),
        "fingerprint": finding.fingerprint,
        "suppressed": accepted,
        "baseline": result.known,
    }


def findings_junit(linted: Linted) -> str:
    """JUnit XML: a test suite for each file and a test case for each finding. The case fails if the finding fails the
    run, is skipped if it is suppressed or in the baseline, and else passes. A file without findings has one passing
    case."""
    from seamstep.show.formats import junit

    suites: dict[str, list[junit.Case]] = {target.mapping: [] for target in linted.targets}
    for result in linted.results:
        finding = result.finding
        where = f" at line {finding.line}" if finding.line else ""
        name = f"{finding.code.name}{f' {finding.release}' if finding.release else ''}{where}"
        message = f"{place(result)}: {result.severity}: {finding.message}"
        failures = [message, f"why: {finding.code.why}", f"fix: {finding.code.fix}"] if linted.fails(result) else []
        case = junit.Case(finding.source, name, failures, _skipped(result))
        suites.setdefault(finding.source, []).append(case)
    for problem in linted.unreadable:
        suites.setdefault(problem.source, []).append(junit.Case(problem.source, "can be read", [str(problem)]))
    cases = {name: found or [junit.Case(name, "no findings")] for name, found in suites.items()}
    return junit.xml(linted.command, cases)


def _skipped(result: Result) -> str:
    if result.suppression:
        one = result.suppression
        return f"suppressed until {one.until} by {one.owner}: {one.reason}"
    return "in the baseline" if result.known else ""


def findings_github(linted: Linted) -> str:
    """GitHub workflow commands that annotate a pull request, a line each, then the summary. Files are named from the
    root of the repository, as GitHub does."""
    lines = [_annotation(result) for result in linted.results if result.counts]
    lines += [_unreadable(problem) for problem in linted.unreadable]
    return "\n".join([*lines, printable(_summary(linted))])


def _annotation(result: Result) -> str:
    finding = result.finding
    where = {
        "file": repository.path_of(finding.source),
        "line": finding.line,
        "col": finding.column,
        "title": finding.code.name,
    }
    return _command(_GITHUB[result.severity], where, f"{finding.message}\n{finding.code.why}\n{finding.code.fix}")


def _unreadable(problem: Problem) -> str:
    file = repository.path_of(problem.source)
    where = {"file": file, "line": problem.line, "col": problem.column, "title": "unreadable"}
    return _command("error", where, problem.message)


def _command(kind: str, properties: Mapping[str, Any], message: str) -> str:
    """A GitHub workflow command. Its values are escaped, so that none can end it or begin another."""
    values = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in properties.items() if value is not None)
    return f"::{kind} {values}::{_escaped(message)}"


def _escaped(value: object, more: str = "") -> str:
    lines = "\n".join(printable(line) for line in str(value).split("\n"))
    escaped = lines.replace("%", "%25").replace("\n", "%0A")
    for character in more:
        escaped = escaped.replace(character, f"%{ord(character):02X}")
    return escaped
