"""All hosts that a catalog can meet, one for each way they can differ in what rules see of them: interface profile,
P-SEAMLDR, and platform. The space is small, so questions about a policy are answered by trying all of it. Pure.

One graph answers for all hosts of a kind, whichever listed release they run. What would take more than ``STEPS_MAX``
judged steps is refused before it is begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from seamstep.base import cpus
from seamstep.base.errors import InputError, Problem
from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.domain.facts import PROFILES, HostFacts, UploadNode
from seamstep.domain.model import Release
from seamstep.planning.graph import VersionGraph
from seamstep.policy.policy import PathChoice, Policy

#: The most steps that one command judges, each at 50 to 80 µs: half a minute.
STEPS_MAX = 400_000
#: How many steps a search for the best path passes while one is judged; measured where every step is permitted.
_PASSED = {PathChoice.FEWEST_HOPS: 300, PathChoice.SHORTEST_PATH: 40}
#: How many layers of the search within a limit of hops take as long as the search without one.
_LAYERS = 20

_PLENTY = 1 << 16

Pair = tuple[ModuleVersion, ModuleVersion]


class Environment(NamedTuple):
    """A kind of host. ``platform`` is a CPU signature without stepping, None where no image tells of any."""

    profile: str
    seamldr: SeamldrVersion
    platform: int | None

    def __str__(self) -> str:
        platform = "" if self.platform is None else f", {cpus.platform(self.platform) or f'CPU 0x{self.platform:X}'}"
        return f"{self.profile}, P-SEAMLDR {self.seamldr}{platform}"

    def host(self, running: ModuleVersion) -> HostFacts:
        """A host of this kind on which TDs run, so that any may be in the making, and nothing else is in the way. It is
        made up, so it takes every signer that was trusted when the images were verified."""
        return HostFacts(
            hostname="any",
            profile=self.profile,
            module_version=running,
            seamldr_version=self.seamldr,
            remaining_updates=_PLENTY,
            cpu_signatures=None if self.platform is None else (self.platform,),
            cpus_online="0",
            cpus_present="0",
            cpu_limits=(),
            running_tds=1,
            upload=UploadNode("any", "idle"),
            cpu_bugs=(),
            simulated=True,
        )


def environments(releases: Sequence[Release]) -> Iterator[Environment]:
    """Every kind of host. P-SEAMLDRs are the minimums that releases name: between two of them nothing changes.

    Raises:
        InputError: no release names any.
    """
    seamldrs = sorted({minimum for release in releases for minimum in release.minimum_seamldrs})
    if not seamldrs:
        raise InputError(Problem("the mapping file", "names no P-SEAMLDR, so there is no host to try anything on"))
    tables = (release.image.sigstruct.cpuid for release in releases if release.image)
    known = sorted({cpus.without_stepping(signature) for table in tables for signature in table})
    platforms: Sequence[int | None] = known or [None]
    for profile in PROFILES:
        for seamldr in seamldrs:
            for platform in platforms:
                yield Environment(profile, seamldr, platform)


def check_size(steps: int, source: str, on: str, fix: str) -> None:
    """Refuse what would take minutes: so many steps to judge, and searches for paths, which count as the steps that
    could be judged meanwhile. ``on`` and ``fix`` say on how much, and what would be less. Raises InputError."""
    if steps > STEPS_MAX:
        message = f"on {on} this is as much work as judging {steps:,} steps; at most {STEPS_MAX:,} are judged: {fix}"
        raise InputError(Problem(source, message))


def judged(size: int) -> int:
    """The candidate steps of a series of so many releases, and one for each release, which takes its time too."""
    return size * (size + 1) // 2


def searched(size: int, choice: PathChoice, max_hops: int | None) -> int:
    """How many steps could be judged while the best path from each release of such a series is searched for."""
    layers = min(max_hops or 0, size) if choice is PathChoice.SHORTEST_PATH else 0
    return size * (2 + judged(size) * (_LAYERS + layers) // (_LAYERS * _PASSED[choice]))


def permitted(seen: VersionGraph) -> dict[Pair, int]:
    """Every permitted step with its cost."""
    return {(source, target): edge["cost"] for source, target, edge in seen.permitted.edges(data=True)}


def refused_by(seen: VersionGraph, pair: Pair) -> tuple[str, ...]:
    """The rules that refuse a step of a graph."""
    return tuple(verdict.rule for verdict in seen.judge(*pair, 0).blocking)


def has_images(releases: Iterable[Release]) -> bool:
    """Whether any release has an image. If none has, rules that need one are left open."""
    return any(release.image for release in releases)


def graph(
    releases: Sequence[Release],
    policy: Policy,
    environment: Environment,
    running: ModuleVersion | None = None,
    *,
    without_images: bool,
) -> VersionGraph:
    """What a host of this kind sees of the releases; it runs the first of them, unless ``running`` is given."""
    return VersionGraph(
        releases,
        environment.host(running or releases[0].version),
        policy.applied_rules(),
        without_images=without_images,
    )
