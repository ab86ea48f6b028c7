"""Rollout files: everything in them is read, and every mistake is found at once, with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fleet_plans import ROLLOUT

from conftest import Run
from seamstep.base import yaml_text
from seamstep.base.errors import InputError
from seamstep.fleet import rollout_file
from seamstep.fleet.settings import Amount, Rollout, Threshold

COMPLETE = Path(__file__).parents[1] / "cases" / "accept" / "rollout" / "complete.yaml"


def test_every_key_has_its_meaning() -> None:
    rollout = rollout_file.load(str(COMPLETE))
    assert rollout._replace(sha256="") == Rollout(
        name="production",
        sha256="",
        domain="rack",
        unavailable_in_domain=Amount(1),
        unavailable_in_all=Amount(5, percent=True),
        canaries=3,
        canary_soak=86400,
        waves=(Amount(1, percent=True), Amount(10, percent=True), Amount(500)),
        wave_soak=14400,
        halts={
            "lost": Threshold(1, "fleet"),
            "unknown": Threshold(1, "fleet"),
            "failed": Threshold(2, "class"),
            "unreachable": Threshold(5, "fleet"),
        },
        reserve=1,
        allow_list=True,
        lease=1800,
        retry=900,
        operators=("alice", "bob"),
    )
    assert Rollout.from_document(json.loads(json.dumps(rollout.to_document()))) == rollout


def test_what_halts_by_default_is_invariant_3(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(ROLLOUT)
    halts = rollout_file.load(str(tmp_path / "r.yaml")).halts
    assert halts == {"lost": Threshold(1, "fleet"), "unknown": Threshold(1, "fleet"), "failed": Threshold(1, "class")}


def test_all_mistakes_at_once(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        "schema: seamstep/rollout/v1\nname: x\nunavailable:\n  in_domain: 0%\ncanaries:\n  hosts: 0\n  soak: 24d\n"
        "waves:\n  sizes: [1.5%]\nhalt:\n  lost: off\n  failed: {hosts: 2}\nextra: 1\n"
    )
    ran = run("fleet", "check", path)
    assert ran.code == 2
    assert ran.err.replace(f"seamstep: {path}:", "") == (
        "3:1: unavailable: the key 'in_all' is missing\n"
        "4:3: unavailable.in_domain: '0%' is not a number of hosts, or a percentage such as 10%\n"
        "4:3: unavailable.in_domain: has no meaning without 'domain', the label that names a host's domain\n"
        "6:3: canaries.hosts: 0 is not a whole number of 1 or more\n"
        "7:3: canaries.soak: '24d' is not a duration such as 30s, 10m or 2h\n"
        "9:11: waves.sizes[0]: '1.5%' is not a number of hosts, or a percentage such as 10%\n"
        "11:3: halt.lost: can't be turned off: hosts that are lost halt\n"
        "12:3: halt.failed: the key 'of' is missing\n"
        "13:1: extra: unknown key; did you mean 'retry'?\n"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("domain: rack\nunavailable: {in_all: 1}\n", "'in_domain' is missing: there are domains"),
        ("unavailable: {in_all: 1}\nunavailable: {in_all: 1}\n", "stands twice"),
        ("unavailable: {in_all: 101%}\n", "not a number of hosts"),
        ("unavailable: {in_all: 0}\n", "not a number of hosts"),
        ("unavailable: 5\n", "is not an object"),
        ("unavailable: {in_all: 1}\nlease: soon\n", "not a duration"),
        ("unavailable: {in_all: 1}\nallow_list: true\n", "required or off"),
        ("unavailable: {in_all: 1}\nhalt: {failed: often}\n", "'off', or an object"),
        ("unavailable: {in_all: 1}\noperators: []\n", "a list of names"),
    ],
)
def test_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"schema: seamstep/rollout/v1\nname: x\ncanaries: {{hosts: 1, soak: 1h}}\n{text}")
    with pytest.raises(InputError) as raised:
        rollout_file.load(str(path))
    assert told in str(raised.value)


def test_a_valid_one_is_said_to_be(run: Run) -> None:
    assert "rollout production is valid" in run("fleet", "check", COMPLETE).out
    assert run("fleet", "check", COMPLETE, "--json").json["rollout"]["canaries"] == 3
    off = COMPLETE.read_text().replace("failed: {hosts: 2, of: class}", "failed: off")
    assert "failed" not in rollout_file.parse(yaml_text.read(off.encode(), "r.yaml")).halts
