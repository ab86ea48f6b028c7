"""The planner against brute force: enumerate all monotone paths, judge each hop by the rules, compare by definition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import GOOD_FEATURES, SPR, SRF, made_host, made_image, made_release

from conftest import DAY, THOROUGH
from seamstep.base.versions import ModuleVersion, SeamldrVersion, Specifier
from seamstep.domain.facts import HostFacts
from seamstep.domain.mapping import MappingFile
from seamstep.domain.model import INTEL_SIGNER, Outcome, Release, Step
from seamstep.planning.planner import make_plan
from seamstep.policy.policy import PathChoice, Policy, Source, Target
from seamstep.rules import AppliedRule, Denial, Level, Waiver
from seamstep.rules.feature_loss import FeatureLoss
from seamstep.rules.no_stranding import NoStranding
from seamstep.rules.seam_memory import SeamMemory
from seamstep.rules.td_build import TdBuild

LADDER = [ModuleVersion(f"1.5.{update:02}") for update in range(1, 11)]
OTHERS = [ModuleVersion(f"2.0.{update:02}") for update in range(1, 4)]
NEED_IMAGES = {"cpu-supported", "image-authentic", "handoff", "svn", "debug-module", "seam-memory"}

oddities: list[st.SearchStrategy[dict[str, Any]]] = [
    st.builds(lambda version: {"minimum_module": version}, st.sampled_from([*LADDER, OTHERS[0]])),
    st.just({"minimum_seamldrs": (SeamldrVersion("2.0.00"),)}),
    st.just({"features0": GOOD_FEATURES ^ 1 << 47}),
    st.just({"features0": GOOD_FEATURES ^ 1 << 18}),
    st.builds(lambda listed: {"strict_compat": tuple(listed)}, st.lists(st.sampled_from(LADDER), max_size=8)),
    st.just({"strict_compat": ()}),
    st.just({"strict_compat": None}),
    st.just({"image": None}),
    st.builds(
        lambda *args: {"image": made_image(*args)},
        st.sampled_from([(SPR,), (SRF,)]),
        st.sampled_from([0x104, 0x105, 0x106, 0x205]),
        st.sampled_from([1, 2]),
        st.sampled_from([0, 2]),
        st.sampled_from([None, None, None, "bad"]),
    ),
    st.builds(
        lambda fields: {"image": made_image(**fields)},
        st.sampled_from(
            [
                {"num_stack_pages": 2},
                {"num_tls_pages": 0},
                {"module_type": 1 << 31},
                {"cpuid": ()},
                {"svn": 0x05},
                {"signer": INTEL_SIGNER},
            ]
        ),
    ),
]


@st.composite
def releases(draw: st.DrawFn) -> tuple[Release, ...]:
    """A ladder on which each release lists those right below it as compatible, with up to six oddities strewn over
    it."""
    ladder = sorted(draw(st.sets(st.sampled_from(LADDER), min_size=4, max_size=10)))
    reach = draw(st.sampled_from([2, 3, 10]))
    listed = {version: made_release(version) for version in OTHERS}
    for rank, version in enumerate(ladder):
        listed[version] = made_release(version, strict_compat=tuple(ladder[max(rank - reach, 0) : rank]))
    for _ in range(draw(st.integers(0, 6))):
        version = draw(st.sampled_from(ladder))
        listed[version] = listed[version]._replace(**draw(st.one_of(oddities)))
    return tuple(listed.values())


@st.composite
def hosts(draw: st.DrawFn) -> HostFacts:
    host = made_host(
        draw(st.sampled_from(LADDER[:4])),
        remaining_updates=draw(st.sampled_from([1, 2, 3, 4, 5, 6, 9, 10**12, 10**12])),
        profile=draw(st.sampled_from(["mainline", "legacy"])),
        running_tds=draw(st.sampled_from([0, 0, 4, 4, None])),
    )
    unlucky: list[dict[str, Any]] = [
        {"profile": "interim"},
        {"simulated": False},
        {"cpu_limits": ("nr_cpus=8",)},
        {"cpu_limits": None},
        {"seamldr_version": None},
        {"remaining_updates": None},
        {"remaining_updates": 0},
        {"cpu_signatures": (SRF,)},
        {"cpus_present": "0-7"},
        {"module_version": LADDER[-1]},
        {"module_version": ModuleVersion("2.0.02")},
    ]
    return host._replace(**draw(st.sampled_from([{}] * 40 + unlucky)))


def made_policy(applied: Any, waivers: Any, *, held: bool, **values: Any) -> Policy:
    level, cost = applied[0]
    rules = (AppliedRule(TdBuild(held), level, cost), *applied[1:])
    return Policy(
        sources=(Source("p", "00" * 32, None),),
        rules=tuple(rule._replace(waivers=((*waivers,),) if waivers else ()) for rule in rules),
        creation_held=held,
        **values,
    )


policies = st.builds(
    made_policy,
    target=st.sampled_from(["newest"] * 7 + [">=1.5.3", "<=1.5.8", "~=1.5.9"]).map(Target.parse),
    choice=st.sampled_from([PathChoice.SHORTEST_PATH, *PathChoice]),
    max_hops=st.sampled_from([None, None, None, None, 1, 2, 3, 5]),
    keep_updates=st.sampled_from([0] * 8 + [1, 3]),
    denials=st.lists(
        st.builds(
            Denial,
            st.sampled_from(["1.5.5", "1.5.10", ">=1.5.7,<1.5.9"]).map(Specifier),
            st.just("no"),
            st.none(),
            st.none(),
            st.sampled_from([None, "1.5.4", "<1.5.7"]).map(lambda text: Specifier(text) if text else None),
        ),
        max_size=2,
    ).map(tuple),
    waypoints=st.lists(st.sampled_from(LADDER), max_size=1, unique=True).map(tuple),
    held=st.sampled_from([False, False, True]),
    applied=st.tuples(
        st.sampled_from(
            [(Level.REQUIRE, 0), (Level.REQUIRE, 0), (Level.PREFER, 3), (Level.PREFER, 40), (Level.WARN, 0)]
        ),
        st.sampled_from([AppliedRule(FeatureLoss()), AppliedRule(FeatureLoss(), Level.PREFER, 2)]),
        st.sampled_from([AppliedRule(SeamMemory()), AppliedRule(SeamMemory(), Level.PREFER, 5)]),
        st.sampled_from([AppliedRule(NoStranding()), AppliedRule(NoStranding(), Level.OFF)]),
    ),
    waivers=st.lists(st.just(Waiver("any", Specifier(">=1.5.6"), "we know", "us", "2099-01-01")), max_size=1),
)


class Oracle:
    """Everything from the definitions, nothing clever."""

    def __init__(self, listed: tuple[Release, ...], host: HostFacts, policy: Policy, *, without_images: bool) -> None:
        assert host.module_version
        self.host, self.policy, self.without_images = host, policy, without_images
        self.running = host.module_version
        self.known = {release.version: release for release in listed}
        self.listed = self.running in self.known
        self.known.setdefault(self.running, Release(self.running))
        self.ladder = sorted(version for version in self.known if version.series == self.running.series)
        self.rules = [rule for rule in policy.applied_rules() if rule.level is not Level.OFF]

    def answer(self) -> object:
        """The outcome, or the best path and its cost."""
        names = self.policy.target.names
        if not any(version > self.running and names(version) for version in self.ladder):
            return "up-to-date" if self.listed else "not-listed"
        budget = (self.host.remaining_updates or 0) - self.policy.keep_updates
        if self.policy.max_hops is not None:
            budget = min(budget, self.policy.max_hops)
        best: dict[ModuleVersion, list[tuple[int, int, tuple[ModuleVersion, ...]]]] = {}
        for path in self.paths():
            if len(path) - 1 <= budget and names(path[-1]):
                cost = self.cost(path)
                if cost is not None:
                    best.setdefault(path[-1], []).append((len(path) - 1, cost, path))
        if not best:
            return "no-path"
        candidates = best[max(best)]
        if self.policy.choice is PathChoice.FEWEST_HOPS:
            _, cost, path = min(candidates)
        else:
            cost, _, path = min((cost, hops, path) for hops, cost, path in candidates)
        return [str(version) for version in path], cost

    def hazards(self, hop: dict[str, Any]) -> tuple[bool, set[str]]:
        """Of a hop: whether it is safe while TDs are created, and which risks the policy takes with it."""
        source, target = (self.known[ModuleVersion(hop[end])] for end in ("from", "to"))
        safe = source.version in (target.strict_compat or ())
        risks = set() if safe or self.policy.creation_held or self.host.running_tds == 0 else {"td-build"}
        before, after = source.usable_image(), target.image
        if not before or not after or after.sigstruct.seam_regions.larger_than(before.sigstruct.seam_regions):
            risks.add("seam-memory")
        return safe, risks

    def paths(self) -> Iterator[tuple[ModuleVersion, ...]]:
        newer = [version for version in self.ladder if version > self.running]
        for count in range(1, len(newer) + 1):
            for chosen in combinations(newer, count):
                yield (self.running, *chosen)

    def cost(self, path: tuple[ModuleVersion, ...]) -> int | None:
        costs = [self.step(source, target, used) for used, (source, target) in enumerate(pairwise(path))]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def step(self, source: ModuleVersion, target: ModuleVersion, used: int, *, ahead: bool = False) -> int | None:
        """A step's cost, None if it is not permitted. ``ahead``: as others see it who look ahead, without counting
        updates."""
        left = None if self.host.remaining_updates is None else self.host.remaining_updates - used
        then = self.host._replace(module_version=source, remaining_updates=left)
        total = (self.ladder.index(target) - self.ladder.index(source)) ** 2
        for applied in self.rules:
            if ahead and applied.rule.name in {"no-stranding", "updates-remaining"}:
                continue
            verdict = applied.rule.check(Step(self.known[source], self.known[target], self), then)
            waived = applied.waivers and any(target in waiver.versions for waiver in applied.waivers[0])
            if verdict.outcome is Outcome.PASS or (verdict.outcome is Outcome.BLOCK and waived):
                continue
            if applied.level is Level.PREFER:
                total += applied.cost
            elif applied.level is Level.REQUIRE and not self.left_open(applied, verdict.outcome, source, target):
                return None
        return total

    def left_open(self, applied: AppliedRule, outcome: Outcome, source: ModuleVersion, target: ModuleVersion) -> bool:
        missing = self.known[target].image is None or self.known[source].image is None
        unknown = outcome is Outcome.UNKNOWN
        return self.without_images and applied.rule.name in NEED_IMAGES and unknown and missing

    def cut_off(self, source: ModuleVersion, target: ModuleVersion) -> tuple[ModuleVersion, ...]:
        lost = self.reach(source) - self.reach(target)
        return tuple(sorted(version for version in lost if version > target))

    def reach(self, start: ModuleVersion) -> set[ModuleVersion]:
        found: set[ModuleVersion] = set()
        for version in self.ladder:
            sources = [start, *found]
            if any(s < version and self.step(s, version, 0, ahead=True) is not None for s in sources):
                found.add(version)
        return found


SEEN: Counter[str] = Counter()
EXAMPLES = 600 if THOROUGH else 120


@pytest.mark.thorough
def test_planner_agrees_with_brute_force() -> None:
    SEEN.clear()
    _agree()
    # without paths of several hops it would have compared nothing
    assert SEEN["several hops"] >= EXAMPLES // 20, SEEN
    assert SEEN["one hop"] >= EXAMPLES // 100, SEEN
    assert SEEN["no-path"] >= EXAMPLES // 100, SEEN
    if THOROUGH:
        assert {"td-build", "seam-memory"} <= {seen.partition(" taken by ")[0] for seen in SEEN}, SEEN


@settings(max_examples=EXAMPLES)
@given(releases(), hosts(), policies, st.booleans())
def _agree(listed: Any, host: Any, policy: Any, without_images: bool) -> None:
    mapping = MappingFile("m.json", "00" * 32, listed)
    plan = make_plan(mapping, listed, host, policy, as_of=DAY, without_images=without_images)
    document = plan.document
    oracle = Oracle(listed, host, policy, without_images=without_images)
    expected = oracle.answer()
    if isinstance(expected, str):
        assert document["outcome"] == expected
        SEEN[expected] += 1
    else:
        found = [document["source"], *(hop["to"] for hop in document["hops"])]
        assert (found, document["objective"]["cost"]) == expected
        unknown = [verdict for hop in document["hops"] for verdict in hop["verdicts"] if verdict["rule"] in NEED_IMAGES]
        assert document["provisional"] == any(verdict["outcome"] == "unknown" for verdict in unknown)
        for hop in document["hops"]:
            risks = {risk["rule"] for risk in hop["risks"]}
            assert (hop["td_creation"]["safe"], risks) == oracle.hazards(hop)
            assert "require" not in {risk["taken_by"] for risk in hop["risks"]}
            SEEN.update(f"{risk['rule']} taken by {risk['taken_by']}" for risk in hop["risks"])
        SEEN["one hop" if len(found) == 2 else "several hops"] += 1


def test_lexicographic_order_decides_among_equals() -> None:
    """Two paths of equal length and cost: 1 → 2 → 6 → 10 and 1 → 5 → 6 → 10 differ in nothing else."""
    listed = tuple(made_release(version) for version in LADDER)
    blocked = {(1, 10), (1, 6), (2, 10), (5, 10)}

    class OnlySome(TdBuild):
        def check(self, step: Step, host: HostFacts) -> Any:
            pair = (step.source.version.update, step.target.version.update)
            ways = {(1, 2), (2, 6), (6, 10), (1, 5), (5, 9), (9, 10)}
            return self.passed("") if pair in ways - blocked else self.blocked("")

    policy = Policy((Source("p", "00" * 32, None),), rules=(AppliedRule(OnlySome()),), choice=PathChoice.FEWEST_HOPS)
    plan = make_plan(MappingFile("m.json", "00" * 32, listed), listed, made_host(), policy, as_of=DAY)
    assert [str(hop.target) for hop in plan.hops] == ["1.5.02", "1.5.06", "1.5.10"]
