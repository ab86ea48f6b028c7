"""The linter's findings as SARIF 2.1.0 (OASIS), which code-scanning services read."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from seamstep import __version__
from seamstep.analysis.lint.findings import FINGERPRINTS, Code, Finding
from seamstep.analysis.lint.settings import Result
from seamstep.base import repository
from seamstep.base.errors import Problem, dotted
from seamstep.show.findings import Linted

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"


def sarif_document(linted: Linted, *, baseline: bool) -> dict[str, Any]:
    """A SARIF log with one run. Suppressed findings are included and marked; with ``baseline`` each result has a
    ``baselineState``, new or unchanged."""
    codes = list(dict.fromkeys(result.finding.code for result in linted.results))
    driver = {
        "name": "seamstep",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_rule(code) for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [
            {
                "executionSuccessful": not linted.unreadable,
                "toolExecutionNotifications": [_notification(problem) for problem in linted.unreadable],
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": [_result(result, codes.index(result.finding.code), baseline) for result in linted.results],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: Code) -> dict[str, Any]:
    return {
        "id": code.name,
        "shortDescription": {"text": code.summary},
        "fullDescription": {"text": code.why},
        "help": {"text": f"{code.why}\n\n{code.fix}"},
        "defaultConfiguration": {"level": code.severity.value},
    }


def _result(result: Result, rule: int, baseline: bool) -> dict[str, Any]:
    finding = result.finding
    document: dict[str, Any] = {
        "ruleId": finding.code.name,
        "ruleIndex": rule,
        "level": result.severity.value,
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": _location(finding)}],
        "partialFingerprints": {FINGERPRINTS: finding.fingerprint},
        "properties": {"release": finding.release, "path": dotted(finding.path), "evidence": dict(finding.evidence)},
    }
    if result.suppression:
        one = result.suppression
        justification = f"{one.reason} ({one.owner}, until {one.until})"
        document["suppressions"] = [{"kind": "external", "status": "accepted", "justification": justification}]
    if baseline:
        document["baselineState"] = "unchanged" if result.known else "new"
    return document


def _location(finding: Finding) -> dict[str, Any]:
    """The file and line of a finding. Services need a line, so a finding without one, as on an image, gets line 1."""
    line = {"startLine": finding.line or 1} | ({"startColumn": finding.column} if finding.column else {})
    return {"artifactLocation": _artifact(finding.source), "region": line}


def _artifact(source: str) -> dict[str, str]:
    """The location of a file. One in the repository gets a URI relative to its root, since services accept no ".." and
    know no other folders."""
    path = repository.path_of(source)
    if path.startswith("/"):
        return {"uri": f"file://{quote(path, errors='replace')}"}
    return {"uri": quote(path, errors="replace"), "uriBaseId": _ROOT}


def _notification(problem: Problem) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": _artifact(problem.source)}
    if problem.line is not None:
        location["region"] = {"startLine": problem.line, "startColumn": problem.column}
    return {"level": "error", "message": {"text": problem.message}, "locations": [{"physicalLocation": location}]}
