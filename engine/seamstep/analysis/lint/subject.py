"""What the linter asks of rules and graph: what does a file imply for steps between its releases?

Rules are looked up by name in the tables that plans use. Steps are judged by the graph, under the hard rules alone, on
every kind of host that the file knows of; what only images can tell is left open there. A series is judged whole or
not at all: what that takes is compared with what is left of ``_QUESTIONS_MAX`` before it is begun.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from seamstep import rules
from seamstep.analysis.environments import Environment, Pair, environments, judged
from seamstep.analysis.lint.findings import Code
from seamstep.analysis.lint.source import Entry, Source
from seamstep.base.errors import InputError
from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.domain.facts import PROFILES, HostFacts
from seamstep.domain.mapping import RELEASES
from seamstep.domain.model import LADDER_MAX, Outcome, Release, Step, Verdict
from seamstep.planning.graph import VersionGraph
from seamstep.rules import AppliedRule, Rule

_ENVIRONMENTS_MAX = 64
#: How many steps of one file are judged, each at 25 to 40 µs: some 20 seconds.
_QUESTIONS_MAX = 600_000
#: How many times a single rule is asked while all of them judge a step.
_ASKED = 10
TOO_MANY = "too many steps, or too many P-SEAMLDR versions,"
_ANY_HOST = HostFacts()


class TooManyQuestionsError(Exception):
    """There are more steps than can be asked about in any reasonable time; ``evidence`` says where, JSON-able."""

    def __init__(self, message: str, **evidence: Any) -> None:
        super().__init__(message)
        self.evidence = evidence


class Subject:
    """The releases of one file: each version once, in ascending order, as the file describes them first."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.entries: dict[ModuleVersion, Entry] = {}
        for entry in source.entries:
            if entry.release:
                self.entries.setdefault(entry.release.version, entry)
        self._known = {version: entry.release for version, entry in sorted(self.entries.items()) if entry.release}
        self.releases = tuple(self._known.values())
        #: The releases of each series, ascending.
        self.ladders: dict[str, tuple[Release, ...]] = {
            series: tuple(ladder) for series, ladder in groupby(self.releases, key=lambda one: one.version.series)
        }
        self.strict_compat_faults: dict[ModuleVersion, dict[ModuleVersion, tuple[Code, str]]] = {}
        self._left = _QUESTIONS_MAX
        self._rules: dict[str, Rule] = {}
        self._permitted: dict[str, dict[Environment, frozenset[Pair]]] = {}

    def release(self, version: ModuleVersion) -> Release | None:
        """The release of a version, if the file lists it."""
        return self._known.get(version)

    def complete(self, release: Release) -> bool:
        """Whether everything that steps to or from the release depend on could be read."""
        known = release.minimum_module is not None and release.features0 is not None and release.minimum_seamldrs
        return bool(known) and not self.entries[release.version].faults

    def path(self, release: Release, *rest: str | int) -> tuple[str | int, ...]:
        """Where the release, or something in it, stands in the file."""
        return (RELEASES, self.entries[release.version].position, *rest)

    def verdict(self, rule: str, source: Release, target: Release, host: HostFacts | None = None) -> Verdict:
        """What the rule of that name says of a step. Without a host, the rule must not depend on one."""
        asked = self._rules.get(rule)
        if asked is None:
            asked = self._rules[rule] = (rules.HARD_RULES | rules.POLICY_RULES)[rule]()
        return asked.check(Step(source, target), host or _ANY_HOST)

    def refuses(self, rule: str, source: Release, target: Release, host: HostFacts | None = None) -> Verdict | None:
        """The rule's verdict, if it is that the step must not be taken."""
        verdict = self.verdict(rule, source, target, host)
        return verdict if verdict.outcome is Outcome.BLOCK else None

    @functools.cached_property
    def environments(self) -> tuple[Environment, ...]:
        """Every kind of host that the file knows of; none if it names no P-SEAMLDR. No hard rule tells the layouts of
        sysfs that take updates apart, so one of them stands for all."""
        try:
            return tuple(kind for kind in environments(self.releases) if kind.profile == PROFILES[0])
        except InputError:
            return ()

    def permitted(self, series: str) -> Mapping[Environment, frozenset[Pair]]:
        """The steps of a series that hosts of each kind may take, as far as the file alone tells.

        Raises:
            TooManyQuestionsError: there are too many kinds of hosts, or too many steps.
        """
        if series not in self._permitted:
            if len(self.environments) > _ENVIRONMENTS_MAX:
                raise TooManyQuestionsError(TOO_MANY)
            ladder = self.ladders[series]
            again = 2 * len(ladder)  # to say why a release can't be reached, or left
            self.spend(series, len(self.environments) * (judged(len(ladder)) + again))
            self._permitted[series] = {
                kind: frozenset(_graph(kind, ladder).permitted.edges) for kind in self.environments
            }
        return self._permitted[series]

    def possible(self, source: Release, target: Release) -> bool:
        """Whether any kind of host may take the step. Raises TooManyQuestionsError as :meth:`permitted` does."""
        step = source.version, target.version
        return any(step in steps for steps in self.permitted(source.version.series).values())

    def refusals(self, source: Release, target: Release, seamldr: SeamldrVersion | None = None) -> tuple[Verdict, ...]:
        """Why the step is refused, by the kind of host (of those with the P-SEAMLDR) that has the least against it."""
        kinds = (kind for kind in self.environments if seamldr in (None, kind.seamldr))
        graphs = (_graph(kind, (source, target)) for kind in kinds)
        return min((graph.judge(source.version, target.version, 0).blocking for graph in graphs), key=len, default=())

    def loads(self, seamldr: SeamldrVersion, release: Release) -> bool:
        """Whether a P-SEAMLDR can load the release, as far as the file tells."""
        host = HostFacts(module_version=release.version, seamldr_version=seamldr)
        return not self.refuses("seamldr-minimum", release, release, host)

    def spend(self, series: str, steps: int, asked: int = 0) -> None:
        """Count what is about to be judged of a series, in steps and in times that a single rule is asked.

        Raises:
            TooManyQuestionsError: it is more than is left, or the series has more releases than a graph may have.
        """
        size = len(self.ladders[series])
        if size > LADDER_MAX:
            raise TooManyQuestionsError(f"series {series} has {size:,} releases, too many", series=series)
        if steps + asked // _ASKED > self._left:
            raise TooManyQuestionsError(f"series {series} has too many steps", series=series)
        self._left -= steps + asked // _ASKED


def _graph(kind: Environment, releases: Sequence[Release]) -> VersionGraph:
    """What a kind of host sees of the releases under the hard rules alone."""
    hard = [AppliedRule(rule()) for rule in rules.HARD_RULES.values()]
    return VersionGraph(releases, kind.host(releases[0].version), hard, without_images=True)
