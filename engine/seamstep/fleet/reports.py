"""Reports on hosts, as engines hand them over, become observations of the core. Nothing is guessed: what does not say
that a host is well is not good news."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from seamstep.base.documents import Document, parse_object
from seamstep.base.errors import PROBLEMS_MAX, ExitCode, InputError, Problem
from seamstep.base.validation import check
from seamstep.fleet.messages import Outcome, Report

_KINDS = ("run", "status", "outcome")
_NOTE_MAX = 500
#: What an exit code of apply says. Any other says nothing for sure.
_EXIT_CODES: dict[int, Outcome] = {
    ExitCode.DONE: Outcome.APPLIED,
    ExitCode.NO: Outcome.REFUSED,
    ExitCode.INVALID: Outcome.REFUSED,
    ExitCode.NOT_UPDATABLE: Outcome.REFUSED,
    ExitCode.BUSY: Outcome.BUSY,
    ExitCode.STALE: Outcome.REFUSED,
    ExitCode.FAILED: Outcome.FAILED,
    ExitCode.LOST: Outcome.LOST,
    ExitCode.UNKNOWN: Outcome.UNKNOWN,
}


def read(lines: Iterable[str], source: str) -> list[Report]:
    """The reports in JSON Lines. Raises InputError, with the problems of all lines, if one is no report."""
    reports: list[Report] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or len(problems) > PROBLEMS_MAX:
            continue
        try:
            document = Document(source, parse_object(line, source, "report"), "", lambda _: None)
            reports.append(report(document))
        except InputError as error:
            problems += [problem._replace(line=number, column=problem.column or 1) for problem in error.problems]
    if problems:
        raise InputError(problems)
    return reports


def report(document: Document) -> Report:
    """The report in a document. Raises InputError if it is none."""
    problems = check(document, "report")
    data = document.data
    given = [kind for kind in _KINDS if kind in data]
    if len(given) != 1:
        problems.append(
            document.problem((), f"needs one of {', '.join(_KINDS)}; it has {' and '.join(given) or 'none'}")
        )
    said = data.get(given[0]) if given else None
    told = _text(said, "boot_id") if isinstance(said, dict) else None
    boot_id = data.get("boot_id") or told
    if told and boot_id != told:
        problems.append(document.problem(("boot_id",), f"{boot_id!r} is not the boot in {given[0]!r}, {told!r}"))
    if problems:
        raise InputError(problems)
    about = Report(data["host"], Outcome.UNKNOWN, data.get("lease") or "", boot_id, note=data.get("note", ""))
    if given == ["outcome"]:
        return about._replace(outcome=Outcome(data["outcome"]), note=about.note or str(data["outcome"]))
    return _of_status(about, data["status"]) if given == ["status"] else _of_run(about, data["run"])


def _of_run(about: Report, run: Mapping[str, Any]) -> Report:
    if run["schema"] == "seamstep/plan/v1":
        version = _text(run.get("host"), "module_version")
        return about._replace(
            outcome=Outcome.APPLIED if run.get("outcome") == "up-to-date" else Outcome.REFUSED,
            version=version,
            note=_note(about, run, "reason"),
        )
    code = run.get("exit_code")
    outcome = _EXIT_CODES.get(code, Outcome.UNKNOWN) if type(code) is int else Outcome.UNKNOWN
    note = _note(about, run, "message" if run["schema"] == "seamstep/run/v1" else "error")
    if run["schema"] == "seamstep/error/v1" and outcome is Outcome.APPLIED:
        outcome = Outcome.UNKNOWN
    if run.get("stopped") in {"interrupted", "dry-run"} and outcome in {Outcome.APPLIED, Outcome.UNKNOWN}:
        outcome = Outcome.BUSY  # nothing was changed; it may be tried again
    return about._replace(outcome=outcome, version=_text(run, "module_version"), note=note)


def _of_status(about: Report, status: Mapping[str, Any]) -> Report:
    """A host that was reached. Only a running module in a boot with no run under way is good news."""
    last = status.get("last_run")
    tdx, version = status.get("tdx"), _text(status, "module_version")
    if tdx == "lost":
        return about._replace(outcome=Outcome.LOST, note=about.note or "status: TDX is lost")
    if isinstance(last, dict) and last.get("outcome") == "running":
        return about._replace(outcome=Outcome.RUNNING, note=about.note or "status: a run is under way")
    if tdx != "running" or version is None:
        return about._replace(outcome=Outcome.UNREACHABLE, note=about.note or f"status: TDX is {tdx}")
    return about._replace(outcome=Outcome.SEEN, version=version, note=about.note)


def _note(about: Report, said: Mapping[str, Any], key: str) -> str:
    return (about.note or _text(said, key) or "")[:_NOTE_MAX]


def _text(data: Any, key: str) -> str | None:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, str) and value else None
