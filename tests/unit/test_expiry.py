"""Expired denials and waivers are named where they would have mattered: by plan, explain and status."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_policies import written

from conftest import DAY, FACTS, LATEST, Run, host_like, write_facts
from seamstep.domain.facts import HostFacts

GIVEN = ("--mapping", LATEST, "--without-images")
ENTRIES = """path: fewest-hops
deny:
- {versions: 1.5.34, reason: broken, until: 2026-11-01}
- {versions: 1.5.99, reason: broken, until: 2026-11-01}
accept:
- {rule: td-build, versions: 1.5.09, reason: r, by: us, until: 2026-10-01}
- {rule: td-build, versions: 1.5.05, reason: r, by: us, until: 2026-10-01}
- {rule: td-build, versions: 1.5.16, reason: r, by: us, until: 2099-10-01}
- {rule: feature-loss, versions: 1.5.09, reason: r, by: us, until: 2026-10-01}
rules: {no-stranding: off}
"""


def test_the_waiver_that_would_have_let_a_release_through(run: Run, spr: HostFacts, tmp_path: Path) -> None:
    """1.5.09 is refused by td-build alone, whose waiver expired; the other entries would not have mattered."""
    policy = written(tmp_path, "p", ENTRIES)
    facts = write_facts(tmp_path / "facts.json", host_like(spr, "1.5.06", running_tds=1))
    told = f"1.5.09 is refused by td-build, and its waiver expired on 2026-10-01 ({policy}:8)"
    given = ("--facts", facts, "--policy", policy, "--as-of", DAY)
    plan = run("plan", *GIVEN, *given, "--target", "1.5.09")
    assert f"\nexpired: {told}\n" in plan.out
    assert plan.out.count("expired: ") == 1
    assert run("plan", *GIVEN, *given, "--target", "1.5.09", "--json").json["expired"] == [told]
    explained = run("explain", *GIVEN, *given, "--to", "1.5.09")
    assert f"\nexpired: {told}\n" in explained.out
    assert explained.out.count("expired: ") == 1
    before = ("--facts", facts, "--policy", policy, "--as-of", "2026-10-01")
    for command in ("plan", "explain"):
        ran = run(command, *GIVEN, *before, "--target", "1.5.09")
        assert (ran.code, "expired: " in ran.out) == (0, False), "it is still in force on its last day"


def test_the_denial_that_would_have_held_a_release_back(run: Run, tmp_path: Path) -> None:
    policy = written(tmp_path, "p", ENTRIES)
    given = ("--facts", FACTS, "--policy", policy, "--as-of", DAY)
    told = f"1.5.34 is not denied any more: its denial expired on 2026-11-01 ({policy}:5)"
    for command in ("plan", "explain"):
        ran = run(command, *GIVEN, *given)
        assert (ran.code, f"\nexpired: {told}\n" in ran.out) == (0, True), ran.out
        assert run(command, *GIVEN, *given, "--json").json["expired"] == [told]


def test_status_names_them(run: Run, spr: HostFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = written(tmp_path, "p", ENTRIES)
    monkeypatch.setattr("seamstep.host.read_facts.read_facts", lambda _: spr)
    given = ("status", "--mapping", LATEST, "--policy", policy, "--as-of", DAY, "--state-dir", tmp_path)
    told = f"1.5.34 is not denied any more: its denial expired on 2026-11-01 ({policy}:5)"
    assert f"\nexpired            {told}\n" in run(*given).out
    assert run(*given, "--json").json["permitted"]["expired"] == [told]
