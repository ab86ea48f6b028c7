"""What could not be written is an error, and what is written holds no more lines than were meant."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from fleet_plans import fleet_class, fleet_host, write_fleet
from test_host_facts import COMMON, LAYOUTS, tree

from conftest import FACTS, LATEST, TRUST, Run, plan_for
from seamstep.base import documents, writing
from seamstep.base.errors import RefusedError
from seamstep.cli import COMMANDS, main, parser
from seamstep.cli.output import to_json
from seamstep.domain.facts import HostFacts
from seamstep.fleet import ledger, plan_folder, rollout_file
from seamstep.fleet.messages import Planned
from seamstep.host.simulated import Fault, SimulatedHost
from seamstep.image import layout
from seamstep.show.formats import junit
from seamstep.show.text import printable

RELEASES = "--mapping LATEST --without-images --facts FACTS"
#: Every command, with the exit code that it has where its output can be written.
TABLE = [
    ("facts", "--sysroot HOST", 0),
    ("plan", RELEASES, 0),
    ("plan", f"{RELEASES} --exit-code", 10),
    ("plan", f"{RELEASES} --target 1.5.25", 1),
    ("explain", RELEASES, 0),
    ("explain", f"{RELEASES} --to 1.5.25", 1),
    ("graph", RELEASES, 0),
    ("graph", f"{RELEASES} --format html", 0),
    ("graph", f"{RELEASES} --format dot", 0),
    ("graph", f"{RELEASES} --format mermaid", 0),
    ("graph", f"{RELEASES} --format graphml", 0),
    ("report", RELEASES, 0),
    ("status", "--sysroot HOST", 0),
    ("status", "--sysroot NOWHERE", 3),
    ("status", "--sysroot HOST --format prometheus", 0),
    ("history", "--sysroot HOST", 0),
    ("lint", "GOOD", 0),
    ("lint", "GOOD --format sarif", 0),
    ("lint", "GOOD --format junit", 0),
    ("lint", "GOOD --format github", 0),
    ("diff", "LATEST LATEST", 0),
    ("diff", "LATEST LATEST --format markdown", 0),
    ("policy check", "fewest-hops", 0),
    ("policy test", "SCENARIO", 0),
    ("policy test", "SCENARIO --format junit", 0),
    ("policy show", "fewest-hops", 0),
    ("policy show", "fewest-hops --effective", 0),
    ("policy diff", "fewest-hops fewest-hops --mapping LATEST", 0),
    ("policy diff", "fewest-hops fewest-hops --mapping LATEST --format markdown", 0),
    ("policy schema", "", 0),
    ("image inspect", "IMAGE", 0),
    ("image verify", "IMAGE TRUST", 0),
    ("image verify", "IMAGE", 1),
    ("image convert", "IMAGE -o NEW", 0),
    ("image join", "JOINED.bin JOINED.sigstruct -o NEW", 0),
    ("measurements", "--catalog CATALOG TRUST", 0),
    ("measurements", "--catalog CATALOG TRUST --format csv", 0),
    ("measurements", "--plan PLAN", 0),
    ("fleet plan", "FACTS --mapping LATEST --without-images -o NEW", 0),
    ("fleet sql", "--dialect duckdb", 0),
    ("fleet check", "ROLLOUT", 0),
    ("fleet start", "FLEET --again --ledger LEDGER", 0),
    ("fleet next", "--ledger LEDGER --open", 0),
    ("fleet begin", "--ledger LEDGER --host h0 --lease none", 1),
    ("fleet record", "--ledger LEDGER --host h0 --outcome unreachable", 0),
    ("fleet status", "--ledger LEDGER", 0),
    ("fleet status", "--ledger LEDGER --format html", 0),
    ("fleet status", "--ledger LEDGER --format prometheus", 0),
    ("fleet halt", "--ledger LEDGER --by alice --reason x", 0),
    ("fleet resume", "--ledger LEDGER --by alice --reason x", 0),
    ("hold", "--state-dir STATE", 0),
    ("service show", "--units --exec /usr/bin/seamstep", 0),
    ("service show", "--root NEWROOT", 0),
    ("service check", "--root NEWROOT", 2),
    ("service install", "--exec /usr/bin/seamstep --root NEWROOT", 0),
    ("completion", "bash", 0),
    ("completion", "zsh", 0),
    ("demo", "", 0),
    ("demo", "--into NEW", 0),
]
#: The exit code of these tells how a host stands after a run.
RUNS = [
    ("apply", "PLAN --simulate --yes TRUST", 0),
    ("apply", "PLAN --simulate --yes --dry-run TRUST", 0),
    ("apply", "UPTODATE --simulate --yes TRUST", 0),
    ("apply", "PLAN --simulate --yes --max-hops 1 TRUST", 0),
    ("service look", "", 0),  # the exit code of this one is always the same
]
_FORMS = {"--format", "--effective"}
_WITHOUT_JSON = ("report", "completion")


def leaves(root: argparse.ArgumentParser, name: str = "") -> Iterator[str]:
    """All commands that a parser knows."""
    actions = [action for action in root._actions if isinstance(action, argparse._SubParsersAction)]
    if not actions:
        yield name
    for action in actions:
        for below, one in action.choices.items():
            yield from leaves(one, f"{name} {below}".strip())


def test_the_table_is_whole() -> None:
    assert {command for command, _, _ in (*TABLE, *RUNS)} == set(leaves(parser()))


@pytest.fixture
def places(images: Path, spr: HostFacts, tmp_path: Path) -> dict[str, str]:
    """What the words of the table stand for."""
    tree(tmp_path / "host", COMMON, LAYOUTS["mainline"], {"sys/devices/faux/tdx_host/version": "1.5.24\n"})
    (tmp_path / "host/var/lib/seamstep").mkdir(parents=True)
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "newroot").mkdir()
    plan = plan_for(spr, images)
    (tmp_path / "plan.json").write_text(to_json(plan.document))
    last = spr._replace(module_version=plan.hops[-1].target)
    (tmp_path / "uptodate.json").write_text(to_json(plan_for(last, images).document))
    image = next(images.rglob("tdx_module_1.5.28.blob"))
    content = image.read_bytes()
    (tmp_path / "j.sigstruct").write_bytes(layout.of(memoryview(content)).sigstruct)
    (tmp_path / "j.bin").write_bytes(content[layout.MODULE_OFFSET :])
    root = Path(__file__).parents[2]
    fleet = write_fleet(tmp_path, [fleet_class("c0001", "1.5.05", "1.5.06")], [fleet_host("h0"), fleet_host("h1")])
    rollout = rollout_file.load(str(tmp_path / "rollout.yaml"))
    with ledger.created(str(tmp_path / "ledger"), rollout) as book:
        read = plan_folder.load(str(fleet), rollout)
        book.step((Planned(read.classes), *read.hosts), first=True)
    return {
        "FLEET": str(fleet),
        "ROLLOUT": str(tmp_path / "rollout.yaml"),
        "LEDGER": str(tmp_path / "ledger"),
        "STATE": str(tmp_path / "state"),
        "LATEST": str(LATEST),
        "FACTS": str(FACTS),
        "HOST": str(tmp_path / "host"),
        "NOWHERE": str(tmp_path / "nowhere"),
        "GOOD": f"{LATEST} --fail-on never",
        "SCENARIO": str(sorted((root / "policies/tests").glob("*.yaml"))[0]),
        "IMAGE": str(image),
        "JOINED.bin": str(tmp_path / "j.bin"),
        "JOINED.sigstruct": str(tmp_path / "j.sigstruct"),
        "CATALOG": str(images),
        "PLAN": str(tmp_path / "plan.json"),
        "UPTODATE": str(tmp_path / "uptodate.json"),
        "NEWROOT": str(tmp_path / "newroot"),
        "NEW": str(tmp_path / "new"),
        "TRUST": " ".join(TRUST),
    }


def words(command: str, rest: str, places: dict[str, str]) -> list[str]:
    return [*command.split(), *" ".join(places.get(word, word) for word in rest.split()).split()]


def with_stdout(file: str, mode: int, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command whose standard output is ``file``."""
    with monkeypatch.context() as patched, os.fdopen(os.open(file, mode), "w") as stream:
        patched.setattr(sys, "stdout", stream)
        try:
            return main(arguments)
        except SystemExit as ended:
            assert isinstance(ended.code, int)
            return ended.code


EVERY = [*((*row, False) for row in TABLE), *((*row, True) for row in RUNS)]


@pytest.mark.parametrize(("command", "rest", "code", "stands"), EVERY, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("where", ["full", "closed"])
def test_output_that_is_lost_is_an_error(
    command: str,
    rest: str,
    code: int,
    stands: bool,
    where: str,
    places: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Never exit 0: an empty list of measurements would be a success to CI. A run's own exit code stands."""
    file, mode = ("/dev/full", os.O_WRONLY) if where == "full" else (os.devnull, os.O_RDONLY)
    expected = code if stands or code not in {0, 10} else 2
    given = words(command, rest, places)
    forms = [given] if _FORMS & set(given) or command in _WITHOUT_JSON else [given, [*given, "--json"]]
    for arguments in forms:
        shutil.rmtree(places["NEW"], ignore_errors=True)
        assert with_stdout(os.devnull, os.O_WRONLY, [*arguments, *_force(arguments)], monkeypatch) == code
        shutil.rmtree(places["NEW"], ignore_errors=True)
        capsys.readouterr()
        assert with_stdout(file, mode, [*arguments, *_force(arguments)], monkeypatch) == expected
        err = capsys.readouterr().err
        assert "seamstep: can't write to standard output: " in err
        assert "Traceback" not in err


def _force(arguments: list[str]) -> list[str]:
    return ["--force"] if arguments[0] == "image" and "-o" in arguments else []


@pytest.mark.parametrize("command", ["", *COMMANDS, "image verify", "policy diff", "service install"])
@pytest.mark.parametrize(("file", "mode"), [("/dev/full", os.O_WRONLY), (os.devnull, os.O_RDONLY)])
def test_help_that_is_lost_is_an_error(
    command: str, file: str, mode: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert with_stdout(file, mode, [*command.split(), "--help"], monkeypatch) == 2
    assert "can't write to standard output" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["--version", "--help", "facts --sysroot /proc --json", "demo", "policy schema", "completion bash"]
)
@pytest.mark.parametrize("where", ["> /dev/full", ">&-"])
def test_the_process_says_so_too(command: str, where: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m seamstep {command} {where}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("seamstep: can't write to standard output: ")


@pytest.mark.parametrize("command", ["--version", "--help", "lint --help", "demo", "demo --json", "policy schema"])
@pytest.mark.parametrize("reader", ["head -1", "true"])
def test_a_reader_that_leaves_is_no_error(command: str, reader: str) -> None:
    line = f"{sys.executable} -m seamstep {command} | {reader} > /dev/null; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_that_lost_tdx_says_so_wherever_the_output_goes(
    places: dict[str, str], spr: HostFacts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host = SimulatedHost(spr, {}, faults=[Fault(lost=True)])
    monkeypatch.setattr("seamstep.cli.apply._host", lambda *_: host)
    given = words("apply", "PLAN --simulate --yes TRUST", places)
    assert with_stdout("/dev/full", os.O_WRONLY, given, monkeypatch) == 7
    assert "can't write to standard output" in capsys.readouterr().err


@pytest.mark.parametrize(
    "rest", [f"plan {RELEASES} -o NEW", "lint GOOD -o NEW", "apply PLAN --simulate --yes TRUST -o NEW"]
)
def test_the_file_is_written_though_the_output_is_lost(
    rest: str, places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = with_stdout("/dev/full", os.O_WRONLY, words("", rest, places), monkeypatch)
    assert code == (0 if rest.startswith("apply") else 2)
    assert json.loads(Path(places["NEW"]).read_text())


def test_an_error_that_can_not_be_written_as_json_is_written_as_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert with_stdout("/dev/full", os.O_WRONLY, ["plan", "--json"], monkeypatch) == 2
    assert "a mapping file is needed" in capsys.readouterr().err


# -- numbers


def test_no_number_is_infinite(run: Run, tmp_path: Path) -> None:
    mapping = json.loads(LATEST.read_text())
    path = tmp_path / "m.json"
    path.write_text(json.dumps(mapping)[:-1] + ',\n "x": {"y": 1e400}}')
    ran = run("lint", path, "--json")
    assert ran.code == 2
    (problem,) = ran.json["unreadable"]
    assert (problem["line"], problem["column"], problem["message"]) == (2, 13, "not JSON: 1e400 is too large a number")
    for write in (to_json, documents.canonical):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write({"x": float("inf")})


# -- lines

ODD = "x\n::owned::\x1b[31m\r\x85\u2028##[owned]"


def lines_of(text: str) -> list[str]:
    return [line for line in text.split("\n") if not line.isprintable() or "##[owned" in line or begins(line)]


def begins(line: str) -> bool:
    return line.lstrip().startswith("::owned")


@pytest.mark.parametrize("name", [ODD, "::owned::"])
def test_no_name_begins_a_line_of_its_own(
    name: str, run: Run, images: Path, spr: HostFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CI service would take it for a command."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(images, name)
    folder = Path(name)
    Path(name, f"tdx_{name}.blob").write_bytes(b"")
    Path(name, "tdx_module_1.5.28.bin").write_bytes(b"x")
    Path(name, "bad.json").write_text('{"tdx_module_releases": [{"version": "1.5\\n::owned::", "x\\n::owned::": 1}]}')
    Path(name, "facts.json").write_text(json.dumps(json.loads(FACTS.read_text()) | {"hostname": name}))
    policy = {"schema": "seamstep/policy/v1", "name": "p", "deny": [{"versions": "==1.5.28", "reason": name}]}
    Path(name, "p.yaml").write_text(json.dumps(policy))
    tree(tmp_path / name / "host", COMMON, LAYOUTS["mainline"], {"proc/sys/kernel/hostname": f"a{name}"})
    facts = ("--facts", folder / "facts.json")
    ours = (*facts, "--policy", folder / "p.yaml")
    commands: list[tuple[Any, ...]] = [
        ("plan", "--catalog", folder, *ours, *TRUST),
        ("plan", "--catalog", folder / "none", *ours),
        ("explain", "--catalog", folder, *ours, *TRUST),
        ("report", "--catalog", folder, *ours, *TRUST),
        *(("graph", "--catalog", folder, *facts, "--format", form) for form in ("svg", "html", "dot", "mermaid")),
        *(("graph", "--catalog", folder, *ours, "--format", form) for form in ("graphml", "json", "svg")),
        *(
            ("lint", path, "--format", form)
            for path in (folder, folder / "bad.json", f"{name}none")
            for form in ("text", "json", "sarif", "junit", "github")
        ),
        *(
            ("diff", LATEST, path, "--format", form)
            for path in (folder, folder / "bad.json")
            for form in ("text", "json", "markdown")
        ),
        *(("measurements", "--catalog", folder, "--format", form) for form in ("table", "csv", "json")),
        ("image", "verify", folder),
        ("image", "inspect", next(folder.rglob("tdx_module_1.5.28.blob"))),
        ("image", "convert", next(folder.rglob("tdx_module_1.5.28.blob")), "-o", f"{name}.blob"),
        ("image", "convert", next(folder.rglob("tdx_module_1.5.28.blob")), "-o", f"{name}.blob"),
        ("policy", "check", folder / "p.yaml"),
        ("policy", "check", folder / "bad.json"),
        ("policy", "show", folder / "p.yaml"),
        ("policy", "show", "--effective", folder / "p.yaml"),
        ("policy", "diff", "fewest-hops", folder / "p.yaml", "--mapping", LATEST),
        ("facts", "--sysroot", folder / "host"),
        ("status", "--sysroot", folder / "host"),
        ("status", "--sysroot", folder / "host", "--format", "prometheus"),
        ("service", "install", "--root", folder, "--exec", "/usr/bin/seamstep"),
        ("demo", "--into", folder / "demo"),
        ("demo", "--into", folder / "demo"),
        (name,),
        ("completion", name),
    ]
    for command in commands:
        ran = run(*command)
        assert ran.code in {0, 1, 2}, command
        assert lines_of(ran.out) + lines_of(ran.err) == [], command
        if "junit" in command or "svg" in command or "graphml" in command:
            ElementTree.fromstring(ran.out)


def test_junit_texts_are_lines() -> None:
    case = junit.Case("a\nb", "c\rd", ["e\n::f", "g"], "h\x00i")
    text = junit.xml("n", {"s\n::t": [case]})
    assert [line for line in text.split("\n") if "::" in line and begins(line.replace("::f", "::owned"))] == []
    (failure,) = ElementTree.fromstring(text).iter("failure")
    assert (failure.text, failure.get("message")) == ("e\\n::f\ng", "e\\n::f")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::x", "\\x3a:error::x"),
        ("  ::error", "  \\x3a:error"),
        ("a ::b", "a ::b"),
        ("x ##[error]y", "x \\x23#[error]y"),
        ("## a", "## a"),
        ("a\n::b", "a\\n::b"),
    ],
)
def test_commands_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == printable(shown) == shown


def test_line_breaks_of_a_picture_are_for_its_reader(run: Run, images: Path) -> None:
    out = run("graph", "--catalog", images, *TRUST, "--facts", FACTS).out
    titles = [title.text or "" for title in ElementTree.fromstring(out).iter("{http://www.w3.org/2000/svg}title")]
    assert any(title.split("\n")[1:] for title in titles), "a step and its reasons"
    assert all(line.count("<title") == line.count("</title>") for line in out.split("\n"))


# -- files that are written


def test_a_link_to_nothing_is_left_alone(run: Run, tmp_path: Path, places: dict[str, str]) -> None:
    link, there = tmp_path / "link", tmp_path / "there"
    link.symlink_to(there)
    for force in ([], ["--force"]):
        for command, rest in [
            ("plan", RELEASES),
            ("lint", "GOOD"),
            ("graph", RELEASES),
            ("report", RELEASES),
            ("diff", "LATEST LATEST"),
            ("measurements", "--catalog CATALOG"),
            ("history", "--sysroot HOST"),
            ("status", "--sysroot HOST --format prometheus"),
            ("explain", RELEASES),
            ("facts", "--sysroot HOST"),
            ("image convert", "IMAGE"),
            ("image join", "JOINED.bin JOINED.sigstruct"),
            ("apply", "PLAN --simulate --yes TRUST"),
        ]:
            ran = run(*words(command, rest, places), "-o", link, *force)
            assert (ran.code, "link to a file that does not exist" in ran.err) == (1, True), command
    assert run("demo", "--into", link).code == 1
    assert (there.exists(), link.is_symlink()) == (False, True)


def test_a_link_that_is_made_meanwhile_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link, there = tmp_path / "link", tmp_path / "there"

    def check(path: Path, **_: Any) -> None:
        path.symlink_to(there)

    monkeypatch.setattr(writing, "check_writable", check)
    with pytest.raises(RefusedError):
        writing.write_atomic(link, b"x", replace=False)
    assert (there.exists(), link.is_symlink()) == (False, True)


def test_units_are_written_below_their_root(run: Run, tmp_path: Path) -> None:
    """An image's own links lead to this machine's folders."""
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    (root / "usr/lib").mkdir(parents=True)
    elsewhere.mkdir()
    (root / "usr/lib/systemd").symlink_to(elsewhere)
    ran = run("service", "install", "--root", root, "--exec", "/usr/bin/seamstep")
    assert (ran.code, "leads out of" in ran.err, list(elsewhere.iterdir())) == (1, True, [])
    (root / "usr/lib/systemd").unlink()
    (root / "etc").symlink_to(elsewhere)
    assert run("service", "install", "--root", root, "--exec", "/usr/bin/seamstep").code == 1
    assert (list(elsewhere.iterdir()), (root / "usr/lib/systemd").exists()) == ([], False)
