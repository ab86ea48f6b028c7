"""No plan that the planner permits loses TDX or corrupts a TD, in made-up worlds (worlds.py) whose host has a P-SEAMLDR
that makes the checks of the real one, apart from our rules.

Every permitted plan is performed twice: by hand, where nothing stands between the plan and P-SEAMLDR, and by the
executor, on a host where TDs go on being begun.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from types import MappingProxyType
from typing import Any

import hypothesis
import pytest
import worlds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import GOOD_FEATURES, made_host
from worlds import LADDERS, MADE, OTHER_SIGNER, PROCESSORS, Look, World, make_policy, make_world

from conftest import DAY, SIGNER, THOROUGH
from seamstep.domain.mapping import MappingFile
from seamstep.domain.model import Release
from seamstep.host.base import PAGE
from seamstep.host.read_facts import module_version
from seamstep.host.seamldr import Platform, seam_memory
from seamstep.host.simulated import SimulatedHost
from seamstep.image.sigstruct import unpack
from seamstep.plan.document import Hop, Plan
from seamstep.planning import planner
from seamstep.policy.policy import Policy, Target
from seamstep.rules import HARD_RULES, AppliedRule, Level, image_authentic
from seamstep.rules.seam_memory import SeamMemory
from seamstep.rules.td_build import TdBuild
from seamstep.run.executor import Executor, State
from seamstep.run.judging import Judge

#: Plans to make for each world.
POLICIES = 4
#: Worlds to draw one by one, so that a counterexample is made small; worlds to make from a seed, which is faster; and
#: the parts of these, which processes share.
DRAWN, SEEDED, PARTS = (2_000, 43_800, 6) if THOROUGH else (40, 300, 1)
#: Different plans that are performed for each world made from a seed, 50,000 in a thorough run; on average it is 1.25.
PERFORMED_AT_LEAST = 50_000 / 43_800 if THOROUGH else 0.9
#: What guards TDX, and what guards a TD in the making, where the policy does not take the risk.
SEAM_MEMORY, TD_BUILD = "seam-memory", "td-build"


@pytest.fixture(scope="module", autouse=True)
def _intel_signs_with_the_key_of_the_tests() -> Iterator[None]:
    """The hosts are real ones, whose P-SEAMLDR has Intel's key: that of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_authentic, "INTEL_SIGNER", SIGNER.fingerprint)
        yield


def plan_of(world: World, policy: Policy) -> Plan:
    mapping = MappingFile("mapping_file.json", "00" * 32, world.releases)
    return planner.make_plan(mapping, world.releases, world.facts, policy, as_of=DAY)


def risks_of(plan: Plan, number: int) -> dict[str, str]:
    """The rules whose hazard the policy takes at a hop, and by which word."""
    return {risk["rule"]: risk["taken_by"] for risk in plan.document["hops"][number]["risks"]}


def named(policy: Policy) -> str:
    """What tells a policy apart."""
    rules = [(one.rule.name, one.level) for one in policy.rules]
    accepted = [waiver.versions.text for one in policy.rules for group in one.waivers for waiver in group]
    denied = [denial.versions.text for denial in policy.denials]
    others = policy._replace(rules=(), target=Target(), denials=())
    return repr((rules, accepted, policy.target.text, denied, others))


def upload_of(hop: Hop) -> bytes:
    assert hop.image
    return MADE[hop.image.path].upload(hop.image.upload_format)


# -- by hand


def by_hand(world: World, plan: Plan) -> Iterator[tuple[SimulatedHost, int]]:
    """Perform a plan and heed nothing but what it says of TDs. Gives the host after each hop, and the hop's number."""
    host = world.host(held=plan.creation_held)
    for number, hop in enumerate(plan.hops if plan.host.upload else ()):
        if hop.needs_no_td and host.running_tds:
            return
        if world.creating and not hop.needs_no_td and not plan.creation_held:
            host.begin_td()
        commit(host, plan, upload_of(hop))
        yield host, number
        if host.lost or module_version(host) != hop.target:
            return


def commit(host: SimulatedHost, plan: Plan, image: bytes) -> None:
    assert plan.host.upload
    node = f"/sys/class/firmware/{plan.host.upload.name}"
    host.write(f"{node}/loading", b"1")
    for offset in range(0, len(image), PAGE):
        host.write(f"{node}/data", image[offset : offset + PAGE], offset)
    host.write(f"{node}/loading", b"0")


def harm(world: World, plan: Plan) -> Iterator[tuple[str, str]]:
    """What goes wrong while a plan is performed by hand: ``lost`` with the check that refused the module, or
    ``corrupted``; and the word by which the policy takes the risk, empty if the plan does not list it."""
    corrupted = 0
    for host, number in by_hand(world, plan):
        risks = risks_of(plan, number)
        if host.lost:
            assert host.refusal
            is_memory = host.refusal.check == "memory"
            yield f"lost: {host.refusal.check}", risks.get(SEAM_MEMORY, "") if is_memory else ""
        if len(host.corrupted) > corrupted:
            corrupted = len(host.corrupted)
            yield "corrupted", risks.get(TD_BUILD, "")


# -- by the executor


class WithNewTds(SimulatedHost):
    """A host on which a TD is begun whenever an image is staged: after the preflight, before the commit."""

    def write(self, path: str, data: bytes, offset: int = 0) -> int:
        if path.endswith("/loading") and data == b"1":
            self.begin_td()
        return super().write(path, data, offset)


def by_executor(world: World, policy: Policy, plan: Plan) -> str:
    """Let the executor perform a plan; what came of it, in a word."""
    creating = world.creating and not plan.creation_held
    host = world.host(held=plan.creation_held, kind=WithNewTds if creating else SimulatedHost)
    judge = Judge(policy.applied_rules(), {release.version: release for release in world.releases})
    upload = lambda planned, _: MADE[planned.path].upload(planned.upload_format)  # noqa: E731
    executor = Executor(host, image_bytes=upload, judge=judge)
    result = executor.run(plan._replace(running_image=None))
    tried = range(min(len(result.applied) + 1, len(plan.hops)))
    risks: set[str] = set().union(*(risks_of(plan, number) for number in tried))
    assert host.lost == (result.state is State.LOST)
    assert not host.lost or (SEAM_MEMORY in risks_of(plan, tried[-1]) and host.refusal == ("memory", "ENOMEM"))
    assert not host.corrupted or TD_BUILD in risks
    assert result.state in {State.APPLIED, State.FAILED, State.LOST, State.PREFLIGHT}
    if not host.lost:
        runs = plan.hops[len(result.applied) - 1].target if result.applied else plan.source
        assert result.version == module_version(host) == runs
    if not creating and world.busy is None and not risks:
        assert (result.state, result.stopped, result.applied) == (State.APPLIED, None, plan.hops)
    return "stopped" if result.stopped else result.state.value


# -- the question


@pytest.mark.thorough
@pytest.mark.parametrize(("part", "examples"), [(None, DRAWN), *((part, SEEDED // PARTS) for part in range(PARTS))])
def test_a_permitted_plan_neither_loses_tdx_nor_corrupts_a_td(
    part: int | None, examples: int, say: Callable[[str], None]
) -> None:
    seen: Counter[str] = Counter()
    different: set[int] = set()

    def ask(rng: Random) -> None:
        if part is not None:  # no part has the worlds of another
            rng = Random(f"{part} {rng.getrandbits(64)}")
        world = make_world(rng)
        for _ in range(POLICIES):
            policy = make_policy(rng)
            hypothesis.note(f"{world}\n{policy}")
            plan = plan_of(world, policy)
            seen[plan.outcome.value] += 1
            if plan.hops:
                perform(world, policy, plan, seen)
                different.add(hash((repr(world), named(policy))))

    many = settings(max_examples=examples, suppress_health_check=[HealthCheck.too_slow])
    many(given(st.randoms(use_true_random=part is not None))(ask))()
    say(
        f"{seen['update']} permitted plans performed ({len(different)} different, {seen['of several hops']} of several"
        f" hops): by the executor {seen['applied']} to the end, {seen['failed']} met a busy module, {seen['stopped']}"
        f" stopped for TDs; risks that policies took: {_told(seen, 'lost: memory')}; {_told(seen, 'corrupted')}"
    )
    assert len(different) >= examples * (PERFORMED_AT_LEAST if part is not None else 0.5), seen
    assert seen["applied"] * 2 > len(different), seen


def perform(world: World, policy: Policy, plan: Plan, seen: Counter[str]) -> None:
    """Perform a plan both ways; nothing may go wrong but what the plan lists as a risk."""
    assert not plan.provisional
    required = {one.rule.name for one in policy.rules if one.level is Level.REQUIRE and not one.waivers}
    assert not any(required & risks_of(plan, number).keys() for number in range(len(plan.hops)))
    for what, taken_by in harm(world, plan):
        assert taken_by, what
        seen[f"{what} ({taken_by})"] += 1
    seen[by_executor(world, policy, plan)] += 1
    seen["of several hops"] += len(plan.hops) > 1


def _told(seen: Counter[str], what: str) -> str:
    words = ", ".join(f"{count} {key.removeprefix(what).strip(' ()')}" for key, count in seen.items() if what in key)
    return f"{what} {words or 'never'}"


# -- the property can fail

#: The hard rules without which TDX is lost, with a check of P-SEAMLDR that finds out then, and where to look for it.
LOSE_TDX: list[tuple[str, str, dict[str, Any]]] = [
    ("cpus-online", "processors", {"cpus": worlds.CPU_ODDITIES}),
    ("updates-remaining", "remaining", {}),
    ("seamldr-minimum", "fields", {"odd_images": ({},)}),
    ("cpu-supported", "cpus", {}),
    ("handoff", "handoff", {}),
    ("svn", "svn-major", {"odd_images": ({"svn": 0x209}, {"svn": 0x004})}),
    ("svn", "svn-minor", {}),
    ("debug-module", "debug", {"odd_images": ({"fields": (("module_type", 1 << 31),)},)}),
    ("image-authentic", "signer", {"odd_images": ({"signer": OTHER_SIGNER},)}),
    ("image-authentic", "fields", {"odd_images": ({"fields": (("attributes", 1),)},)}),
    ("image-authentic", "offsets", {"odd_images": ({"module_pages": 2, "fields": (("gdt_idt_offset", 2 * PAGE),)},)}),
    ("image-authentic", "signature", {"odd_images": ({"damage": "signature"}, {"damage": "signed"})}),
    ("image-authentic", "hash", {"odd_images": ({"damage": "hash"},)}),
]
#: The others, and why TDX is not lost without them.
LOSE_NOTHING = {
    "upload-interface": "without a node nothing can be committed",
    "same-series": "the graph has no step to another series",
    "forward-only": "the graph has no step back",
    "minimum-module": "P-SEAMLDR does not know the mapping file",
    "kernel-features": "P-SEAMLDR does not know the features",
}


def find_harm(
    wanted: Callable[[str, str], bool],
    world_of: Callable[[Random], World],
    policy_of: Callable[[Random], Policy],
    seeds: int = 20_000,
) -> bool:
    """Whether some world and policy do the harm that is wanted."""
    for seed in range(seeds):
        rng = Random(seed)
        world = world_of(rng)
        plan = plan_of(world, policy_of(rng))
        if plan.hops and any(wanted(what, taken_by) for what, taken_by in harm(world, plan)):
            return True
    return False


def without(rule: str, patch: pytest.MonkeyPatch) -> None:
    """Take a hard rule out of all policies."""
    every = Policy.applied_rules

    def others(policy: Policy) -> tuple[AppliedRule, ...]:
        return tuple(applied for applied in every(policy) if applied.rule.name != rule)

    patch.setattr(Policy, "applied_rules", others)
    if rule == "updates-remaining":  # the planner has a second guard: how many hops there is budget for
        patch.setattr(planner, "budget_of", lambda host, policy: 9)


def test_it_is_known_of_every_hard_rule_whether_tdx_is_lost_without_it() -> None:
    assert {rule for rule, _, _ in LOSE_TDX} == HARD_RULES.keys() - LOSE_NOTHING.keys()
    assert LOSE_NOTHING.keys() <= HARD_RULES.keys()


@pytest.mark.parametrize(("rule", "check", "where"), LOSE_TDX, ids=[f"{rule}-{check}" for rule, check, _ in LOSE_TDX])
def test_without_a_hard_rule_tdx_is_lost(
    rule: str, check: str, where: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    without(rule, monkeypatch)
    there = {"numbers": (2,), **where} if "odd_images" in where else where
    assert find_harm(lambda what, _: what == f"lost: {check}", partial(make_world, **there), make_policy)


@pytest.mark.thorough
@pytest.mark.parametrize("rule", LOSE_NOTHING)
def test_without_any_other_hard_rule_nothing_is_lost(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without(rule, monkeypatch)
    assert not find_harm(lambda _, taken_by: not taken_by, make_world, make_policy, 1_000 if THOROUGH else 30)


@st.composite
def page_counts(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, int]]:
    """The raw page counts of two modules, of which the second has no larger region. Data and handoff data are one."""
    larger: dict[str, int] = {}
    smaller: dict[str, int] = {}
    for name, most in (("num_stack_pages", 255), ("num_tls_pages", 255), ("num_keyhole_pages", 65535)):
        larger[name] = draw(st.integers(0, most))
        smaller[name] = draw(st.integers(0, larger[name]))
    total = 100_000
    for each in (larger, smaller):
        total = draw(st.integers(0, total))
        each["num_handoff_pages"] = draw(st.integers(0, min(total, 50_000)))
        each["num_global_data_pages"] = total - each["num_handoff_pages"]
    return larger, smaller


@given(page_counts(), st.integers(1, 1 << 14), st.integers(1, 496), st.integers(1, 496))
def test_a_module_without_a_larger_region_needs_no_more_memory(
    counts: tuple[dict[str, int], dict[str, int]], processors: int, pages: int, other_pages: int
) -> None:
    """What seam-memory rests on holds with page tables and on any number of processors."""
    larger, smaller = counts
    assert seam_memory(smaller, processors, pages) <= seam_memory(larger, processors, other_pages)


@pytest.mark.parametrize("what", ["lost: memory", "corrupted"])
@pytest.mark.parametrize("level", [Level.PREFER, Level.WARN, Level.OFF, "accept"])
def test_a_policy_that_takes_a_risk_can_come_to_harm(what: str, level: str) -> None:
    rule = TD_BUILD if what == "corrupted" else SEAM_MEMORY
    accepts = {"accepted": (rule,), "guards": ((Level.REQUIRE, Level.REQUIRE),)}
    policy_of = partial(make_policy, **accepts if level == "accept" else {"guards": ((Level(level), Level(level)),)})
    world_of = partial(make_world, odd_images=({"tls": 9},), numbers=(1,), tds=((3, 2), (None, 2)))
    assert find_harm(lambda harm, taken_by: (harm, taken_by) == (what, level), world_of, policy_of)


# -- what was found


def world_with(*looks: Look, **facts: Any) -> World:
    """A world without obstacles, whose module needs all of the SEAM range."""
    versions = LADDERS["1.5"][: len(looks)]
    running = unpack(worlds.signed(versions[0], looks[0]))
    return World(
        releases=tuple(
            Release(version, versions[0], (worlds.OLD_SEAMLDR,), GOOD_FEATURES, (), worlds.image(version, look))
            for version, look in zip(versions, looks, strict=True)
        ),
        looks=looks,
        facts=made_host(versions[0], simulated=False, **facts),
        platform=Platform(PROCESSORS, (worlds.SPR,), seam_memory(running, PROCESSORS, 1), signer=SIGNER.fingerprint),
        running=looks[0],
        remaining_updates=9,
        unfinished=0,
        layouts=MappingProxyType({}),
    )


CAREFUL = Policy(worlds.SOURCE, rules=(AppliedRule(TdBuild()), AppliedRule(SeamMemory())))


def test_a_target_with_less_room_for_what_is_handed_over() -> None:
    """P-SEAMLDR compares what the source hands over with the source's own num_handoff_pages; TDH.SYS.UPDATE of the
    target compares it with the target's, and stops the module where it does not fit."""
    world = world_with(Look(0x105, handoff=14), Look(0x106, handoff=13))
    assert list(harm(world, plan_of(world, CAREFUL))) == []
