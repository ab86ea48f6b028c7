"""What the linter asks of rules and graph: what does a file imply for steps between its releases?

Rules are looked up by name in the tables that plans use. Steps are judged by the graph, under the hard rules alone, on
every kind of host that the file knows of; what only images can tell is left open there.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from seamstep import rules
from seamstep.analysis.environments import Environment, environments
from seamstep.analysis.lint.findings import Code
from seamstep.analysis.lint.source import Entry, Source
from seamstep.base.errors import InputError
from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.domain.facts import HostFacts
from seamstep.domain.mapping import RELEASES
from seamstep.domain.model import Outcome, Release, Step, Verdict
from seamstep.planning.graph import VersionGraph
from seamstep.rules import AppliedRule, Rule

_ENVIRONMENTS_MAX = 64
_QUESTIONS_MAX = 1_000_000
_ANY_HOST = HostFacts()


class TooManyQuestionsError(Exception):
    """The file implies more steps than can be asked about in any reasonable time."""


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
        self.strict_compat_faults: dict[ModuleVersion, dict[ModuleVersion, tuple[Code, str]]] = {}
        self._left = _QUESTIONS_MAX
        self._rules: dict[str, Rule] = {}
        self._loads: dict[tuple[SeamldrVersion, ModuleVersion], bool] = {}

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

    @property
    def ladders(self) -> Iterator[tuple[str, Sequence[Release]]]:
        """The releases of each series, ascending."""
        for series, ladder in groupby(self.releases, key=lambda release: release.version.series):
            yield series, tuple(ladder)

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
        """Every kind of host that the file knows of; none if it names no P-SEAMLDR.

        Raises:
            TooManyQuestionsError: there are more than can be tried.
        """
        try:
            found = tuple(environments(self.releases))
        except InputError:
            return ()
        if len(found) > _ENVIRONMENTS_MAX:
            raise TooManyQuestionsError
        return found

    @functools.cached_property
    def graphs(self) -> Mapping[Environment, VersionGraph]:
        """The graph that each kind of host sees."""
        hard = [AppliedRule(rule()) for rule in rules.HARD_RULES.values()]
        return {
            environment: VersionGraph(
                self.releases, environment.host(self.releases[0].version), hard, without_images=True
            )
            for environment in self.environments
        }

    def permitted(self, environment: Environment, source: Release, target: Release) -> bool:
        """Whether hosts of that kind may take the step, as far as the file alone tells.

        Raises:
            TooManyQuestionsError: enough was asked.
        """
        self._spend()
        return self.graphs[environment].permits(source.version, target.version)

    def possible(self, source: Release, target: Release) -> bool:
        """Whether any kind of host may take the step. Raises TooManyQuestionsError as :meth:`permitted` does."""
        return any(self.permitted(environment, source, target) for environment in self.environments)

    def refusals(self, source: Release, target: Release, seamldr: SeamldrVersion | None = None) -> tuple[Verdict, ...]:
        """Why the step is refused, by the kind of host (of those with the P-SEAMLDR) that has the least against it."""
        judged = (
            graph.judge(source.version, target.version, 0).blocking
            for environment, graph in self.graphs.items()
            if seamldr in (None, environment.seamldr)
        )
        return min(judged, key=len, default=())

    def loads(self, seamldr: SeamldrVersion, release: Release) -> bool:
        """Whether a P-SEAMLDR can load the release, as far as the file tells. Raises TooManyQuestionsError as
        :meth:`permitted` does."""
        self._spend()
        key = seamldr, release.version
        if key not in self._loads:
            host = HostFacts(module_version=release.version, seamldr_version=seamldr)
            self._loads[key] = not self.refuses("seamldr-minimum", release, release, host)
        return self._loads[key]

    def _spend(self) -> None:
        if not self._left:
            raise TooManyQuestionsError
        self._left -= 1
