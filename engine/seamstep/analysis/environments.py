"""All hosts that a catalog can meet, one for each way they can differ in what rules see of them: interface profile,
P-SEAMLDR, and platform. The space is small, so questions about a policy are answered by trying all of it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from seamstep.base import cpus
from seamstep.base.errors import InputError, Problem
from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.domain.facts import PROFILES, HostFacts, UploadNode
from seamstep.domain.model import Release
from seamstep.planning.graph import VersionGraph

if TYPE_CHECKING:
    from seamstep.policy.policy import Policy

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
        """A host of this kind with nothing else in the way."""
        return HostFacts(
            hostname="any",
            profile=self.profile,
            module_version=running,
            seamldr_version=self.seamldr,
            remaining_updates=_PLENTY,
            cpu_signatures=None if self.platform is None else (self.platform,),
            cpus_online="0",
            cpus_present="0",
            upload=UploadNode("any", "idle"),
            cpu_bugs=(),
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


def permitted(releases: Sequence[Release], policy: Policy, environment: Environment) -> dict[Pair, int]:
    """For every candidate step its cost, if it is permitted; steps that are refused are absent. Without any image,
    rules that need one are left open."""
    seen = graph(releases, policy, environment, releases[0].version)
    found: dict[Pair, int] = {}
    for source in releases:
        for target in seen.newer(source.version):
            judgement = seen.judge(source.version, target, 0)
            if judgement.permitted:
                found[source.version, target] = judgement.cost
    return found


def refusing(releases: Sequence[Release], policy: Policy, environment: Environment, pair: Pair) -> tuple[str, ...]:
    """The rules that refuse a step."""
    return refused_by(graph(releases, policy, environment, pair[0]), pair)


def refused_by(seen: VersionGraph, pair: Pair) -> tuple[str, ...]:
    """The rules that refuse a step of a graph."""
    return tuple(verdict.rule for verdict in seen.judge(*pair, 0).blocking)


def routes(
    releases: Sequence[Release], policy: Policy, environment: Environment
) -> dict[ModuleVersion, tuple[ModuleVersion, ...]]:
    """Where the policy leads a host from each release: the versions after it, none where it stays."""
    from seamstep.planning.planner import find_way  # who asks about steps alone needs no planner

    seen = graph(releases, policy, environment, releases[0].version)
    found: dict[ModuleVersion, tuple[ModuleVersion, ...]] = {}
    for release in releases:
        best = find_way(seen, policy, release.version).best
        found[release.version] = best.versions[1:] if best else ()
    return found


def graph(
    releases: Sequence[Release],
    policy: Policy,
    environment: Environment,
    running: ModuleVersion,
    *,
    without_images: bool | None = None,
) -> VersionGraph:
    """What a host of this kind sees of the releases. Without any image, rules that need one are left open, unless
    ``without_images`` says otherwise."""
    if without_images is None:
        without_images = not any(release.image for release in releases)
    return VersionGraph(releases, environment.host(running), policy.applied_rules(), without_images=without_images)
