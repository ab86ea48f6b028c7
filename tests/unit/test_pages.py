"""The pages that people read: commands parse, links lead somewhere, policies are valid, and the tutorial is played."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from playing import BLOCK, is_shown, script, steps

from conftest import DAY
from seamstep import cli
from seamstep.policy import policy_file
from seamstep.service import configuration

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
HOW_TO = [DOCS / "tutorial.md", DOCS / "air-gapped.md", DOCS / "one-host.md"]
ROOT = DOCS.parent
README = ROOT / "README.md"
TOP = [README, ROOT / "SECURITY.md"]


def commands(page: Path) -> list[str]:
    text = page.read_text()
    blocks = [match["block"] for match in BLOCK.finditer(text) if match["kind"] == "console"]
    lines = re.sub(r"\\\n\s*", "", "\n".join(blocks))
    return re.findall(r"^[$#] (?:sudo )?(?:/\S+/)?seamstep (.*)$", lines, re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name_of)
def test_every_command_parses(page: Path) -> None:
    shown = commands(page)
    assert len(shown) > 3 or page not in HOW_TO
    for line in shown:
        cli.parser().parse_args(shlex.split(line.replace("$(cat signer)", "0" * 64)))


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 200


def test_the_index_has_every_page() -> None:
    index = (DOCS / "README.md").read_text()
    for page in PAGES:
        assert page.name == "README.md" or f"]({page.name})" in index, page.name


@pytest.mark.parametrize("page", [README, *PAGES], ids=name_of)
def test_every_file_of_the_code_exists(page: Path) -> None:
    """A path such as `rules/base.py` or `run/journal/` is below engine/seamstep, or below the repository's root."""
    for path in re.findall(r"`([a-z_]+/(?:[\w./-]*/)?(?:\w+\.py)?)`", page.read_text()):
        assert (ROOT / "engine" / "seamstep" / path).exists() or (ROOT / path).exists(), path


def test_every_test_of_the_threat_model_exists() -> None:
    named = set(re.findall(r"`(test_\w+\.py)`", (DOCS / "threat-model.md").read_text()))
    assert len(named) > 10
    assert not {name for name in named if not Path(__file__).with_name(name).exists()}


@pytest.mark.parametrize("page", [*TOP, *PAGES], ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            heads = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}, link


@pytest.mark.parametrize("page", HOW_TO, ids=name_of)
def test_every_policy_and_configuration_is_valid(page: Path, tmp_path: Path) -> None:
    policies = [match["block"] for match in BLOCK.finditer(page.read_text()) if match["kind"] == "yaml"]
    assert policies or page.stem == "air-gapped"
    for text in policies:
        if text.startswith("schema: seamstep/config/"):
            configuration.read(text.encode(), page.name)
            continue
        (tmp_path / "p.yaml").write_text(text)
        policy_file.load(str(tmp_path / "p.yaml"), DAY)


def first_run(readme: str) -> str:
    return readme.partition("## A first run")[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    ("text", "least"),
    [((DOCS / "tutorial.md").read_text(), 10), (first_run(README.read_text()), 4)],
    ids=["tutorial", "first run"],
)
def test_the_tutorial_and_the_first_run_are_what_happens(text: str, least: int, tmp_path: Path) -> None:
    """All commands in one shell, in their order; what each prints is what the page shows, ``...`` for anything."""
    session = list(steps(text))
    assert len([step for step in session if step.prompt == "$"]) > least
    program = ["exec 2>&1", *(f"{script(step)}\nprintf '\\n@@\\n'" for step in session)]
    here = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(["bash", "-c", "\n".join(program)], cwd=tmp_path, env=here, capture_output=True, check=True)
    came = done.stdout.decode().split("\n@@\n")
    assert len(came) == len(session) + 1
    for step, out in zip(session, came, strict=False):
        assert step.prompt == ">" or is_shown(step.shown, out), f"{step.text}\n{out}"


@pytest.mark.skipif(not (ROOT / ".ci").exists(), reason="a source distribution has no .ci")
def test_every_block_of_the_readme_is_run() -> None:
    """Those of "A first run" by the test above, the others, each below a mark, by CI: they install packages."""
    text = README.read_text()
    played = first_run(text)
    others = text.replace(played, "")
    marks = re.findall(r"<!-- ci: (\w+) -->\n```sh\n", others)
    assert marks
    assert (others.count("```"), played.count("```")) == (2 * len(marks), 2 * len(BLOCK.findall(played)))
    for mark in marks:
        assert f"$(readme_command {mark})" in (ROOT / ".ci" / "run").read_text()


def test_every_command_of_the_readmes_table_exists(capsys: pytest.CaptureFixture[str]) -> None:
    """The first of a row has the name of the program; a later one can be an option of the same command."""
    cells = re.findall(r"^\|.*\| (`seamstep .*)\|$", README.read_text(), re.MULTILINE)
    assert len(cells) > 15
    for cell in cells:
        command: list[str] = []
        for shown in re.findall(r"`([^`]+)`", cell):
            words = shown.removeprefix("seamstep ").split()
            command = [word for word in words if not word.startswith("-")] or command
            with pytest.raises(SystemExit) as ended:
                cli.main([*command, "--help"])
            text = capsys.readouterr().out
            assert ended.value.code == 0, shown
            assert all(f" {word}" in text for word in words if word.startswith("-")), shown
