"""The reference pages say what the code says."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import generate
import rule_examples
from conftest import DAY
from policy_page import COMPLETE
from rule_pages import cell, every_rule
from seamstep import rules
from seamstep.base import yaml_text
from seamstep.domain.model import Outcome
from seamstep.policy import policy_file
from seamstep.rules import Rule

ROOT = Path(__file__).parents[2]
PAGES = sorted(generate.REFERENCE.rglob("*.md"))


def rules_in_our_files() -> Iterator[str]:
    for module in pkgutil.iter_modules(rules.__path__, "seamstep.rules."):
        for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(found, Rule) and found is not Rule and found.__module__ == module.name:
                yield found.name


@pytest.mark.parametrize("name", generate.pages())
def test_page_is_current(name: str) -> None:
    assert name not in generate.stale(), f"docs/reference/{name} is stale; run python docs/generate.py"


def test_every_rule_has_a_page_and_an_example_and_no_other_has() -> None:
    names = set(rules_in_our_files())
    assert names == set(every_rule()) == set(rule_examples.names())
    assert names == {page.stem for page in (generate.REFERENCE / "rules").iterdir()} - {"README"}


@pytest.mark.parametrize("name", every_rule())
def test_example_blocks(name: str) -> None:
    verdict = rule_examples.example(name).verdict()
    assert (verdict.rule, verdict.outcome) == (name, Outcome.BLOCK)


@pytest.mark.parametrize("name", every_rule())
def test_example_has_nothing_else_against_it(name: str) -> None:
    example = rule_examples.example(name)
    hard = (rule() for rule in rules.HARD_RULES.values())
    blocking = {rule.name for rule in hard if rule.check(example.step, example.host).outcome is not Outcome.PASS}
    also = {"minimum-module"} if name == "same-series" else set()  # its minimum is of the other series
    assert blocking <= {name} | also


@pytest.mark.parametrize("name", every_rule())
def test_rule_says_why_and_what_to_do(name: str) -> None:
    rule = every_rule()[name]
    for text in (rule.why, rule.fix):
        assert re.fullmatch(r"[A-Z][^\n]*\.", text)
    assert rule.source


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8"))
    assert links
    for link in links:
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE) if anchor else ()
        assert not anchor or anchor in [heading.lower().replace(" ", "-") for heading in headings], link


def test_readme_leads_to_the_reference() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "](docs/reference/rules/README.md)" in readme
    assert "](docs/reference/policy.md)" in readme


def test_the_example_policy_is_accepted() -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", (generate.REFERENCE / "policy.md").read_text("utf-8"), re.DOTALL)
    assert shown == COMPLETE.read_text("utf-8")
    policy = policy_file.parse(yaml_text.read(shown.encode(), "policy.md"), None, DAY)
    assert not policy.expired
    assert policy.denials
    assert policy.waypoints


def test_pipes_do_not_end_a_cell() -> None:
    assert cell("a | b\nc") == "a \\| b c"


def test_stale_pages_are_named_and_written(tmp_path: Path) -> None:
    assert generate.stale(tmp_path) == list(generate.pages())
    generate.write(tmp_path)
    assert generate.stale(tmp_path) == []
    (tmp_path / "rules" / "gone.md").write_text("a rule that is gone")
    (tmp_path / "policy.md").write_text("changed by hand")
    (tmp_path / "by-hand.md").write_text("not the generator's affair")
    assert generate.stale(tmp_path) == ["policy.md", "rules/gone.md"]
    assert generate.write(tmp_path) == ["policy.md", "rules/gone.md"]
    assert generate.stale(tmp_path) == []
    assert (tmp_path / "by-hand.md").exists()


def test_check_names_stale_pages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(generate, "stale", lambda: ["policy.md"])
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().out.startswith("docs/reference/policy.md is stale")


def test_it_runs_as_a_script_from_anywhere(tmp_path: Path) -> None:
    script = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    ran = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
