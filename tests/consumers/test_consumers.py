"""What seamstep writes for other programs is accepted by these programs themselves: SARIF by Microsoft's validator, XML
by xmllint, metrics by Prometheus' linter, DOT by Graphviz. Mermaid has its test in tests/browser."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import networkx
import pytest

from conftest import FACTS, FEBRUARY, LATEST, TRUST, Run, host_like, write_facts
from seamstep.domain.facts import HostFacts

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "cases" / "lint"
#: A text that is not at home in any of the formats.
EVIL = "a<b>&\"'|{x}[y]\\ %0A; é"
POLICIES = """schema: seamstep/policy/v1
name: p
deny:
- {{versions: 1.5.28, reason: {reason}, until: {until}}}
- {{versions: 1.5.99, reason: "<b>&'|"}}
apply: {{before: [[/bin/echo, "<&>"]]}}
"""


def program(name: str) -> str:
    """The path of a program. The test is skipped where there is none, except in CI, where it fails."""
    here = HERE / "node_modules" / ".bin" / name
    found = str(here) if here.exists() else shutil.which(name)
    if not found:
        assert not os.environ.get("SEAMSTEP_REQUIRE_CONSUMERS"), f"{name} is not installed"
        pytest.skip(f"{name} is not installed")
    return found


def feed(name: str, *arguments: object, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program; it has to accept what it is given. .NET may do without the libraries of languages."""
    environment = os.environ | {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}
    command = [program(name), *map(str, arguments)]
    ran = subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran


def policies(folder: Path) -> tuple[Path, Path]:
    """Two policies that differ."""
    paths = (folder / "old.yaml", folder / "new.yaml")
    for path, reason, until in zip(paths, ("one", "other"), ("2026-01-01", "2099-01-01"), strict=True):
        path.write_text(POLICIES.format(reason=reason, until=until))
    return paths


def reports(run: Run, folder: Path, form: str) -> Iterator[tuple[str, str]]:
    """What each command that finds something writes, by name."""
    old, new = policies(folder)
    bad = folder / "bad.yaml"
    bad.write_text("schema: seamstep/policy/v1\nname: p\npath: x\n")
    baseline = folder / "baseline.json"
    run("lint", LATEST, "-o", baseline)
    commands: dict[str, Sequence[object]] = {
        "lint": ("lint", FEBRUARY, EXAMPLES / "image-signer" / "bad", folder / "none.json"),
        "baseline": ("lint", FEBRUARY, "--baseline", baseline),
        "clean": ("lint", EXAMPLES / "features-shrink" / "good.json"),
        "check": ("policy", "check", old, new, bad, "--mapping", LATEST),
        "diff": ("policy", "diff", old, new, "--mapping", LATEST, "--fail-on", "any"),
    }
    for code in sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()):
        place = EXAMPLES / code / "bad"
        if place.is_dir() or place.with_suffix(".json").exists():
            commands[code] = ("lint", place if place.is_dir() else place.with_suffix(".json"))
    for name, command in commands.items():
        yield name, run(*command, "--format", form).out


def test_sarif_is_accepted(run: Run, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for name, text in reports(run, tmp_path, "sarif"):
        (logs / f"{name}.sarif").write_text(text)
    count = len(list(logs.iterdir()))
    told = feed("sarif-multitool", "validate", *sorted(logs.iterdir())).stdout
    assert f"{count} files scanned" in told
    # SARIF2005 asks for the address of the tool's page; it has none yet.
    found = [line for line in told.splitlines() if ": warning " in line or ": error " in line]
    assert [line for line in found if "SARIF2005" not in line] == []


def test_the_validator_of_sarif_does_look(tmp_path: Path) -> None:
    log = tmp_path / "bad.sarif"
    log.write_text('{"version": "2.1.0", "runs": [{"results": []}]}')
    assert (
        ": error "
        in subprocess.run(
            [program("sarif-multitool"), "validate", log],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"},
        ).stdout
    )


def test_junit_is_xml(run: Run, tmp_path: Path) -> None:
    for _, text in (*reports(run, tmp_path, "junit"), ("test", run("policy", "test", "--format", "junit").out)):
        feed("xmllint", "--noout", "--nonet", "-", text=text)
        root = ElementTree.fromstring(text)
        assert root.tag == "testsuites"
        for suite in root:
            assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))


def pictures(run: Run, folder: Path, images: Path, spr: HostFacts, form: str) -> Iterator[str]:
    """A host's graph, and the whole graph of one with a name that is not at home in any format."""
    evil = write_facts(folder / "evil.json", host_like(spr, "1.5.24", hostname=EVIL))
    for facts, blocked in ((FACTS, "path"), (evil, "all")):
        given = ("--catalog", images, *TRUST, "--facts", facts, "--blocked", blocked)
        ran = run("graph", *given, "--format", form)
        assert ran.code == 0, ran.err
        yield ran.out


@pytest.mark.parametrize("form", ["svg", "graphml"])
def test_pictures_are_xml(run: Run, tmp_path: Path, images: Path, spr: HostFacts, form: str) -> None:
    for text in pictures(run, tmp_path, images, spr, form):
        feed("xmllint", "--noout", "--nonet", "-", text=text)


def test_dot_is_drawn(run: Run, tmp_path: Path, images: Path, spr: HostFacts) -> None:
    for text in pictures(run, tmp_path, images, spr, "dot"):
        drawn = feed("dot", "-Tsvg", text=text)
        assert drawn.stderr == ""
        assert "1.5.34" in drawn.stdout


def test_graphml_is_read_by_networkx(run: Run, tmp_path: Path, images: Path, spr: HostFacts) -> None:
    for text in pictures(run, tmp_path, images, spr, "graphml"):
        assert networkx.parse_graphml(text).number_of_edges() > 3


@pytest.mark.parametrize(
    "changes", [{}, {"module_version": None}, {"remaining_updates": 0}, {"hostname": EVIL}, {"running_tds": None}]
)
def test_metrics_are_accepted(
    run: Run, tmp_path: Path, spr: HostFacts, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    monkeypatch.setattr("seamstep.host.read_facts.read_facts", lambda _: spr._replace(**changes))  # type: ignore[arg-type]
    given = ("--mapping", LATEST, "--state-dir", tmp_path, "--format", "prometheus")
    checked = feed("promtool", "check", "metrics", text=run("status", *given).out)
    assert checked.stdout + checked.stderr == ""
