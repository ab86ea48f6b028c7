"""The version graph: every candidate step between the releases, with what all rules say of it.

A candidate step leads from a release to a newer one of its series. It is an edge whether it is permitted or not;
what was rejected stays, with the reasons. Verdicts are computed when asked for, and once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import networkx

from seamstep.facts import HostFacts
from seamstep.model import Outcome, Release, Step, Verdict
from seamstep.rules import AppliedRule, Level
from seamstep.versions import ModuleVersion


@dataclass(frozen=True, slots=True)
class Judgement:
    """What all rules say of one step.

    ``blocking`` are the verdicts that forbid it, ``left_open`` the unknown ones that a provisional plan passes over,
    ``warnings`` those of rules that only warn; ``cost`` is the length of the step in squared ranks plus the cost of
    each preferred rule it does not meet.
    """

    step: Step
    verdicts: tuple[Verdict, ...]
    blocking: tuple[Verdict, ...]
    left_open: tuple[Verdict, ...]
    warnings: tuple[Verdict, ...]
    cost: int

    @property
    def permitted(self) -> bool:
        """Whether the step may be taken."""
        return not self.blocking


class VersionGraph:
    """The releases of a catalog and the candidate steps between them, as one host sees them.

    ``digraph`` is a networkx DiGraph over :class:`ModuleVersion`; each node has its ``release`` and each edge its
    ``step``. The running version is a node even if the mapping file lacks it. With ``without_images``, a rule that
    needs an image leaves a step open whose target has none.
    """

    def __init__(
        self,
        releases: Iterable[Release],
        host: HostFacts,
        rules: Sequence[AppliedRule],
        *,
        without_images: bool = False,
    ) -> None:
        """Build the graph. Raises ValueError if the running version is not known: there is nothing to start from."""
        if host.module_version is None:
            raise ValueError("the running module's version is not known")
        self.host = host
        self.running: ModuleVersion = host.module_version
        self._rules = tuple(applied for applied in rules if applied.level is not Level.OFF)
        self._without_images = without_images
        known = {release.version: release for release in releases}
        known.setdefault(self.running, Release(self.running))
        self.digraph: networkx.DiGraph[ModuleVersion] = networkx.DiGraph()
        self._ranks: dict[ModuleVersion, int] = {}
        by_series: dict[str, list[ModuleVersion]] = {}
        for version in sorted(known):
            ladder = by_series.setdefault(version.series, [])
            self.digraph.add_node(version, release=known[version])
            for source in ladder:
                self.digraph.add_edge(source, version, step=Step(known[source], known[version]))
            self._ranks[version] = len(ladder)
            ladder.append(version)
        self._once: dict[tuple[ModuleVersion, ModuleVersion], tuple[Verdict | None, ...]] = {}
        self._judged: dict[tuple[ModuleVersion, ModuleVersion, int], Judgement] = {}

    def release(self, version: ModuleVersion) -> Release:
        """The release at a node."""
        release: Release = self.digraph.nodes[version]["release"]
        return release

    def newer(self, version: ModuleVersion) -> Iterator[ModuleVersion]:
        """The targets of the candidate steps from ``version``, ascending."""
        return iter(self.digraph.successors(version))

    def judge(self, source: ModuleVersion, target: ModuleVersion, used: int) -> Judgement:
        """What the rules say of the step once ``used`` updates have led from the running module to ``source``."""
        key = source, target, used
        if key not in self._judged:
            self._judged[key] = self._judge(source, target, used)
        return self._judged[key]

    def _judge(self, source: ModuleVersion, target: ModuleVersion, used: int) -> Judgement:
        step = Step(self.release(source), self.release(target))
        host = self.host.after(source, used) if used else self.host
        once = self._once.get((source, target))
        if once is None:
            once = tuple(None if a.rule.per_hop else a.rule.check(step, host) for a in self._rules)
            self._once[source, target] = once
        verdicts = tuple(v or a.rule.check(step, host) for a, v in zip(self._rules, once, strict=True))
        blocking, left_open, warnings = [], [], []
        cost = (self._ranks[target] - self._ranks[source]) ** 2
        for applied, verdict in zip(self._rules, verdicts, strict=True):
            if verdict.outcome is Outcome.PASS:
                continue
            if applied.level is Level.WARN:
                warnings.append(verdict)
            elif applied.level is Level.PREFER:
                cost += applied.cost
            elif self._leaves_open(applied, verdict, step):
                left_open.append(verdict)
            else:
                blocking.append(verdict)
        return Judgement(step, verdicts, tuple(blocking), tuple(left_open), tuple(warnings), cost)

    def _leaves_open(self, applied: AppliedRule, verdict: Verdict, step: Step) -> bool:
        lacking = step.target.image is None or step.source.image is None
        unknown = verdict.outcome is Outcome.UNKNOWN
        return self._without_images and applied.rule.needs_image and unknown and lacking
