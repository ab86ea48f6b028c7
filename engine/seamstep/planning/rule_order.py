"""The rules as a graph asks them: grouped by what their answers depend on.

The search wants to ask as little as possible, a judgement wants all answers; both share what is the same for many
steps.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence

from seamstep.base.errors import described, log_failure
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Outcome, Step, Verdict
from seamstep.rules import AppliedRule, Level, Rule, Scope

_PASS = Outcome.PASS


class Asked:
    """A rule that counts, and its place among them."""

    __slots__ = ("always_blocks", "applied", "check", "compares_facts", "name", "place", "rule")

    def __init__(self, place: int, applied: AppliedRule) -> None:
        self.place = place
        self.applied = applied
        self.rule = applied.rule
        self.name, self.check = applied.rule.name, applied.rule.check
        self.always_blocks = applied.always_blocks
        self.compares_facts = _compares_facts(applied.rule)


#: The place of a rule that is not met, which no other has, what it says, and the rule.
Unmet = tuple[int, Verdict, Asked]
#: What some rules say, and those of them that are not met.
Answers = tuple[list[Verdict], list[Unmet]]


def ask(rules: Iterable[Asked], step: Step, host: HostFacts, answers: Answers) -> Answers:
    """Add to ``answers`` what the rules say. One that fails, or answers for another, has not answered: unknown, which
    blocks."""
    verdicts, unmet = answers
    for asked in rules:
        try:
            verdict = asked.check(step, host)
            if isinstance(verdict, Verdict) and verdict.rule == asked.name and type(verdict.outcome) is Outcome:
                outcome = verdict.outcome
            else:
                verdict, outcome = _no_answer(asked, "the rule did not answer with a verdict of its own")
        except (Exception, SystemExit) as error:  # a rule may come from anybody
            log_failure("the rule %s failed on %s", asked.name, step)
            verdict, outcome = _no_answer(asked, f"the rule failed: {described(error)} (SEAMSTEP_DEBUG=1 shows where)")
        verdicts.append(verdict)
        if outcome is not _PASS:
            unmet.append((asked.place, verdict, asked))
    return answers


def _no_answer(asked: Asked, reason: str) -> tuple[Verdict, Outcome]:
    return Verdict(asked.name, Outcome.UNKNOWN, reason), Outcome.UNKNOWN


def _compares_facts(rule: Rule) -> bool:
    """Whether the answer depends on less of both ends than which releases they are. Facts are of the check that they
    were written for: a rule that is derived from another and checks more has to say anew what it compares."""
    if rule.scope is not Scope.STEP or rule.looks_ahead:
        return False
    facts = _where_defined(type(rule), "facts")
    return facts is not Rule and issubclass(facts, _where_defined(type(rule), "check"))


def _where_defined(rule: type[Rule], name: str) -> type:
    return next(one for one in rule.__mro__ if name in vars(one))


class SearchOrder:
    """The rules that count in the search, by what they depend on. A rule with waivers depends on the target, whatever
    its scope."""

    def __init__(self, rules: Iterable[Asked]) -> None:
        self.host: list[Asked] = []
        self.source: list[Asked] = []
        self.target: list[Asked] = []
        self.facts: list[Asked] = []
        self.step: list[Asked] = []
        self.turn: list[Asked] = []
        self.ahead: list[Asked] = []
        by_scope = {Scope.HOST: self.host, Scope.SOURCE: self.source, Scope.TARGET: self.target, Scope.TURN: self.turn}
        for asked in rules:
            scope = asked.rule.scope
            if asked.applied.level is Level.WARN:
                continue
            if asked.rule.looks_ahead and scope is not Scope.TURN:
                self.ahead.append(asked)
            elif asked.applied.waivers and scope is not Scope.TURN:
                self.step.append(asked)
            elif asked.compares_facts:
                self.facts.append(asked)
            else:
                by_scope.get(scope, self.step).append(asked)


class JudgingOrder:
    """All rules, by what their answers depend on: ``host`` on the host alone, ``turn`` on the updates used too,
    ``source`` on the source too, ``column`` on the target, ``cell`` on some facts of both. ``fresh`` are asked about
    each step, ``ahead`` about each that is not refused already. ``arrange`` puts the answers of all but the last, one
    after the other, in the order of the rules."""

    def __init__(self, rules: Sequence[Asked]) -> None:
        self.host: list[Asked] = []
        self.turn: list[Asked] = []
        self.source: list[Asked] = []
        self.column: list[Asked] = []
        self.cell: list[Asked] = []
        self.fresh: list[Asked] = []
        self.ahead: list[Asked] = []
        by_scope = {
            Scope.HOST: self.host,
            Scope.TURN: self.turn,
            Scope.SOURCE: self.source,
            Scope.TARGET: self.column,
            Scope.STEP: self.fresh,
        }
        for asked in rules:
            group = self.cell if asked.compares_facts else by_scope.get(asked.rule.scope, self.fresh)
            (self.ahead if asked.rule.looks_ahead else group).append(asked)
        together = [*self.host, *self.turn, *self.source, *self.column, *self.cell, *self.fresh]
        places = [together.index(asked) for asked in rules if not asked.rule.looks_ahead]
        self.arrange: Callable[[list[Verdict]], tuple[Verdict, ...]]
        self.arrange = tuple if len(places) < 2 else operator.itemgetter(*places)  # of one place it gives no tuple
