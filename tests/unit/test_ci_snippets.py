"""The snippets of docs/ci.md do what they say: their commands run here, in a repository like the one they are for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import FEBRUARY, LATEST, Run

ROOT = Path(__file__).parents[2]
SNIPPETS = dict(
    re.findall(r"<!-- example: ([a-z-]+) -->\n```yaml\n(.*?)```", (ROOT / "docs/ci.md").read_text(), re.DOTALL)
)


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a mapping file and policies; the branch at work brings the latest mapping file."""
    folder = tmp_path / "repository"
    shutil.copytree(ROOT / "policies", folder / "policies")
    shutil.copy(FEBRUARY, folder / "mapping_file.json")
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "before")
    git(folder, "update-ref", "refs/remotes/origin/main", "HEAD")
    shutil.copy(LATEST, folder / "mapping_file.json")
    return folder


def perform(folder: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a CI system does with a command; seamstep is installed already."""
    command = "\n".join(line for line in command.split("\n") if not line.startswith("pip install"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": path, "TMPDIR": str(folder.parent)} | environment,
    )


def github_steps() -> Iterator[Any]:
    for step in yaml.safe_load(SNIPPETS["github"])["jobs"]["seamstep"]["steps"]:
        if "run" in step:
            yield pytest.param(step["run"], id=step.get("name", step["run"]))


@pytest.mark.parametrize("command", list(github_steps()))
def test_github_actions(repository: Path, tmp_path: Path, command: str) -> None:
    summary = tmp_path / "summary.md"
    ran = perform(
        repository, command, GITHUB_BASE_REF="main", RUNNER_TEMP=str(tmp_path), GITHUB_STEP_SUMMARY=str(summary)
    )
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert "seamstep diff" not in command or "1.5.34" in summary.read_text()


def test_github_actions_stop_a_bad_file(repository: Path) -> None:
    shutil.copy(FEBRUARY, repository / "mapping_file.json")
    ran = perform(repository, "seamstep lint --format github mapping_file.json")
    assert ran.returncode == 1
    assert "::error file=mapping_file.json,line=66,col=4,title=features-shrink::2.0.05 lacks" in ran.stdout


def test_gitlab(repository: Path) -> None:
    job = yaml.safe_load(SNIPPETS["gitlab"])["mapping-file"]
    ran = perform(repository, "\n".join(job["script"]), CI_MERGE_REQUEST_DIFF_BASE_SHA="HEAD")
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert (repository / job["artifacts"]["reports"]["junit"]).read_text().startswith("<?xml")


def test_the_settings_are_accepted(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(SNIPPETS["settings"])
    ran = run("lint", LATEST, "--config", path, "--as-of", "2026-11-23")
    assert "0 errors, 1 warning, 4 notes, 1 suppressed" in ran.out


def hooks() -> dict[str, dict[str, str]]:
    return {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("mapping_file.json", {"seamstep-lint"}),
        ("mirror/mapping_file-2026-02.json", {"seamstep-lint"}),
        ("policies/team.yaml", {"seamstep-policy-check"}),
        ("policies/tests/team.yml", {"seamstep-policy-test"}),
        ("docs/mapping.json", set()),
        ("schemas/policy.schema.json", set()),
    ],
)
def test_hooks_look_at_their_files(path: str, expected: set[str]) -> None:
    assert {name for name, hook in hooks().items() if re.search(hook["files"], path)} == expected


def test_the_configuration_names_hooks_that_there_are() -> None:
    (repo,) = yaml.safe_load(SNIPPETS["pre-commit"])["repos"]
    assert {hook["id"] for hook in repo["hooks"]} == set(hooks())


@pytest.mark.slow
def test_pre_commit_runs_the_hooks(repository: Path, tmp_path: Path) -> None:
    """With pre-commit itself: it clones this repository, installs it into an environment of its own, and runs."""
    config = yaml.safe_load(SNIPPETS["pre-commit"])
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True)
    config["repos"][0] |= {"repo": str(ROOT), "rev": head.stdout.strip()}
    (repository / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    git(repository, "add", ".")
    home = str(tmp_path / "home")
    command = f"{sys.executable} -m pre_commit run --all-files"
    good = perform(repository, command, PRE_COMMIT_HOME=home)
    assert good.returncode == 0, good.stdout + good.stderr
    assert good.stdout.count("Passed") == 3
    shutil.copy(FEBRUARY, repository / "mapping_file.json")
    git(repository, "add", ".")
    bad = perform(repository, command, PRE_COMMIT_HOME=home)
    assert bad.returncode == 1
    assert "2.0.05 lacks ENHANCED_EVENT_FILTERING" in bad.stdout
