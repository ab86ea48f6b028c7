"""Asking a rule, in one place, so that a failure of its code becomes a verdict."""

from __future__ import annotations

from seamstep.base.errors import described, log_failure
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Outcome, Step, Verdict
from seamstep.rules.base import Rule


def ask(rule: Rule, step: Step, host: HostFacts) -> Verdict:
    """The rule's verdict on a step; ``unknown`` if the rule raises, or returns anything but a Verdict with the rule's
    name. ``host`` is as in :meth:`Rule.check`."""
    try:
        verdict: object = rule.check(step, host)
    except (Exception, SystemExit) as error:  # a plug-in may raise anything
        log_failure("the rule %s failed on %s", rule.name, step)
        reason = f"the rule failed: {described(error)} (SEAMSTEP_DEBUG=1 shows where)"
        return Verdict(rule.name, Outcome.UNKNOWN, reason)
    if isinstance(verdict, Verdict) and verdict.rule == rule.name and type(verdict.outcome) is Outcome:
        return verdict
    return Verdict(rule.name, Outcome.UNKNOWN, "the rule did not answer with a verdict of its own")
