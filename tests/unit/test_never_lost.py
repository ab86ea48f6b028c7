"""Does a plan that the planner permits ever lose TDX, or corrupt a TD? Asked of made-up worlds (worlds.py) whose host has
a P-SEAMLDR that makes every check of the real one, apart from our rules.

Every permitted plan is performed twice: by hand, where nothing stands between the plan and P-SEAMLDR, and by the
executor, on a host where TDs go on being begun.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any

import hypothesis
import pytest
import worlds
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from made import GOOD_FEATURES, made_host
from worlds import LADDERS, MADE, OTHER_SIGNER, PROCESSORS, SIGNER, Look, World

from conftest import DAY, THOROUGH
from seamstep.domain.mapping import MappingFile
from seamstep.domain.model import Release
from seamstep.host.base import PAGE
from seamstep.host.read_facts import module_version
from seamstep.host.seamldr import Platform, seam_memory
from seamstep.host.simulated import SimulatedHost
from seamstep.image.sigstruct import unpack
from seamstep.plan.document import Hop, Plan
from seamstep.planning import planner
from seamstep.policy.policy import Policy
from seamstep.rules import HARD_RULES, AppliedRule, Level, image_authentic
from seamstep.rules.td_build import TdBuild
from seamstep.run.executor import Executor, State

#: Plans to make for each world.
POLICIES = 4
EXAMPLES = 40_000 if THOROUGH else 300
PERFORMED_AT_LEAST = 50_000 if THOROUGH else 200
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


def upload_of(hop: Hop) -> bytes:
    assert hop.image
    return MADE[hop.image.path].upload(hop.image.upload_format)


# -- by hand


def by_hand(world: World, plan: Plan) -> Iterator[tuple[SimulatedHost, int]]:
    """Perform a plan and heed nothing but what it says of TDs. Gives the host after each hop, and the hop's number."""
    host = world.host(held=plan.creation_held)
    for number, hop in enumerate(plan.hops):
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


def risks_taken(policy: Policy, plan: Plan) -> bool:
    """Whether no hop takes a risk of which the policy says nothing."""
    required = {one.rule.name for one in policy.rules if one.always_blocks}
    return not any(required & risks_of(plan, number).keys() for number in range(len(plan.hops)))


# -- by the executor


class WithNewTds(SimulatedHost):
    """A host on which a TD is begun whenever an image is staged: after the preflight, before the commit."""

    def write(self, path: str, data: bytes, offset: int = 0) -> int:
        if path.endswith("/loading") and data == b"1":
            self.begin_td()
        return super().write(path, data, offset)


def by_executor(world: World, plan: Plan) -> str:
    """Let the executor perform a plan; what came of it, in a word."""
    creating = world.creating and not plan.creation_held
    host = world.host(held=plan.creation_held, kind=WithNewTds if creating else SimulatedHost)
    executor = Executor(host, image_bytes=lambda planned, _: MADE[planned.path].upload(planned.upload_format))
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


def test_a_permitted_plan_neither_loses_tdx_nor_corrupts_a_td(say: Callable[[str], None]) -> None:
    seen: Counter[str] = Counter()
    plans: set[str] = set()

    @settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
    @given(worlds.worlds(), st.tuples(*[worlds.policies()] * POLICIES))
    def ask(world: World, policies: tuple[Policy, ...]) -> None:
        for policy in policies:
            plan = plan_of(world, policy)
            seen[plan.outcome.value] += 1
            if not plan.hops:
                continue
            assert not plan.provisional
            assert risks_taken(policy, plan)
            for what, taken_by in harm(world, plan):
                assert taken_by, what
                seen[f"{what} ({taken_by})"] += 1
            seen[by_executor(world, plan)] += 1
            seen["of several hops"] += len(plan.hops) > 1
            plans.add(plan.id)

    ask()
    performed = seen["update"]
    say(
        f"{performed} permitted plans performed ({len(plans)} different, {seen['of several hops']} of several hops):"
        f" by the executor {seen['applied']} to the end, {seen['failed']} met a busy module, {seen['stopped']} stopped"
        f" for TDs; risks that policies took: {_told(seen, 'lost: memory')}; {_told(seen, 'corrupted')}"
    )
    assert performed >= PERFORMED_AT_LEAST, seen
    assert seen["applied"] * 3 > performed, seen


def _told(seen: Counter[str], what: str) -> str:
    words = ", ".join(f"{count} {key.removeprefix(what).strip(' ()')}" for key, count in seen.items() if what in key)
    return f"{what} {words or 'never'}"


# -- the property can fail

#: The hard rules without which TDX is lost, with the checks of P-SEAMLDR that find out then.
LOSE_TDX = {
    "cpus-online": ["processors"],
    "updates-remaining": ["remaining"],
    "seamldr-minimum": ["fields"],
    "cpu-supported": ["cpus"],
    "handoff": ["handoff"],
    "svn": ["svn-major", "svn-minor"],
    "debug-module": ["debug"],
    "image-authentic": ["signer", "fields", "offsets", "signature", "hash"],
}
#: The others, and why TDX is not lost without them.
LOSE_NOTHING = {
    "upload-interface": "without an idle node nothing can be committed",
    "same-series": "the graph has no step to another series",
    "forward-only": "the graph has no step back",
    "minimum-module": "P-SEAMLDR knows nothing of the mapping file; what Intel means by it is in handoff versions",
    "kernel-features": "the kernel reads the features when it first initialises a module",
}


def find_harm(wanted: Callable[[str, str], bool]) -> bool:
    """Whether some world and policy do the harm that is wanted."""

    def done(made: tuple[World, Policy]) -> bool:
        world, policy = made
        plan = plan_of(world, policy)
        return bool(plan.hops) and any(wanted(what, taken_by) for what, taken_by in harm(world, plan))

    looking = settings(
        max_examples=5000, phases=[Phase.generate], database=None, derandomize=True, suppress_health_check=[*HealthCheck]
    )
    return bool(hypothesis.find(st.tuples(worlds.worlds(), worlds.policies()), done, settings=looking))


def without(rule: str, patch: pytest.MonkeyPatch) -> None:
    """Take a hard rule out of all policies."""
    every = Policy.applied_rules

    def others(policy: Policy) -> tuple[AppliedRule, ...]:
        return tuple(applied for applied in every(policy) if applied.rule.name != rule)

    patch.setattr(Policy, "applied_rules", others)
    if rule == "updates-remaining":  # the planner has a second guard: how many hops there is budget for
        patch.setattr(planner, "budget_of", lambda host, policy: 9)


def test_it_is_known_of_every_hard_rule_whether_tdx_is_lost_without_it() -> None:
    assert LOSE_TDX.keys() | LOSE_NOTHING.keys() == HARD_RULES.keys()
    assert not LOSE_TDX.keys() & LOSE_NOTHING.keys()


@pytest.mark.parametrize(("rule", "check"), [(rule, check) for rule, checks in LOSE_TDX.items() for check in checks])
def test_without_a_hard_rule_tdx_is_lost(rule: str, check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without(rule, monkeypatch)
    assert find_harm(lambda what, taken_by: what == f"lost: {check}" and not taken_by)


@pytest.mark.parametrize("what", ["lost: memory", "corrupted"])
@pytest.mark.parametrize("level", [Level.PREFER, Level.WARN, Level.OFF, "accept"])
def test_a_policy_that_takes_a_risk_can_come_to_harm(what: str, level: str) -> None:
    assert find_harm(lambda harm, taken_by: (harm, taken_by) == (what, level))
