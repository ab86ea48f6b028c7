"""The graph: what a policy does to steps, what lies ahead, and rules that fail."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import GOOD_FEATURES, made_host, made_image, made_release
from test_oracle import LADDER, hosts, policies, releases

from conftest import DAY
from seamstep.base.errors import InputError, RefusedError
from seamstep.base.versions import ModuleVersion, Specifier
from seamstep.domain.mapping import MappingFile
from seamstep.domain.model import Outcome, Release, Step, Verdict
from seamstep.planning.graph import VersionGraph
from seamstep.planning.planner import make_plan
from seamstep.policy.policy import PathChoice, Policy, Source, Target
from seamstep.rules import HARD_RULES, POLICY_RULES, AppliedRule, Denial, Level, Rule, Scope, Waiver, policy_rules
from seamstep.rules.feature_loss import FeatureLoss
from seamstep.rules.forward_only import ForwardOnly
from seamstep.rules.minimum_module import MinimumModule
from seamstep.rules.no_stranding import NoStranding
from seamstep.rules.same_series import SameSeries
from seamstep.rules.seam_memory import SeamMemory
from seamstep.rules.td_build import TdBuild

SOURCES = (Source("p", "00" * 32, None),)
V = ModuleVersion


def made_policy(**values: Any) -> Policy:
    return Policy(SOURCES, **values)


def plan(listed: tuple[Release, ...], policy: Policy, **host: Any) -> Any:
    mapping = MappingFile("m.json", "00" * 32, listed)
    return make_plan(mapping, listed, made_host(**host), policy, as_of=DAY).document


def hops(document: Any) -> list[str]:
    return [hop["to"] for hop in document["hops"]]


def permitted(listed: tuple[Release, ...], host: Any, rules: tuple[AppliedRule, ...]) -> set[tuple[V, V]]:
    graph = VersionGraph(listed, host, rules)
    ladder = [release.version for release in graph.ladder(graph.running.series)]
    pairs = [(source, target) for source in ladder for target in ladder if source < target]
    return {(source, target) for source, target in pairs if graph.judge(source, target, 0).permitted}


@settings(max_examples=60)
@given(releases(), hosts(), policies)
def test_a_policy_never_opens_what_the_hard_rules_close(listed: Any, host: Any, policy: Policy) -> None:
    hard = tuple(AppliedRule(rule()) for rule in HARD_RULES.values())
    assert permitted(listed, host, policy.applied_rules()) <= permitted(listed, host, hard)


@settings(max_examples=60)
@given(
    releases(),
    hosts(),
    policies,
    st.sampled_from(["1.5.5", ">=1.5.7", "1.5.*"]),
    st.sampled_from([None, "1.5.4", "<1.5.7"]),
)
def test_a_denial_never_opens_a_step(listed: Any, host: Any, policy: Policy, denied: str, sources: str | None) -> None:
    """Look-ahead aside: what is denied can't be cut off any more."""
    rules = tuple(rule for rule in policy.rules if not rule.rule.looks_ahead)
    before = policy._replace(rules=rules)
    denial = Denial(Specifier(denied), "no", sources=Specifier(sources) if sources else None)
    after = before._replace(denials=(*before.denials, denial))
    assert permitted(listed, host, after.applied_rules()) <= permitted(listed, host, before.applied_rules())


@settings(max_examples=60)
@given(
    releases(),
    hosts(),
    st.sampled_from([TdBuild, FeatureLoss, SeamMemory, NoStranding]),
    st.permutations([Level.OFF, *Level]),
)
def test_raising_a_level_never_opens_a_step(listed: Any, host: Any, rule: type[Rule], levels: list[Level]) -> None:
    order = [Level.OFF, Level.WARN, Level.PREFER, Level.REQUIRE]
    low, high = sorted(levels[:2], key=order.index)
    hard = tuple(AppliedRule(one()) for one in HARD_RULES.values())
    lower, higher = ((*hard, AppliedRule(rule(), level)) for level in (low, high))
    assert permitted(listed, host, higher) <= permitted(listed, host, lower)


@settings(max_examples=60)
@given(releases(), hosts(), policies)
def test_what_is_searched_is_what_was_judged(listed: Any, host: Any, policy: Policy) -> None:
    graph = VersionGraph(listed, host, policy.applied_rules())
    for source, target, edge in graph.steps.edges(data=True):
        judgement = graph.judge(source, target, 0)
        assert edge["judgement"] == judgement
        assert graph.permitted.has_edge(source, target) == judgement.permitted
        if judgement.permitted:
            assert graph.permitted.edges[source, target]["cost"] == judgement.cost


def test_a_series_too_long_to_be_judged_is_refused() -> None:
    listed = [made_release(f"1.5.{update:02}") for update in range(501)]
    with pytest.raises(InputError, match=r"series 1\.5 has 501 releases; at most 500"):
        VersionGraph(listed, made_host("1.5.00"), ())


def test_denials_and_waypoints_steer_the_path() -> None:
    listed = tuple(made_release(version) for version in LADDER)
    fewest = made_policy()
    assert hops(plan(listed, fewest)) == ["1.5.10"]
    assert hops(plan(listed, fewest._replace(waypoints=(V("1.5.04"),)))) == ["1.5.04", "1.5.10"]
    assert hops(plan(listed, fewest._replace(waypoints=(V("2.0.04"),)))) == ["1.5.10"]
    denied = fewest._replace(denials=(Denial(Specifier(">=1.5.9"), "broken", "https://example.com/a", "2027-01-01"),))
    document = plan(listed, denied)
    assert hops(document) == ["1.5.08"]
    (refused,) = (step for step in document["rejected"] if (step["from"], step["to"]) == ("1.5.01", "1.5.10"))
    (verdict,) = refused["verdicts"]
    assert verdict["reason"] == "1.5.10 is denied: broken (https://example.com/a, until 2027-01-01)"
    both = denied._replace(waypoints=(V("1.5.09"),))
    assert plan(listed, both._replace(target=Target.parse(">=1.5.9")))["outcome"] == "no-path"
    absent = plan(tuple(r for r in listed if r.version != V("1.5.04")), fewest._replace(waypoints=(V("1.5.04"),)))
    assert hops(absent) == ["1.5.03"], "a waypoint that no release is can't be passed"


def test_waivers_open_what_a_policy_rule_closes_and_are_told() -> None:
    listed = tuple(made_release(version) for version in LADDER)
    waiver = Waiver("td-build", Specifier("1.5.10"), "tested here", "us", "2027-01-01")
    rule = AppliedRule(TdBuild(), waivers=((waiver,),))
    document = plan(listed, made_policy(rules=(rule,)), running_tds=4)
    assert hops(document) == ["1.5.10"]
    (hop,) = document["hops"]
    assert hop["waived"] == [{"rule": "td-build", "reason": "tested here", "by": "us", "until": "2027-01-01"}]
    assert [(risk["rule"], risk["taken_by"]) for risk in hop["risks"]] == [("td-build", "accept")]
    two_layers = rule._replace(waivers=((waiver,), (waiver._replace(versions=Specifier("1.5.9")),)))
    assert plan(listed, made_policy(rules=(two_layers,)), running_tds=4)["outcome"] == "no-path"
    unknown = tuple(release._replace(strict_compat=None) for release in listed)
    assert plan(unknown, made_policy(rules=(rule,)), running_tds=4)["outcome"] == "no-path", "unknown can't be waived"
    assert plan(listed, made_policy(rules=(rule,)), running_tds=None)["outcome"] == "no-path", "unknown can't be waived"


def test_what_of_the_td_hazard_stands_in_a_plan() -> None:
    listed = tuple(made_release(version, strict_compat=(V("1.5.01"),)) for version in ("1.5.01", "1.5.02", "1.5.03"))
    listed = (*listed, made_release("1.5.04"), made_release("1.5.05", strict_compat=None))

    def told(target: str, *, held: bool = False, tds: int | None = 0, level: Level = Level.REQUIRE) -> tuple[Any, ...]:
        rules = (AppliedRule(TdBuild(held), level),) if level is not Level.OFF else ()
        policy = made_policy(rules=rules, creation_held=held, target=Target.parse(target))
        document = plan(listed, policy, running_tds=tds)
        if not document["hops"]:
            return ()
        (hop,) = document["hops"]
        assert document["td_creation"] == ("held" if held else None)
        says, risks = hop["td_creation"], hop["risks"]
        assert says["reason"].startswith("safe while TDs" if says["safe"] else "hold the creation of TDs back: ")
        return says["safe"], says["needs_no_td"], *(risk["taken_by"] for risk in risks if risk["rule"] == "td-build")

    for tds in (0, 4, None):
        for held in (True, False):
            assert told("1.5.03", held=held, tds=tds) == (True, False), "whatever runs"
        for target in ("1.5.04", "1.5.05"):
            assert told(target, held=True, tds=tds) == (False, False), "held: it does not need that no TD runs"
    for target in ("1.5.04", "1.5.05"):
        assert told(target) == (False, True), "because no TD runs"
        for tds in (4, None):
            assert told(target, tds=tds) == ()
            assert told(target, tds=tds, level=Level.WARN) == (False, False, "warn")
            assert told(target, tds=tds, level=Level.OFF) == (False, False, "off")
        assert told(target, level=Level.OFF) == (False, True)


def test_no_stranding_looks_ahead() -> None:
    """From 1 one can go to 10 directly or to 5, from 5 nowhere: whoever wants 5 loses 10."""
    listed = (
        made_release("1.5.01"),
        made_release("1.5.05", image=made_image(module_hv=2)),
        made_release("1.5.10", image=made_image(module_hv=1)),
    )
    to_five = made_policy(target=Target.parse("1.5.05"), rules=(AppliedRule(NoStranding()),))
    document = plan(listed, to_five)
    assert document["outcome"] == "no-path"
    (refused,) = (step for step in document["rejected"] if step["to"] == "1.5.05")
    assert "1.5.10 can be reached from 1.5.01 and no longer from 1.5.05" in refused["verdicts"][0]["reason"]
    assert hops(plan(listed, to_five._replace(rules=()))) == ["1.5.05"]
    assert hops(plan(listed, made_policy(rules=to_five.rules))) == ["1.5.10"]
    assert hops(plan(listed, to_five, remaining_updates=1)) == []


class Moody(Rule):
    """A rule that fails in whatever way it is told to."""

    name = "moody"
    summary = "For tests."
    source = "tests"

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def check(self, step: Step, host: Any) -> Verdict:
        if isinstance(self._answer, Exception):
            raise self._answer
        result: Verdict = self._answer
        return result


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (RuntimeError("oops"), "the rule failed: RuntimeError: oops"),
        (None, "did not answer"),
        (True, "did not answer"),
        (Verdict("forward-only", Outcome.PASS, "I am another"), "did not answer"),
    ],
)
def test_a_rule_that_fails_blocks(answer: Any, says: str, caplog: pytest.LogCaptureFixture) -> None:
    listed = tuple(made_release(version) for version in LADDER)
    with caplog.at_level("DEBUG", "seamstep"):
        document = plan(listed, made_policy(rules=(AppliedRule(Moody(answer)),)))
    assert document["outcome"] == "no-path"
    verdict = document["rejected"][0]["verdicts"][0]
    assert (verdict["rule"], verdict["outcome"]) == ("moody", "unknown")
    assert says in verdict["reason"]
    assert ("Traceback" in caplog.text) == isinstance(answer, Exception)
    assert hops(plan(listed, made_policy(rules=(AppliedRule(Moody(answer), Level.WARN),)))) == ["1.5.10"]


def of_all_kinds() -> Iterator[Release]:
    """Releases that differ in everything that a rule compares, two of each kind."""
    images: list[dict[str, Any]] = [{"image": None}, {"image": made_image(problem="bad")}]
    for svn, (module_hv, min_hv), signer in product([0x104, 0x105, 0x205], [(1, 0), (2, 0), (2, 2)], ["22", "33"]):
        images.append({"image": made_image(svn=svn, module_hv=module_hv, min_hv=min_hv, signer=signer * 32)})
    images += [{"image": made_image(num_tls_pages=2)}, {"image": made_image(module_type=1 << 31)}]
    others: list[dict[str, Any]] = [{"features0": GOOD_FEATURES ^ 2}, {"features0": None}, {"minimum_module": None}]
    others += [{"strict_compat": None}, {"strict_compat": (V("1.5.02"), V("1.5.03"))}]
    kinds = [*images, *others] * 2
    for number, changes in enumerate(kinds):
        yield made_release(f"{'1.5' if number % 3 else '2.0'}.{number + 1:02}", **changes)


@pytest.mark.parametrize("names", [[*HARD_RULES, *(set(POLICY_RULES) - {"minimum-svn", "tcb-status"})]])
@pytest.mark.parametrize(("used", "backwards"), [(0, False), (9, True)])
def test_shared_answers_are_those_that_each_step_gets_by_itself(names: list[str], used: int, backwards: bool) -> None:
    """To the letter: in which order steps are judged, and which are alike to a rule, does not show."""
    rules = [AppliedRule(rule(), Level.WARN) for name, rule in {**HARD_RULES, **POLICY_RULES}.items() if name in names]
    rules.sort(key=lambda one: one.rule.looks_ahead)
    listed, host = sorted(of_all_kinds(), key=lambda one: one.version, reverse=backwards), made_host(running_tds=4)
    graph = VersionGraph(listed, host, rules)
    for source, target in product(listed, listed):
        judgement = graph.judge(source.version, target.version, used)
        step, before = Step(source, target, graph), host.after(source.version, used)
        alone = [one.rule.check(step, before) for one in rules]
        assert list(judgement.verdicts) == alone


class Stricter(SameSeries):
    """Derived from a rule of ours."""

    name = "stricter"

    def check(self, step: Step, host: Any) -> Verdict:
        if str(step.target.version) == "1.5.08":
            return self.blocked("1.5.08 is not for us")
        return super().check(step, host)


def test_a_rule_derived_from_ours_is_asked_about_every_step() -> None:
    listed = tuple(made_release(version) for version in LADDER)
    for choice in PathChoice:
        document = plan(
            listed, made_policy(rules=(AppliedRule(Stricter()),), choice=choice, target=Target.parse("<1.5.9"))
        )
        assert "1.5.08" not in hops(document)
    graph = VersionGraph(listed, made_host(), (AppliedRule(Stricter()),))
    for target in (V("1.5.07"), V("1.5.08"), V("1.5.09")):
        assert graph.judge(LADDER[0], target, 0).permitted is (target != V("1.5.08"))


class Forwarder(ForwardOnly):
    name = "forwarder"


class Minimum(MinimumModule):
    name = "minimum"


@pytest.mark.parametrize("rule", [Forwarder(), Minimum()])
def test_a_rule_derived_from_ours_answers_in_its_own_name(rule: Rule) -> None:
    listed = tuple(made_release(version) for version in LADDER)
    (verdict,) = VersionGraph(listed, made_host(), (AppliedRule(rule),)).judge(LADDER[0], LADDER[1], 0).verdicts
    assert (verdict.rule, verdict.outcome) == (rule.name, Outcome.PASS)


def test_a_plan_that_a_rule_contradicts_is_no_plan() -> None:
    class Fickle(TdBuild):
        """Permits a step when it is looked for, and refuses it when it is asked about it again."""

        name = "fickle"

        def __init__(self) -> None:
            super().__init__()
            self.asked: set[str] = set()

        def check(self, step: Step, host: Any) -> Verdict:
            if str(step) in self.asked:
                return self.blocked("no")
            self.asked.add(str(step))
            return self.passed("yes")

    listed = tuple(made_release(version) for version in LADDER)
    with pytest.raises(RefusedError, match="refused by fickle now: a rule that does not answer alike twice"):
        plan(listed, made_policy(rules=(AppliedRule(Fickle()),), waypoints=(LADDER[4],)))


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("oops")


@pytest.mark.parametrize(
    ("answer", "scope"),
    [
        (SystemExit(0), Scope.STEP),
        (Unspeakable(), Scope.TARGET),
        (Verdict("hostile", "pass", "yes"), Scope.STEP),  # type: ignore[arg-type]
        (Verdict("hostile", True, "yes"), Scope.HOST),  # type: ignore[arg-type]
        (None, Scope.SOURCE),
    ],
)
def test_a_hostile_rule_refuses_and_breaks_nothing(answer: Any, scope: Any) -> None:
    class Hostile(NoStranding):
        name = "hostile"
        looks_ahead = False

        def check(self, step: Step, host: Any) -> Verdict:
            if isinstance(answer, BaseException):
                raise answer
            verdict: Verdict = answer
            return verdict

    Hostile.scope = scope
    listed = tuple(made_release(version) for version in LADDER)
    document = plan(listed, made_policy(rules=(AppliedRule(Hostile()),)))
    assert document["outcome"] == "no-path"
    verdict = document["rejected"][0]["verdicts"][0]
    assert (verdict["rule"], verdict["outcome"]) == ("hostile", "unknown")


def test_unknown_for_another_reason_than_a_missing_image_is_not_left_open() -> None:
    listed = tuple(made_release(version) for version in LADDER)
    mapping = MappingFile("m.json", "00" * 32, listed)
    host = made_host(cpu_signatures=None)
    document = make_plan(mapping, listed, host, made_policy(), as_of=DAY, without_images=True).document
    assert document["outcome"] == "no-path"


def test_networkx_sees_every_candidate_step() -> None:
    listed = tuple(made_release(version) for version in [*map(str, LADDER), "2.0.01", "2.0.02"])
    graph = VersionGraph(listed, made_host("1.5.99"), ()).steps
    assert graph.number_of_nodes() == 13
    assert graph.number_of_edges() == 11 * 10 // 2 + 1
    assert networkx.is_directed_acyclic_graph(graph)
    judgement = graph.edges[V("1.5.01"), V("1.5.99")]["judgement"]
    assert str(judgement.step) == "1.5.01 → 1.5.99"
    with pytest.raises(ValueError, match="not known"):
        VersionGraph(listed, made_host(module_version=None), ())


def test_defaults_of_the_policy_rules() -> None:
    assert {name: rule.default_level for name, rule in policy_rules().items() if name != "quiet-hours"} == {
        "td-build": Level.REQUIRE,
        "feature-loss": Level.REQUIRE,
        "seam-memory": Level.REQUIRE,
        "minimum-svn": Level.OFF,
        "tcb-status": Level.OFF,
        "preproduction": Level.WARN,
        "no-stranding": Level.REQUIRE,
    }
