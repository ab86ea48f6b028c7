"""Blocks releases whose TCB status is worse than the policy asks for, or than that of the running module."""

from __future__ import annotations

from datetime import date

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Outcome, Step, Verdict
from seamstep.domain.tcb import Standing, TcbStatus
from seamstep.rules.base import Level, Rule

_WANTED = {status.value: status for status in (TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE)}


class TcbStatusRule(Rule):
    """Compares what TCB Info says of the target with ``status`` and with what it says of the source."""

    name = "tcb-status"
    summary = (
        "By Intel's TCB Info the target's status is at least the policy's `status`, and no worse than the source's."
    )
    source = "Intel PCS API, Get TDX TCB Info, tdxModuleIdentities"
    why = (
        "Verifiers call quotes of a module UpToDate, OutOfDate or Revoked by TCB Info. An update to a release that "
        "they refuse makes the TDs that are launched afterwards useless."
    )
    fix = (
        "Choose a target that TCB Info calls UpToDate (`seamstep measurements --tcb-info`), or ask for less with "
        "`status` and `as_of`. If the status is unknown, fetch the newest TCB Info (docs/tcb.md)."
    )
    default_level = Level.OFF
    needs_image = True
    parameters = {  # noqa: RUF012 - the base class declares it a ClassVar
        "status": {
            "title": "UpToDate or OutOfDate",
            "description": "The worst status that is allowed. OutOfDate allows all but Revoked and unknown.",
            "enum": [*_WANTED],
        },
        "as_of": {
            "title": "a day such as 2024-11-13",
            "description": "With UpToDate: a module counts too whose level has this tcbDate or a later one. "
            "Left out: it has to be UpToDate now.",
            "type": "string",
        },
    }

    def __init__(self, status: str, as_of: str | None = None) -> None:
        """``status``: the worst status that is allowed; ``as_of``: the earliest tcbDate of a level that counts
        though it is not UpToDate, as ISO 8601. Raises ValueError for another day."""
        self._status = _WANTED[status]
        self._as_of = date.fromisoformat(as_of) if as_of else None

    @property
    def wanted(self) -> str:
        """The parameters in words."""
        return f"{self._status} as of {self._as_of}" if self._as_of else self._status.value

    def strictness(self) -> tuple[int, ...]:
        if self._status is not TcbStatus.UP_TO_DATE:
            return (0, 0)
        return (1, (self._as_of or date.max).toordinal())

    def check(self, step: Step, host: HostFacts) -> Verdict:
        if step.target.tcb is None:
            return self.unknown("no TCB Info is at hand; give --tcb-info", missing="tcb_info")
        sources = step.source.tcb or (None,) * len(step.target.tcb)
        found = [self._judged(*pair, step) for pair in zip(step.target.tcb, sources, strict=True)]
        said = {outcome: [reason for each, reason in found if each is outcome] for outcome in Outcome}
        evidence = {"documents": [standing.to_document() for standing in step.target.tcb]}
        for outcome, answer in ((Outcome.BLOCK, self.blocked), (Outcome.UNKNOWN, self.unknown)):
            if said[outcome]:
                return answer("; ".join(dict.fromkeys(said[outcome])), **evidence)
        return self.passed("; ".join(dict.fromkeys(said[Outcome.PASS])), **evidence)

    def _judged(self, target: Standing, source: Standing | None, step: Step) -> tuple[Outcome, str]:
        """The answer by one document."""
        by = f"by TCB Info {target.evaluation} of {target.fmspc}"
        version = step.target.version
        if target.status is None:
            return Outcome.UNKNOWN, f"the TCB status of {version} is unknown: {target.reason} ({by})"
        told = f"{version} is {target.status}"
        if source and source.status and target.badness > source.badness:
            return Outcome.BLOCK, f"{told}, worse than {step.source.version}, which is {source.status} ({by})"
        if not self._meets(target):
            open_ = f": {', '.join(target.advisories)}" if target.advisories else ""
            return Outcome.BLOCK, f"{told}{open_}; {self.wanted} is asked for ({by})"
        if target.status is not TcbStatus.UP_TO_DATE and not (source and source.status):
            return Outcome.UNKNOWN, f"{told}; whether that is worse than {step.source.version} can't be told ({by})"
        return Outcome.PASS, f"{told} ({by})"

    def _meets(self, standing: Standing) -> bool:
        if standing.status is TcbStatus.REVOKED:
            return False
        if standing.status is TcbStatus.UP_TO_DATE or self._status is TcbStatus.OUT_OF_DATE:
            return True
        return bool(self._as_of and standing.day and standing.day >= self._as_of)
