"""What TCB Info decides and tells: targets that close advisories, the rule tcb-status, plans, status, measurements."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from made import made_host, made_image, made_release

from conftest import DATA, LATEST, TRUST, Run, write_facts
from seamstep.base import places, resources
from seamstep.base.errors import InputError
from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import HostFacts
from seamstep.domain.mapping import MappingFile
from seamstep.domain.model import Release
from seamstep.domain.tcb import TcbInfo, TcbLevel, TcbStatus, TcbView, summary
from seamstep.plan.document import resealed
from seamstep.planning.planner import graph_of, make_plan
from seamstep.policy import layers, policy_file
from seamstep.policy.policy import Policy, Source, Target
from seamstep.rules import AppliedRule, TcbStatusRule
from seamstep.show.formats import prometheus
from seamstep.show.tcb import closing_text, update_lines
from seamstep.tcb.releases import with_tcb

REAL = DATA / "tcb"
NEW, OLD = REAL / "tcb-info-90C06F000000-18.json", REAL / "tcb-info-B0C06F000000-17.json"
#: A day on which the document of number 18 counts.
THEN = ("--as-of", "2026-03-01")
BOTH = ["INTEL-SA-01036", "INTEL-SA-01099"]
DAY = date(2026, 3, 1)
MOMENT = datetime(2026, 3, 1, tzinfo=UTC)


def view(*levels: TcbLevel, number: int = 18, fmspc: str = "90C06F000000") -> TcbView:
    info = TcbInfo("f", "0" * 64, fmspc, number, MOMENT, MOMENT, (("TDX_01", levels),))
    return TcbView((info,), DAY)


def level(isvsvn: int, *advisories: str) -> TcbLevel:
    return TcbLevel(isvsvn, DAY, TcbStatus.OUT_OF_DATE if advisories else TcbStatus.UP_TO_DATE, advisories)


def policy(target: str, *rules: AppliedRule, **changes: Any) -> Policy:
    return Policy((Source("p", "0" * 64, None),), Target.parse(target), rules=rules, **changes)


def planned(releases: tuple[Release, ...], chosen: Policy, tcb: TcbView | None, **host: Any) -> dict[str, Any]:
    file = MappingFile("m.json", "0" * 64, releases)
    document = make_plan(file, with_tcb(releases, tcb), made_host(**host), chosen, as_of=DAY, tcb=tcb).document
    Draft202012Validator(resources.schema("plan")).validate(document)
    return dict(document)


SVNS = st.lists(st.integers(1, 9), min_size=1, max_size=7).map(sorted)
ADVISORIES = st.lists(st.sampled_from("AB"), unique=True)
LEVELS = st.lists(st.tuples(st.integers(0, 10), ADVISORIES), max_size=4, unique_by=lambda one: one[0])


@drawn(SVNS, LEVELS, st.sampled_from(["A", "B", "A, B"]), st.sets(st.integers(0, 6)), st.integers(0, 3))
def test_closes_goes_to_the_release_that_a_brute_force_finds(
    svns: list[int], given_levels: list[tuple[int, list[str]]], wanted: str, refused: set[int], budget: int
) -> None:
    """Among all releases that permitted paths lead to, the nearest in which each advisory is closed."""
    levels = [level(svn, *advisories) for svn, advisories in sorted(given_levels, reverse=True)]
    hard = {"features0": 0}  # such a release is refused
    ladder = tuple(
        made_release(f"1.5.{place + 1:02}", image=made_image(svn=0x100 + svn), **(hard if place in refused else {}))
        for place, svn in enumerate(svns)
    )
    chosen, tcb = policy(f"closes {wanted}"), view(*levels)
    try:
        document = planned(ladder, chosen, tcb, remaining_updates=budget)
    except InputError:
        known = {advisory for one in levels for advisory in one.advisories}
        assert not set(wanted.split(", ")) <= known
        return

    def closed(svn: int) -> bool:
        """By the levels alone: none at or above the one that applies lists the advisory, and one below does."""
        applies = [one.isvsvn for one in levels if one.isvsvn <= svn]
        if not applies:
            return False
        above = {advisory for one in levels if one.isvsvn >= max(applies) for advisory in one.advisories}
        below = {advisory for one in levels if one.isvsvn < max(applies) for advisory in one.advisories}
        return all(advisory in below - above for advisory in wanted.split(", "))

    graph = graph_of(ladder, made_host(remaining_updates=budget), chosen, without_images=False)
    reached = set(_reached(graph.permitted, graph.running, budget))
    if closed(svns[0]):
        assert (document["outcome"], document["target"]) == ("up-to-date", None)
        return
    brute = [one.version for one, svn in zip(ladder, svns, strict=True) if closed(svn) and one.version in reached]
    assert document["target"] == (str(min(brute)) if brute else None)
    assert document["outcome"] == ("update" if brute else "no-path")


def _reached(steps: Any, source: ModuleVersion, budget: int) -> Iterator[ModuleVersion]:
    for target in steps[source] if budget else ():
        yield target
        yield from _reached(steps, target, budget - 1)


LADDER = tuple(
    made_release(version, image=made_image(svn=svn))
    for version, svn in {"1.5.01": 0x104, "1.5.05": 0x105, "1.5.06": 0x106, "1.5.08": 0x107}.items()
)
LEVELS_18 = (level(6), level(4, *BOTH), level(2, *BOTH))


def test_a_target_that_closes_nothing_says_why() -> None:
    already = planned(LADDER, policy("closes INTEL-SA-01099"), view(*LEVELS_18), module="1.5.06")
    assert (already["outcome"], already["reason"]) == ("up-to-date", "1.5.06 closes INTEL-SA-01099 already")
    none = planned(LADDER[:2], policy("closes INTEL-SA-01099"), view(*LEVELS_18))
    assert none["outcome"] == "no-path"
    assert none["reason"] == "no release newer than 1.5.01 is known to close INTEL-SA-01099"
    expired = view(*LEVELS_18)._replace(as_of=date(2026, 3, 2))
    late = planned(LADDER, policy("closes INTEL-SA-01099"), expired)
    assert (late["outcome"], late["hops"]) == ("no-path", [])
    assert "(TCB Info 18 of 90C06F000000: the document has expired: its nextUpdate was 2026-03-01)" in late["reason"]
    for target, tcb, said in (
        (
            "closes INTEL-SA-01098",
            view(*LEVELS_18),
            "knows the advisory INTEL-SA-01098; did you mean 'INTEL-SA-01099'?",
        ),
        ("closes INTEL-SA-01099", None, "needs TCB Info: give --tcb-info"),
    ):
        with pytest.raises(InputError, match=said):
            planned(LADDER, policy(target), tcb)


def test_one_document_that_has_it_open_or_can_not_tell_is_enough() -> None:
    """The host may be of any of the FMSPCs."""
    one, other = view(*LEVELS_18), view(level(7), level(2, BOTH[1]), fmspc="B0C06F000000")
    both = TcbView((*one.documents, *other.documents), DAY)
    assert planned(LADDER, policy("closes INTEL-SA-01099"), both)["target"] == "1.5.08"
    assert planned(LADDER, policy("closes INTEL-SA-01036"), both)["target"] == "1.5.06"
    silent = TcbView((*one.documents, *view(level(2)).documents), DAY)
    assert planned(LADDER, policy("closes INTEL-SA-01099"), silent)["target"] == "1.5.06"
    late = other.documents[0]._replace(next_update=datetime(2026, 2, 1, tzinfo=UTC))
    assert planned(LADDER, policy("closes INTEL-SA-01036"), both._replace(documents=(one.documents[0], late)))[
        "outcome"
    ] == ("no-path")


def test_a_specifier_of_another_layer_counts_too() -> None:
    chosen = policy("closes INTEL-SA-01099")
    both = chosen.with_target(chosen.target._replace(specifiers=Target.parse(">=1.5.8").specifiers))
    assert both.target.text == ">=1.5.8 and closes INTEL-SA-01099"
    assert planned(LADDER, both, view(*LEVELS_18))["target"] == "1.5.08"
    assert planned(LADDER, both, view(*LEVELS_18), module="1.5.06")["target"] == "1.5.08"


def test_the_day_on_which_a_document_expires_ends_what_it_decides() -> None:
    tcb, rule = view(*LEVELS_18), AppliedRule(TcbStatusRule("UpToDate"))
    assert planned(LADDER, policy("closes INTEL-SA-01099"), tcb)["valid_until"] == "2026-03-01"
    assert planned(LADDER, policy("newest", rule), tcb)["valid_until"] == "2026-03-01"
    assert planned(LADDER, policy("newest"), tcb)["valid_until"] is None
    stale = tcb._replace(stale_until=date(2026, 4, 1))
    assert planned(LADDER, policy("newest", rule), stale)["valid_until"] == "2026-04-01"
    assert planned(LADDER, policy("newest", rule), tcb._replace(as_of=date(2026, 4, 2)))["valid_until"] is None


def test_a_revoked_module_closes_nothing() -> None:
    """Verifiers refuse it, and its level need not list what it has fixed."""
    revoked = TcbLevel(6, DAY, TcbStatus.REVOKED)
    tcb = view(level(7), revoked, level(4, *BOTH))
    assert planned(LADDER, policy("closes INTEL-SA-01099"), tcb)["target"] == "1.5.08"
    assert planned(LADDER, policy("closes INTEL-SA-01099"), tcb, module="1.5.06")["target"] == "1.5.08"


def test_an_advisory_of_other_modules_is_closed_in_those_that_never_had_it() -> None:
    """A policy may be that of a fleet with hosts of both series."""
    levels = (("TDX_01", LEVELS_18), ("TDX_03", (level(3),)))
    tcb = view()._replace(documents=(view().documents[0]._replace(identities=levels),))
    newer = (made_release("2.0.02", image=made_image(svn=0x303)), made_release("2.0.04", image=made_image(svn=0x304)))
    document = planned((*LADDER, *newer), policy("closes INTEL-SA-01099"), tcb, module="2.0.02")
    assert (document["outcome"], document["reason"]) == ("up-to-date", "2.0.02 closes INTEL-SA-01099 already")
    unlisted = tcb._replace(documents=(tcb.documents[0]._replace(identities=levels[:1]),))
    assert planned((*LADDER, *newer), policy("closes INTEL-SA-01099"), unlisted, module="2.0.02")["hops"] == []
    with pytest.raises(InputError, match="it knows INTEL-SA-01036, INTEL-SA-01099"):
        planned((*LADDER, *newer), policy("closes X"), tcb, module="2.0.02")


@pytest.mark.parametrize("after", [TcbStatus.REVOKED, None])
def test_an_update_is_not_said_to_close_what_closes_would_not_take(after: TcbStatus | None) -> None:
    """The second document answers unknown, or the module that is led to is revoked."""
    levels = (TcbLevel(6, DAY, after or TcbStatus.OUT_OF_DATE, tuple(BOTH[:1])), level(4, *BOTH))
    late = () if after else view(level(1), fmspc="B0C06F000000").documents
    late = tuple(one._replace(next_update=datetime(2026, 2, 1, tzinfo=UTC)) for one in late)
    tcb = TcbView((*view(level(9), *levels).documents, *late), DAY)
    document = planned(LADDER[:3], policy("newest"), tcb)
    lines = [*update_lines(document["tcb"], document["target"])]
    assert document["target"] == "1.5.06"
    assert not [line for line in lines if "closes" in line]


# -- on the command line, with Intel's own documents


@pytest.fixture
def host(spr: HostFacts, tmp_path: Path) -> Path:
    """The facts of a host that runs 1.5.05 and no TD."""
    return write_facts(tmp_path / "facts.json", spr._replace(module_version=ModuleVersion("1.5.05"), running_tds=0))


def plan_options(facts: Path) -> tuple[object, ...]:
    return ("--mapping", LATEST, "--without-images", "--facts", facts, "--tcb-info", NEW, *THEN)


def test_a_plan_tells_the_status_before_and_after(run: Run, host: Path) -> None:
    ran = run("plan", *plan_options(host), "--target", "closes INTEL-SA-01036, INTEL-SA-01099", "--json")
    document = ran.json
    assert ran.code == 0
    assert (document["target"], document["policy"]["target"]) == ("1.5.06", "closes INTEL-SA-01036, INTEL-SA-01099")
    before, after = document["tcb"]["before"], document["tcb"]["after"]
    assert (before["status"], before["since"], before["advisories"]) == ("OutOfDate", "2024-11-13", BOTH)
    assert (after["status"], after["advisories"]) == ("UpToDate", [])
    assert [(one["fmspc"], one["evaluation"]) for one in document["tcb"]["documents"]] == [("90C06F000000", 18)]
    assert document["valid_until"] == "2026-03-20"
    text = run("plan", *plan_options(host), "--target", "closes INTEL-SA-01099").out
    assert "TCB status: OutOfDate since 2024-11-13: INTEL-SA-01036, INTEL-SA-01099\n" in text
    assert "  of 1.5.06: UpToDate (tcbDate 2024-11-13)\n  1.5.06 closes INTEL-SA-01036, INTEL-SA-01099\n" in text
    explained = run("explain", *plan_options(host), "--to", "1.5.16")
    assert "TCB status: OutOfDate since 2024-11-13" in explained.out
    assert "1.5.16 closes INTEL-SA-01036, INTEL-SA-01099" in explained.out


def test_the_class_of_a_plan_covers_its_tcb_info_and_not_its_paths(run: Run, host: Path, tmp_path: Path) -> None:
    for path in (NEW, NEW.with_suffix(".pem")):
        (tmp_path / f"copy{path.suffix}").write_bytes(path.read_bytes())
    options = ("--mapping", LATEST, "--without-images", "--facts", host, *THEN, "--json")
    plans = [
        run("plan", *options, *more).json for more in ((), ("--tcb-info", NEW), ("--tcb-info", tmp_path / "copy.json"))
    ]
    assert len({plan["id"] for plan in plans}) == 3
    assert plans[0]["class_id"] != plans[1]["class_id"] == plans[2]["class_id"]


def test_documents_of_several_platforms_each_say_their_own(run: Run, host: Path) -> None:
    """The one of number 17 has expired by then, which is said, and its answer is unknown."""
    options = [*plan_options(host)]
    options[options.index(NEW)] = REAL
    ran = run("plan", *options)
    assert "tcb-info-B0C06F000000-17.json: the document has expired: its nextUpdate was 2025-07-19; its an" in ran.err
    assert (
        "TCB status: OutOfDate, the worst of: OutOfDate since 2024-11-13: INTEL-SA-01036, INTEL-SA-01099 by" in ran.out
    )
    assert "by 90C06F000000 number 18; unknown (the document has expired" in ran.out
    alone = run("plan", *options, "--fmspc", "90c06f000000")
    assert "TCB status: OutOfDate since 2024-11-13: INTEL-SA-01036, INTEL-SA-01099\n" in alone.out
    none = run("plan", *options, "--fmspc", "00806F050000")
    assert (none.code, "there is some for 90C06F000000, B0C06F000000" in none.err) == (2, True)
    assert "--tcb-info; give that too" in run("plan", *options[:5], "--fmspc", "00806F050000").err


def write_policy(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(f"schema: seamstep/policy/v1\nname: p\n{text}")
    return path


RULE = "rules:\n  tcb-status: {level: require, status: UpToDate}\n"
STALE = "tcb_info: {stale_until: 2099-12-31, reason: tests}\n"


def test_a_policy_asks_for_a_status(run: Run, host: Path, tmp_path: Path) -> None:
    options = (*plan_options(host), "--policy", write_policy(tmp_path, RULE), "--json")
    assert run("plan", *options).json["outcome"] == "update"
    assert run("plan", *options, "--target", "1.5.05").json["outcome"] == "up-to-date"
    bare = [*options]
    at = bare.index("--tcb-info")
    ran = run("plan", *bare[:at], *bare[at + 2 :])
    assert ran.json["provisional"] is True  # what needs an image is left open without
    expired = run("plan", *options[:-1], "--as-of", "2026-11-27").out
    assert "TCB status: unknown (the document has expired: its nextUpdate was 2026-03-20)" in expired
    stale = run(
        "plan", *options[:-3], "--policy", write_policy(tmp_path, RULE + STALE), "--as-of", "2026-11-27", "--json"
    )
    assert stale.json["tcb"]["before"]["status"] == "OutOfDate"
    assert (stale.json["tcb"]["stale_until"], stale.json["valid_until"]) == ("2099-12-31", "2099-12-31")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("target: closes\n", "'closes' is not"),
        ("target: closes \n", "'closes' is not"),
        ("target: closes sa-1\n", "'sa-1' is not an advisory such as INTEL-SA-01099"),
        ("rules: {tcb-status: require}\n", "is not 'off', or an object with 'level' and 'status'"),
        ("rules: {tcb-status: {level: require, status: Revoked}}\n", "'Revoked' is not UpToDate or OutOfDate"),
        ('rules: {tcb-status: {level: warn, status: UpToDate, as_of: "2026-02-30"}}\n', "'2026-02-30' is not a day"),
        (
            'rules: {tcb-status: {level: warn, status: OutOfDate, as_of: "2026-02-28"}}\n',
            "the status UpToDate only",
        ),
        ('tcb_info: {stale_until: "2026-02-30", reason: x}\n', "'2026-02-30' is not a day"),
        ('tcb_info: {stale_until: "2026-02-28"}\n', "the key 'reason' is missing"),
    ],
)
def test_mistakes_in_policies_are_told(run: Run, tmp_path: Path, text: str, said: str) -> None:
    ran = run("policy", "check", write_policy(tmp_path, text))
    assert ran.code != 0
    assert said in ran.out + ran.err
    assert "Traceback" not in ran.err


SCENARIO = """schema: seamstep/scenario/v1
name: a
policy: {policy}
as_of: "2026-03-01"
mapping: demo
tcb_info: {tcb}
images: {{1.5.05: {{seamsvn: 0x105}}, 1.5.06: {{seamsvn: 0x106}}, 1.5.08: {{seamsvn: 0x107}}}}
facts: {facts}
expect: {expect}
"""
OLDER = '{isvsvn: 1, status: OutOfDate, date: "2024-01-01", advisories: [X]}'
MADE_UP = '{TDX_01: [{isvsvn: 7, status: UpToDate, date: "2025-01-01"}, ' + OLDER + "]}"


@pytest.mark.parametrize(
    ("tcb", "target", "expect"),
    [
        (str(NEW), "closes INTEL-SA-01099", "{path: [1.5.05, 1.5.06]}"),
        (f"[{NEW}]", "closes INTEL-SA-01099", "{path: [1.5.05, 1.5.06]}"),
        (MADE_UP, "closes X", "{path: [1.5.05, 1.5.08]}"),
        (MADE_UP.replace('"', ""), "<1.5.8", "{outcome: no-path, refused: [tcb-status]}"),
    ],
)
def test_scenarios_may_give_tcb_info(run: Run, host: Path, tmp_path: Path, tcb: str, target: str, expect: str) -> None:
    chosen = write_policy(tmp_path, f'target: "{target}"\n{RULE}')
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO.format(policy=chosen, tcb=tcb, facts=host, expect=expect))
    ran = run("policy", "test", path)
    assert ran.code == 0, ran.out + ran.err


def test_made_up_levels_of_a_scenario_have_an_order(run: Run, host: Path, tmp_path: Path) -> None:
    wrong = MADE_UP.replace("isvsvn: 1,", "isvsvn: 8,")
    path = tmp_path / "scenario.yaml"
    chosen = write_policy(tmp_path, RULE)
    path.write_text(SCENARIO.format(policy=chosen, tcb=wrong, facts=host, expect="{outcome: no-path}"))
    ran = run("policy", "test", path)
    assert (ran.code, "tcb_info: isvsvn does not descend from level to level of TDX_01" in ran.err) == (2, True)


def test_measurements_have_the_status_and_can_be_checked_as_before(run: Run, images: Path, tmp_path: Path) -> None:
    options = ("--catalog", images, *TRUST, "--tcb-info", NEW, *THEN)
    listed = run("measurements", *options, "--json").json
    Draft202012Validator(resources.schema("measurements")).validate(listed)
    rows = {row["version"]: row for row in listed["releases"]}
    assert rows["1.5.34"]["tcb_status"] == "UpToDate"
    assert rows["1.5.34"]["tcb"]["documents"][0]["evaluation"] == 18
    assert "TCB        UpToDate (tcbDate 2024-11-13)" in run("measurements", *options).out
    path = tmp_path / "list.csv"
    assert run("measurements", *options, "--format", "csv", "-o", path).code == 0
    assert path.read_text().splitlines()[0].endswith("signature,tcb_status,tcb_date,advisories")
    assert run("measurements", "--check", path, "--catalog", images, *TRUST).code == 0
    as_json = tmp_path / "list.json"
    assert run("measurements", *options, "--json", "-o", as_json).code == 0
    assert run("measurements", "--check", as_json, "--catalog", images, *TRUST).code == 0


def plan_to_06(run: Run, host: Path, images: Path, tmp_path: Path) -> Path:
    """A plan from 1.5.05 to 1.5.06, whose made-up images have the SVNs of the published ones."""
    plan = tmp_path / "plan.json"
    assert run("plan", "--catalog", images, *TRUST, "--facts", host, "--target", "1.5.06", "-o", plan).code == 0
    return plan


def test_stages_tell_both_svns_each_by_its_own(run: Run, host: Path, images: Path, tmp_path: Path) -> None:
    plan = plan_to_06(run, host, images, tmp_path)
    stages = run("measurements", "--plan", plan, "--tcb-info", NEW, *THEN, "--json").json
    Draft202012Validator(resources.schema("measurements")).validate(stages)
    mixed = next(row for row in stages["after"] if row["launched_on"] == "1.5.05")
    assert (mixed["tcb_status"], mixed["advisories"]) == ("OutOfDate", BOTH)
    assert (mixed["tcb_status_2"], mixed["advisories_2"]) == ("UpToDate", [])
    called = [
        (stage, row["launched_on"], row["running"], row["quote_status"])
        for stage in ("before", "during")
        for row in stages[stage]
    ]
    assert called == [
        ("before", "1.5.05", "1.5.05", "OutOfDate"),
        ("during", "1.5.05", "1.5.05", "OutOfDate"),
        ("during", "1.5.05", "1.5.06", "TDRelaunchAdvised"),
        ("during", "1.5.06", "1.5.06", "UpToDate"),
    ]
    text = run("measurements", "--plan", plan, "--tcb-info", NEW, *THEN).out
    assert (
        "while 1.5.06 runs, TEE_TCB_SVN_2 0x106 (minor 6, major 1), UpToDate (tcbDate 2024-11-13); a quote is called"
        in text
    )


def test_an_allow_list_is_joined_with_what_a_verifier_calls_each_quote(
    run: Run, host: Path, images: Path, tmp_path: Path
) -> None:
    plan = plan_to_06(run, host, images, tmp_path)
    before = run("measurements", "--plan", plan, "--json").json["before"][0]["mrseam"]
    path = tmp_path / "list"
    path.write_text(f"{before}\n")
    options = ("measurements", "--plan", plan, "--check", path, "--tcb-info")
    ran = run(*options, NEW, *THEN)
    assert ran.code == 1  # the list lacks the new MRSEAM
    assert "after:\n  launched on 1.5.05 while 1.5.06 runs: accepted by the list; called TDRelaunchAdvised\n" in ran.out
    assert "    TEE_TCB_SVN 0x105: OutOfDate since 2024-11-13: INTEL-SA-01036, INTEL-SA-01099\n" in ran.out
    assert "    TEE_TCB_SVN_2 0x106: UpToDate (tcbDate 2024-11-13)\n" in ran.out
    assert "settled:\n  launched on 1.5.06 while 1.5.06 runs: NOT in the list; called UpToDate\n" in ran.out
    quotes = run(*options, NEW, *THEN, "--json").json["quotes"]
    assert [(one["stage"], one["accepted"], one["quote_status"]) for one in quotes][:1] == [
        ("before", True, "OutOfDate")
    ]
    # a verifier that goes by number 17 sees nothing wrong, while that document counts
    older = run(*options, REAL, "--tcb-evaluation", "17", "--as-of", "2025-07-01", "--json")
    assert {one["quote_status"] for one in older.json["quotes"]} == {"UpToDate"}
    assert "no TCB Info of number 17 for 90C06F000000; what it says of hosts of these is open" in older.err
    wrong = run(*options, REAL, "--tcb-evaluation", "16", *THEN)
    assert (wrong.code, "has this number; there is 17, 18" in wrong.err) == (2, True)
    alone = run("measurements", "--catalog", images, *TRUST, "--check", path, "--tcb-info", NEW, *THEN)
    assert (alone.code, "give --plan too" in alone.err) == (2, True)


def test_an_image_tells_its_status(run: Run, images: Path) -> None:
    image = next(images.rglob("tdx_module_1.5.34.blob"))
    ran = run("image", "inspect", image, "--tcb-info", NEW, *THEN)
    assert "  tcb                   UpToDate (tcbDate 2024-11-13)" in ran.out
    assert run("image", "inspect", image, "--tcb-info", NEW, *THEN, "--json").json["images"][0]["tcb"]["status"]


# -- on a host


def tree_of(module: str, tmp_path: Path) -> Path:
    """A host's files: an SPR host without TDs that runs ``module``."""
    cpu = "processor\t: {}\ncpu family\t: 6\nmodel\t\t: 143\nstepping\t: 8\nbugs\t\t: spectre_v1\n\n"
    root = tmp_path / "root"
    files = {
        "sys/devices/faux/tdx_host/version": module,
        "sys/devices/faux/tdx_host/seamldr_version": "1.5.02",
        "sys/devices/faux/tdx_host/num_remaining_updates": "9",
        "sys/class/firmware/tdx_module/status": "idle",
        "sys/devices/system/cpu/online": "0-1",
        "sys/devices/system/cpu/present": "0-1",
        "sys/fs/cgroup/misc.current": "tdx 0",
        "proc/cpuinfo": cpu.format(0) + cpu.format(1),
        "proc/cmdline": "quiet",
        "proc/sys/kernel/random/boot_id": "b",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("1.5.05", "OutOfDate since 2024-11-13: INTEL-SA-01036, INTEL-SA-01099; 1.5.06 closes both"),
        ("1.5.06", "UpToDate (tcbDate 2024-11-13); no advisory is open in it"),
        ("1.5.07", "unknown (the SVN of 1.5.07 is not known: there is no image of it at hand)"),
    ],
)
def test_status_tells_what_is_open_and_what_closes_it(run: Run, tmp_path: Path, module: str, told: str) -> None:
    """A module is known by its published SVN where there is no image."""
    options = ("--sysroot", tree_of(module, tmp_path), "--tcb-info", NEW, *THEN)
    ran = run("status", *options, "--mapping", LATEST)
    assert f"TCB                module {told}\n" in ran.out, ran.out + ran.err
    alone = run("status", *options, "--json").json
    assert alone["tcb"]["closed_by"] is None
    document = run("status", *options, "--mapping", LATEST, "--json").json
    assert document["tcb"]["status"] == alone["tcb"]["status"]
    closing = {"version": "1.5.06", "reachable": True}
    assert document["tcb"]["closed_by"] == (dict.fromkeys(BOTH, closing) if module == "1.5.05" else {})


def test_what_nothing_closes_is_said_too(run: Run, tmp_path: Path) -> None:
    mapping = json.loads(LATEST.read_text())
    releases = mapping["tdx_module_releases"]
    mapping["tdx_module_releases"] = [one for one in releases if one["version"] in {"1.5.01", "1.5.05"}]
    path = tmp_path / "mapping_file.json"
    path.write_text(json.dumps(mapping))
    options = ("--sysroot", tree_of("1.5.01", tmp_path), "--tcb-info", NEW, *THEN, "--mapping", path)
    assert "; no release at hand closes INTEL-SA-01036, INTEL-SA-01099\n" in run("status", *options).out


def test_what_closes_is_told_where_it_can_not_be_reached(run: Run, tmp_path: Path) -> None:
    root = tree_of("1.5.05", tmp_path)
    (root / "sys/devices/faux/tdx_host/num_remaining_updates").write_text("0\n")
    options = ("--sysroot", root, "--tcb-info", NEW, *THEN, "--mapping", LATEST)
    assert "01099; 1.5.06 closes both, and can't be reached now\n" in run("status", *options).out
    assert 'INTEL-SA-01036",closed_by=""} 1' in run("status", *options, "--format", "prometheus").out


@pytest.mark.parametrize(("documents", "told"), [(1, [0.0]), (2, [])])
def test_no_number_is_told_where_a_document_could_have_any_advisory_open(documents: int, told: list[float]) -> None:
    late = view(level(1), fmspc="B0C06F000000").documents[0]._replace(next_update=datetime(2026, 2, 1, tzinfo=UTC))
    outdated = TcbLevel(5, DAY, TcbStatus.OUT_OF_DATE)
    every = (view(level(6), outdated).documents[0], late)[:documents]
    said = {**summary(TcbView(every, DAY).standings(0x105)), "closed_by": {}}
    assert said["status"] == "OutOfDate"
    by_name = {metric.name: metric.samples for metric in prometheus._tcb(said)}
    assert [value for _, value in by_name["seamstep_tcb_open_advisories"]] == told
    assert [*closing_text(said)] == (["no advisory is open in it"] if told else [])


def test_metrics_have_the_status(run: Run, tmp_path: Path) -> None:
    options = ("--sysroot", tree_of("1.5.05", tmp_path), "--tcb-info", NEW, *THEN, "--format", "prometheus")
    metrics = run("status", *options, "--mapping", LATEST).out.splitlines()
    assert {
        'seamstep_tcb_status{status="OutOfDate"} 1',
        'seamstep_tcb_status{status="UpToDate"} 0',
        'seamstep_tcb_status{status="unknown"} 0',
        "seamstep_tcb_open_advisories 2",
        'seamstep_tcb_advisory_info{advisory="INTEL-SA-01036",closed_by="1.5.06"} 1',
        "seamstep_tcb_behind_since_timestamp_seconds 1731456000",
    } <= {*metrics}
    late = run("status", *options, "--as-of", "2026-11-27").out.splitlines()
    assert 'seamstep_tcb_status{status="unknown"} 1' in late
    assert not [line for line in late if line.startswith(("seamstep_tcb_open", "seamstep_tcb_behind"))]


@pytest.mark.parametrize("command", ["plan", "apply", "status", "measurements"])
def test_what_does_not_verify_is_not_used(run: Run, tmp_path: Path, host: Path, command: str) -> None:
    path = tmp_path / "tcb.json"
    path.write_text(NEW.read_text().replace('"isvsvn":6', '"isvsvn":5'))
    path.with_suffix(".pem").write_text(NEW.with_suffix(".pem").read_text())
    where = ("--facts", host) if command == "plan" else ("--sysroot", tree_of("1.5.05", tmp_path))
    day = () if command == "apply" else THEN
    options = () if command == "measurements" else where
    images = ("--images", tmp_path) if command != "plan" else ("--without-images",)
    ran = run(command, *options, "--mapping", LATEST, *images, "--tcb-info", path, *day)
    assert ran.code == 2
    assert "signature: the text of tcbInfo was not signed by the certificate of 'Intel SGX TCB Signing'" in ran.err


# -- a saved plan


@pytest.fixture
def saved(run: Run, host: Path, images: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A plan under a policy that goes by TCB Info, which may be stale, and the policy."""
    chosen = write_policy(tmp_path, RULE + STALE + "target: 1.5.16\n")
    plan = tmp_path / "plan.json"
    options = ("--catalog", images, *TRUST, "--facts", host, "--policy", chosen, "--tcb-info", NEW)
    made = run("plan", *options, "-o", plan)
    assert made.code == 0, made.out + made.err
    return plan, chosen


def rehearse(run: Run, plan: Path, *options: object) -> Any:
    return run("apply", plan, *TRUST, "--simulate", "--yes", *options)


def test_a_rehearsal_reads_the_documents_again(run: Run, saved: tuple[Path, Path], tmp_path: Path) -> None:
    plan, _ = saved
    assert rehearse(run, plan).code == 0
    assert rehearse(run, plan, "--tcb-info", REAL).code == 0  # the plan's is among them
    other = rehearse(run, plan, "--tcb-info", OLD)
    assert (other.code, "the TCB Info at hand is not what it was made with" in other.err) == (5, True)


def test_the_question_has_the_status_by_the_documents_at_hand(run: Run, saved: tuple[Path, Path]) -> None:
    """Not what the plan says of it: a plan is a proposal."""
    plan, chosen = saved
    document = json.loads(plan.read_text())
    document["tcb"]["before"] |= {"status": "Revoked", "advisories": ["INTEL-SA-00001"]}
    document["tcb"]["before"]["documents"][0] |= {"status": "Revoked", "advisories": ["INTEL-SA-00001"]}
    plan.write_text(json.dumps(resealed(document)))
    ran = run("apply", plan, *TRUST, "--simulate", "--policy", chosen)
    assert "TCB status: OutOfDate since 2024-11-13: INTEL-SA-01036, INTEL-SA-01099\n" in ran.err
    assert "INTEL-SA-00001" not in ran.err
    assert "until 2099-12-31: TCB Info is due to be renewed then" in ran.err


def test_a_document_that_changed_or_is_gone_makes_a_plan_stale(
    run: Run, saved: tuple[Path, Path], tmp_path: Path
) -> None:
    plan, _ = saved
    document = json.loads(plan.read_text())
    document["tcb"]["documents"][0]["path"] = str(tmp_path / "gone.json")
    plan.write_text(json.dumps(resealed(document)))
    gone = rehearse(run, plan)
    assert (gone.code, "the TCB Info it was made with can't be read" in gone.err) == (5, True)
    del document["tcb"]
    plan.write_text(json.dumps(resealed(document)))
    without = rehearse(run, plan)
    assert (without.code, "its policy goes by TCB Info, and it was made without" in without.err) == (5, True)


def test_a_plan_that_was_changed_to_close_nothing_is_refused(
    run: Run, saved: tuple[Path, Path], tmp_path: Path
) -> None:
    plan, chosen = saved
    ran = rehearse(run, plan, "--policy", chosen, "--target", "closes INTEL-SA-99999")
    assert ran.code == 5
    assert "which its policy's target closes INTEL-SA-99999 does not want" in ran.err


@pytest.mark.parametrize("level", ["warn", "prefer"])
def test_a_plan_that_was_made_without_is_applied_under_a_rule_that_requires_nothing(
    run: Run, host: Path, images: Path, tmp_path: Path, level: str
) -> None:
    chosen = write_policy(tmp_path, RULE.replace("require", level))
    plan = tmp_path / "plan.json"
    made = run("plan", "--catalog", images, *TRUST, "--facts", host, "--policy", chosen, "-o", plan)
    assert (made.code, "open: tcb-status: no TCB Info is at hand" in made.out) == (0, True), made.out + made.err
    assert rehearse(run, plan).code == 0
    named = rehearse(run, plan, "--tcb-info", NEW)
    assert (named.code, "it was made without; plan again with --tcb-info" in named.err) == (5, True)


# -- fleets


def test_a_fleet_is_counted_by_status_and_by_advisory(run: Run, spr: HostFacts, tmp_path: Path) -> None:
    modules = {"a": "1.5.05", "b": "1.5.05", "c": "1.5.06", "d": "1.5.07"}
    hosts = [spr._replace(hostname=name, module_version=ModuleVersion(one)) for name, one in modules.items()]
    inventory = tmp_path / "hosts.jsonl"
    inventory.write_text("".join(json.dumps(host.to_document()) + "\n" for host in hosts))
    options = ("fleet", "plan", inventory, "--mapping", LATEST, "--without-images", "--tcb-info", NEW, *THEN)
    document = run(*options, "--json").json
    schema = resources.schema("fleet")
    Draft202012Validator(schema).validate(document)
    assert document["totals"]["by_tcb_status"] == {"OutOfDate": 2, "UpToDate": 1, "unknown": 1}
    assert document["totals"]["by_advisory"] == dict.fromkeys(BOTH, 2)
    by_module = {one["module"]: one["tcb"] for one in document["classes"]}
    assert (by_module["1.5.05"]["status"], by_module["1.5.05"]["advisories"]) == ("OutOfDate", BOTH)
    page = tmp_path / "page.html"
    text = run(*options, "--html", page).out
    assert "what runs, by TCB status\n  OutOfDate            2\n" in text
    assert "open advisories\n  INTEL-SA-01036            2\n" in text
    assert "Open advisories" in page.read_text()


# -- pictures and reports


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("svg", "1.5.05 (running); TCB status OutOfDate since 2024-11-13: INTEL-SA-01036, INTEL-SA-01099"),
        ("html", "TCB status of 1.5.05: OutOfDate since 2024-11-13: INTEL-SA-01036, INTEL-SA-01099."),
        ("dot", "1.5.05\\nrunning\\nOutOfDate"),
        ("mermaid", "1.5.05: running, OutOfDate"),
        ("graphml", ">INTEL-SA-01036, INTEL-SA-01099<"),
    ],
)
def test_a_picture_has_the_status_of_each_release(run: Run, host: Path, form: str, told: str) -> None:
    assert told in run("graph", *plan_options(host), "--format", form).out
    bare = [*plan_options(host)]
    del bare[bare.index("--tcb-info") : bare.index("--tcb-info") + 2]
    without = run("graph", *bare, "--format", form).out
    assert without
    assert "TCB" not in without
    assert "OutOfDate" not in without


def test_the_graph_for_programs_has_statuses(run: Run, host: Path) -> None:
    nodes = {node["id"]: node for node in run("graph", *plan_options(host), "--json").json["nodes"]}
    assert (nodes["1.5.05"]["tcb_status"], nodes["1.5.05"]["advisories"]) == ("OutOfDate", BOTH)
    assert (nodes["1.5.16"]["tcb_status"], nodes["1.5.16"]["advisories"]) == ("UpToDate", [])


def test_a_report_has_the_status_and_the_documents(run: Run, host: Path, images: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    options = ("--catalog", images, *TRUST, "--facts", host, "--tcb-info", NEW, *THEN, "-o", page)
    assert run("report", *options).code == 0
    text = page.read_text()
    assert "TCB status: OutOfDate since 2024-11-13" in text or "TCB status: UpToDate" in text
    assert "90C06F000000 number 18" in text
    assert "by TEE_TCB_SVN_2" in text
    digest = json.loads(run("plan", *plan_options(host), "--json").out)["tcb"]["documents"][0]["sha256"]
    assert digest in text


@pytest.mark.parametrize(
    ("texts", "until"),
    [
        ((RULE + STALE, ""), "2099-12-31"),
        ((RULE + STALE, RULE), None),
        ((RULE + STALE, "target: closes X\n"), None),
        ((RULE + STALE, RULE + STALE.replace("2099", "2098")), "2098-12-31"),
        ((RULE, STALE), None),
        (("", STALE), "2099-12-31"),
    ],
)
def test_no_order_of_layers_lets_documents_count_for_longer(
    tmp_path: Path, texts: tuple[str, str], until: str | None
) -> None:
    found = []
    for number, text in enumerate(texts):
        folder = tmp_path / str(number)
        folder.mkdir()
        found.append(policy_file.layer(str(write_policy(folder, text)), DAY))
    for order in (found, found[::-1]):
        merged = layers.merge(order)
        assert (merged.tcb_stale_until and merged.tcb_stale_until.isoformat()) == until
        assert set(merged.target.closes) == {one for layer in order for one in layer.policy.target.closes}


# -- the configuration of a host


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with TCB Info that the configuration of this host names."""
    folder = tmp_path / "tcb-info"
    folder.mkdir()
    for suffix in (".json", ".pem"):
        (folder / NEW.with_suffix(suffix).name).write_bytes(NEW.with_suffix(suffix).read_bytes())
    config = tmp_path / "config.yaml"
    config.write_text(f"schema: seamstep/config/v1\ntcb_info: {folder}\n")
    monkeypatch.setattr(places, "CONFIG", str(config))
    return folder


def test_the_configuration_may_name_the_folder(run: Run, configured: Path, tmp_path: Path) -> None:
    options = ("--sysroot", tree_of("1.5.05", tmp_path), "--mapping", LATEST, *THEN)
    ran = run("status", *options)
    assert f"TCB Info {configured} (from " in ran.err
    assert "TCB                module OutOfDate since 2024-11-13" in ran.out
    assert "TCB status: OutOfDate" in run("plan", *options, "--without-images").out
    other = run("status", *options, "--tcb-info", OLD)  # what the options name comes first
    assert "module unknown (the document has expired: its nextUpdate was 2025-07-19)" in other.out


def test_damage_in_the_configured_folder_holds_up_only_what_goes_by_it(
    run: Run, configured: Path, tmp_path: Path
) -> None:
    path = configured / NEW.name
    path.write_text(path.read_text().replace('"isvsvn":6', '"isvsvn":5'))
    options = ("--sysroot", tree_of("1.5.05", tmp_path), "--mapping", LATEST, "--without-images", *THEN)
    ran = run("plan", *options)
    assert "TCB Info is not used: " in ran.err
    assert "TCB" not in ran.out
    assert run("plan", *options, "--policy", write_policy(tmp_path, RULE)).code == 2
    assert run("plan", *options, "--target", "closes INTEL-SA-01099").code == 2


def test_what_layers_come_to_is_shown(run: Run, tmp_path: Path) -> None:
    files = []
    for name, text in (("a", 'target: ">=1.5.6"\n' + RULE + STALE), ("b", "target: closes X\n" + STALE)):
        (tmp_path / name).mkdir()
        files.append(write_policy(tmp_path / name, text))
    shown = run("policy", "show", "--effective", *files).out
    assert re.search(r"^target: >=1\.5\.6 and closes X +# \S+/a/policy\.yaml:3, \S+/b/policy\.yaml:3$", shown, re.M)
    assert re.search(r"^tcb_info: expired TCB Info counts until 2099-12-31 ", shown, re.M)
    assert re.search(r"^rules\.tcb-status: require, UpToDate +# \S+/a/policy\.yaml:5$", shown, re.M)


def test_policies_are_compared_with_tcb_info(run: Run, images: Path, tmp_path: Path) -> None:
    files = []
    for name, target in (("a", "1.5.06"), ("b", "closes INTEL-SA-01099")):
        (tmp_path / name).mkdir()
        files.append(write_policy(tmp_path / name, f"target: {target}\nsigners: [{TRUST[1]}]\n"))
    options = ("policy", "diff", *files, "--catalog", images)
    without = run(*options)
    assert (without.code, "goes by TCB Info" in without.err) == (2, True)
    changes = run(*options, "--tcb-info", NEW, *THEN).out
    assert "0 steps and 0 paths change" in changes  # up to 1.5.06 both lead there, and nowhere from it on
    rule = write_policy(tmp_path, f"target: 1.5.06\nsigners: [{TRUST[1]}]\n{RULE}")
    compared = run("policy", "diff", files[0], rule, "--catalog", images, "--tcb-info", NEW, *THEN).out
    assert "tcb-status" in compared
    assert "1.5.01 → 1.5.05" in compared  # refused now: 1.5.05 is OutOfDate
    assert "1.5.05 → 1.5.06" not in compared
