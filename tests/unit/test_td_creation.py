"""What policies say of the creation of TDs, and what plans make of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conftest import LATEST, Run, host_like, write_facts
from seamstep.domain.facts import HostFacts

HEAD = "schema: seamstep/policy/v1\n"
WARN, OFF = "rules: {td-build: warn, feature-loss: off}\n", "rules: {td-build: off, feature-loss: off}\n"
HELD, PREFER = "td_creation: held\n", "rules: {feature-loss: off, td-build: {level: prefer, cost: 100}}\n"
DEMAND = "rules: {feature-loss: off}\n"


@pytest.fixture
def plan(run: Run, spr: HostFacts, tmp_path: Path) -> Any:
    """Plan for a host that runs 1.5.06 with four TDs, under policies that say so."""

    def made(*policies: str) -> Any:
        options: list[object] = []
        for number, text in enumerate(policies):
            path = tmp_path / f"p{number}.yaml"
            path.write_text(f"{HEAD}name: p{number}\n{text}")
            options += ["--policy", path]
        facts = write_facts(tmp_path / "f.json", host_like(spr, "1.5.06", running_tds=4))
        document = run("plan", "--mapping", LATEST, "--without-images", "--facts", facts, "--json", *options).json
        (hop,) = document["hops"]
        risks = {risk["rule"]: risk["taken_by"] for risk in hop["risks"]}
        return hop["to"], document["td_creation"], hop["td_creation"]["safe"], risks.get("td-build")

    return made


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ((DEMAND,), ("1.5.13", None, True, None)),
        ((HELD + DEMAND,), ("1.5.34", "held", False, None)),
        ((WARN,), ("1.5.34", None, False, "warn")),
        ((OFF,), ("1.5.34", None, False, "off")),
        ((PREFER,), ("1.5.34", None, False, "prefer")),
        ((HELD + PREFER,), ("1.5.34", "held", False, None)),
        ((HELD + DEMAND, HELD + DEMAND), ("1.5.34", "held", False, None)),
        ((HELD + DEMAND, DEMAND), ("1.5.13", None, True, None)),
        ((HELD + DEMAND, WARN), ("1.5.13", None, True, None)),
        ((HELD + DEMAND, OFF), ("1.5.34", "held", False, None)),
        ((HELD + OFF, DEMAND), ("1.5.13", None, True, None)),
        ((HELD + OFF, OFF), ("1.5.34", None, False, "off")),
    ],
)
def test_layers_and_levels(plan: Any, policies: tuple[str, ...], expected: tuple[object, ...]) -> None:
    assert plan(*policies) == expected
    assert plan(*reversed(policies)) == expected, "no order of layers loosens anything"


def test_a_policy_may_prefer_hops_during_which_tds_may_be_created(run: Run, spr: HostFacts, tmp_path: Path) -> None:
    """From 1.5.06 to 1.5.34 one hop always needs creation held back; the smallest steps would need it four times."""
    facts = write_facts(tmp_path / "f.json", host_like(spr, "1.5.06", running_tds=4, remaining_updates=20))
    needing = {}
    for cost in (0, 1000):
        (tmp_path / "p.yaml").write_text(
            f"{HEAD}name: p\npath: shortest-path\ntd_creation: held\n"
            f"rules: {{feature-loss: off, td-build: {{level: prefer, cost: {cost}}}}}\n"
        )
        options = ("--mapping", LATEST, "--without-images", "--facts", facts, "--policy", tmp_path / "p.yaml")
        document = run("plan", *options, "--json").json
        assert document["hops"][-1]["to"] == "1.5.34"
        needing[cost] = sum(not hop["td_creation"]["safe"] for hop in document["hops"])
    assert needing[1000] == 1 < needing[0]
