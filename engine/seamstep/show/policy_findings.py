"""Reviews of policies as findings, for the formats that CI systems read: SARIF, JUnit and GitHub's annotations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seamstep.analysis.lint.findings import Code, Finding, Severity
from seamstep.analysis.lint.run import Target
from seamstep.analysis.lint.settings import Result
from seamstep.base.errors import Problem
from seamstep.show.changes import hosts_text
from seamstep.show.findings import Linted
from seamstep.show.policies import PolicyDifference, path_sentence, step_sentence

_UNSEEN = "The change has to be meant by whoever approves the policy; see whether its text says so."
INVALID = Code(
    "policy-invalid",
    Severity.ERROR,
    "A policy can't be read, or is not valid.",
    "No plan can be made with it.",
    "Correct what the message names.",
)
EXPIRED = Code(
    "policy-entry-expired",
    Severity.WARNING,
    "A denial or waiver has expired.",
    "It is not in force any more: what it forbade is permitted, what it accepted is refused.",
    "Renew it with a later day, or remove it.",
)
DOUBTFUL = Code(
    "policy-doubtful",
    Severity.WARNING,
    "Something in a policy does not do what its author may expect.",
    "What has no effect may be misspelt, and what was meant is missing.",
    "Correct or remove it.",
)
OPENED = Code(
    "policy-step-opened",
    Severity.WARNING,
    "A step that the old policy refuses is permitted by the new one.",
    "Hosts may take updates that they could not take before.",
    _UNSEEN,
)
CLOSED = Code(
    "policy-step-closed",
    Severity.NOTE,
    "A step that the old policy permits is refused by the new one.",
    "Hosts may be led elsewhere, or stay where they are.",
    _UNSEEN,
)
PATH = Code(
    "policy-path-changed",
    Severity.NOTE,
    "Hosts are led elsewhere by the new policy.",
    "Other releases are installed, or the same ones in other steps.",
    _UNSEEN,
)
VALUE = Code(
    "policy-value-changed",
    Severity.NOTE,
    "The policies state a value differently.",
    "No step need change by it today: a date decides later, a command runs with the next update.",
    _UNSEEN,
)


def check_results(policies: Sequence[str], invalid: Sequence[Problem], found: Sequence[Problem]) -> Linted:
    """The result of ``policy check``: ``policies`` are the valid files, ``found`` the problems in them, and ``invalid``
    those of the other files."""
    results = [_result(INVALID, problem) for problem in invalid]
    results += [_result(EXPIRED if problem.path[-1:] == ("until",) else DOUBTFUL, problem) for problem in found]
    targets = [Target(policy) for policy in dict.fromkeys([*policies, *(problem.source for problem in invalid)])]
    return Linted(targets, results, fail_on=Severity.NOTE, command="seamstep policy check", what="policy file")


def difference_results(source: str, found: PolicyDifference, fail_on: str | None) -> Linted:
    """The result of ``policy diff``; ``source`` is the file of the new policy. What meets ``fail_on`` is an error."""
    results = [
        _result(code, place, Severity.ERROR if fail_on in {"any", code.name.rpartition("-")[2]} else code.severity)
        for code, place in _differences(source, found)
    ]
    targets = [Target(source)]
    return Linted(targets, results, fail_on=Severity.ERROR, command="seamstep policy diff", what="policy file")


def _differences(source: str, found: PolicyDifference) -> Iterator[tuple[Code, Problem]]:
    for step in found.steps:
        where = hosts_text(step.environments, found.kinds)
        yield OPENED if step.opened else CLOSED, Problem(source, f"{step_sentence(step)}, {where}")
    for path in found.paths:
        yield PATH, Problem(source, f"{path_sentence(path)}, {hosts_text(path.environments, found.kinds)}")
    for change in found.settings:
        yield VALUE, change.place._replace(message=str(change))


def _result(code: Code, place: Problem, severity: Severity | None = None) -> Result:
    evidence = {"message": place.message}  # which of the findings of its code it is
    finding = Finding(code, place.message, place.source, place.path, place.line, place.column, evidence=evidence)
    return Result(finding, severity or code.severity)
