"""The planner against brute force: enumerate all monotone paths, judge each hop by the rules, compare by definition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from seamstep.facts import HostFacts, UploadNode
from seamstep.mapping import MappingFile
from seamstep.model import Check, Image, Release, Sigstruct, Step, Verification
from seamstep.planner import applied_rules, make_plan
from seamstep.policy import PathChoice, Policy, Target
from seamstep.rules import AppliedRule, Level
from seamstep.rules.strict_compat import StrictCompat
from seamstep.rules.svn_rollback import SvnRollback
from seamstep.versions import ModuleVersion, SeamldrVersion

VERSIONS = [ModuleVersion(f"{series}.{update:02}") for series in ("1.5", "2.0") for update in range(1, 8)]
SEAMLDRS = [SeamldrVersion(text) for text in ("1.5.00", "1.5.02", "2.0.00", "2.0.01")]
GOOD = 1 << 47 | 1 << 18 | 1 << 1
NEED_IMAGES = {"cpu-supported", "image-authentic", "handoff", "svn-major", "svn-rollback"}
SPR, SRF = 0x806F8, 0xA06F0


class Content:
    """Image content that is what the test says."""

    def __init__(self, problem: str | None) -> None:
        self.problem = problem

    def verification(self) -> Verification:
        return Verification((Check("signature", self.problem is None, self.problem or ""),), "00" * 32)

    def sha256_as(self, format_: str) -> str:
        return "11" * 32


def _image(cpuid: tuple[int, ...], svn: int, module_hv: int, min_hv: int, problem: str | None = None) -> Image:
    says = Sigstruct(0, 0x8086, "20260101", "00" * 48, svn, 0, module_hv, min_hv, True, 13, cpuid, "22" * 32)
    return Image("x.blob", None, "2.0", 12288, 4096, says, Content(problem))


images = st.none() | st.builds(
    _image,
    st.sampled_from([(SPR,), (SPR, SRF)]),
    st.sampled_from([0x105, 0x105, 0x106, 0x205]),
    st.sampled_from([1, 1, 1, 2]),
    st.sampled_from([0, 0, 0, 2]),
    st.sampled_from([None] * 6 + ["bad"]),
)


@st.composite
def releases(draw: st.DrawFn) -> tuple[Release, ...]:
    image = images if draw(st.booleans()) else st.none()
    chosen = sorted(draw(st.sets(st.sampled_from(VERSIONS), min_size=1, max_size=9)))
    return tuple(
        Release(
            version=version,
            minimum_module=draw(st.sampled_from(VERSIONS[:3] * 3 + VERSIONS)),
            minimum_seamldrs=tuple(draw(st.lists(st.sampled_from(SEAMLDRS), min_size=1, max_size=3))),
            features0=draw(st.sampled_from([GOOD] * 5 + [GOOD ^ 1 << 47, GOOD ^ 1 << 18])),
            strict_compat=draw(st.none() | st.lists(st.sampled_from(VERSIONS), max_size=5).map(tuple)),
            image=draw(image),
        )
        for version in chosen
    )


hosts = st.builds(
    HostFacts,
    profile=st.sampled_from(["mainline", "legacy", None]),
    module_version=st.sampled_from(VERSIONS),
    seamldr_version=st.sampled_from([*SEAMLDRS * 4, None]),
    remaining_updates=st.sampled_from([0, 1, 2, 3, 4, 9, 9, 9, None]),
    cpu_signatures=st.sampled_from([(SPR,), (SPR,), (SRF,)]),
    cpus_online=st.just("0-3"),
    cpus_present=st.sampled_from(["0-3", "0-3", "0-3", "0-3", "0-7"]),
    upload=st.just(UploadNode("tdx_module", "idle")),
    cpu_bugs=st.just(()),
)

policies = st.builds(
    Policy,
    name=st.just("p"),
    sha256=st.just("00" * 32),
    file=st.none(),
    target=st.sampled_from(["newest", "newest", ">=1.5.3", "<=2.0.5", "1.5.*"]).map(Target.parse),
    choice=st.sampled_from(PathChoice),
    max_hops=st.none() | st.integers(1, 4),
    keep_updates=st.sampled_from([0, 0, 0, 1, 3]),
    rules=st.sampled_from(
        [()]
        + [(AppliedRule(StrictCompat(), level, cost),) for level, cost in [(Level.REQUIRE, 0), (Level.PREFER, 3)]]
        + [(AppliedRule(SvnRollback()), AppliedRule(StrictCompat(), Level.PREFER, 2))]
    ),
)


def monotone_paths(running: ModuleVersion, ladder: list[ModuleVersion]) -> Iterator[tuple[ModuleVersion, ...]]:
    newer = [version for version in ladder if version > running]
    for count in range(1, len(newer) + 1):
        for chosen in combinations(newer, count):
            yield (running, *chosen)


def oracle(listed: tuple[Release, ...], host: HostFacts, policy: Policy, *, without_images: bool) -> object:
    """The outcome, the best path and its cost, straight from the definitions."""
    running = host.module_version
    assert running
    known = {release.version: release for release in listed}
    known.setdefault(running, Release(running))
    ladder = sorted(version for version in known if version.series == running.series)
    if not any(version > running and policy.target.names(version) for version in ladder):
        return "up-to-date"
    budget = (host.remaining_updates or 0) - policy.keep_updates
    if policy.max_hops is not None:
        budget = min(budget, policy.max_hops)
    best: dict[ModuleVersion, list[tuple[int, int, tuple[ModuleVersion, ...]]]] = {}
    for path in monotone_paths(running, ladder):
        cost = cost_of(path, known, ladder, host, policy, without_images=without_images)
        if cost is not None and len(path) - 1 <= budget and policy.target.names(path[-1]):
            best.setdefault(path[-1], []).append((len(path) - 1, cost, path))
    if not best:
        return "no-path"
    candidates = best[max(best)]
    if policy.choice is PathChoice.FEWEST_HOPS:
        _, cost, path = min(candidates)
    else:
        cost, _, path = min((cost, hops, path) for hops, cost, path in candidates)
    return [str(version) for version in path], cost


def cost_of(path: Any, known: Any, ladder: Any, host: Any, policy: Any, *, without_images: bool) -> int | None:
    total = 0
    for used, (source, target) in enumerate(pairwise(path)):
        left = None if host.remaining_updates is None else host.remaining_updates - used
        then = replace(host, module_version=source, remaining_updates=left)
        for applied in applied_rules(policy):
            verdict = applied.rule.check(Step(known[source], known[target]), then)
            if verdict.outcome == "pass":
                continue
            if applied.level is Level.PREFER:
                total += applied.cost
            elif not (
                without_images
                and applied.rule.name in NEED_IMAGES
                and verdict.outcome == "unknown"
                and (known[target].image is None or known[source].image is None)
            ):
                return None
        total += (ladder.index(target) - ladder.index(source)) ** 2
    return total


@settings(max_examples=400, deadline=None)
@given(releases(), hosts, policies, st.booleans())
def test_planner_agrees_with_brute_force(listed: Any, host: Any, policy: Any, without_images: bool) -> None:
    plan = make_plan(MappingFile("m.json", "00" * 32, listed), listed, host, policy, without_images=without_images)
    document = plan.document
    expected = oracle(listed, host, policy, without_images=without_images)
    if isinstance(expected, str):
        assert document["outcome"] == expected
    else:
        found = [document["source"], *(hop["to"] for hop in document["hops"])]
        assert (found, document["objective"]["cost"]) == expected
        unknown = [verdict for hop in document["hops"] for verdict in hop["verdicts"] if verdict["rule"] in NEED_IMAGES]
        assert document["provisional"] == any(verdict["outcome"] == "unknown" for verdict in unknown)
