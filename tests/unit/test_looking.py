"""Looking has no effects: what a folder or a document names is examined before it is opened."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_host_facts import COMMON, LAYOUTS, tree

from conftest import FACTS, LATEST, TRUST, Run, plan_for
from seamstep.base import documents
from seamstep.base.errors import InputError
from seamstep.cli.output import to_json
from seamstep.domain.facts import HostFacts
from seamstep.host.read_facts import read_facts
from seamstep.image.catalog import MAPPING_FILE
from seamstep.run.journal import reading

_guarded: set[str] = set()
_opened: list[str] = []


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    """Note and refuse the opening of a guarded path: the test fails rather than hangs."""
    if event == "open" and _guarded and str(arguments[0]) in _guarded:
        _opened.append(str(arguments[0]))
        raise PermissionError


sys.addaudithook(_guard)


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The guarded paths that were opened."""
    yield _opened
    _guarded.clear()
    _opened.clear()


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    """A link, since only root may make a device."""
    path.symlink_to("/dev/tty")


def link_to_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("the-fifo"))
    path.symlink_to("the-fifo")


def link_to_file(path: Path) -> None:
    """A file that would do, in another place."""
    path.symlink_to(LATEST)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as there:
        here = Path.cwd()
        os.chdir(path.parent)  # the path of a socket is short
        try:
            there.bind(path.name)
        finally:
            os.chdir(here)


ODD = [fifo, device, link_to_fifo, link_to_file, unix_socket]


def odd_file(path: Path, make: Callable[[Path], None]) -> Path:
    """Make ``path`` an odd file, and guard it."""
    path.unlink(missing_ok=True)
    make(path)
    _guarded.update({str(path), f"{path.parent}/./{path.name}", str(path.with_name("the-fifo"))})
    return path


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """The files of a host that can be updated."""
    tree(tmp_path / "host", COMMON, LAYOUTS["mainline"], {"sys/devices/faux/tdx_host/version": "1.5.24\n"})
    return tmp_path / "host"


CATALOG_COMMANDS = [
    "plan --catalog CATALOG --facts FACTS",
    "plan --catalog CATALOG --facts FACTS --without-images",
    "explain --catalog CATALOG --facts FACTS",
    "graph --catalog CATALOG --facts FACTS",
    "report --catalog CATALOG --facts FACTS",
    "status --catalog CATALOG --sysroot HOST",
    "apply --catalog CATALOG --sysroot HOST --yes --state-dir STATE",
    "apply --catalog CATALOG --sysroot HOST --dry-run --state-dir STATE",
    "lint CATALOG",
    "lint CATALOG/..",
    "diff CATALOG CATALOG",
    "measurements --catalog CATALOG",
    "policy check fewest-hops --catalog CATALOG",
    "policy diff fewest-hops shortest-path --catalog CATALOG",
    "image verify CATALOG",
]


@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize("command", CATALOG_COMMANDS)
def test_a_mapping_file_in_a_catalog_is_a_regular_file(
    command: str, make: Callable[[Path], None], run: Run, images: Path, host: Path, tmp_path: Path, opened: list[str]
) -> None:
    """Also while the lock is held, where waiting for it would hold up every other run."""
    folder = tmp_path / "catalogs" / "one"
    shutil.copytree(images, folder)
    odd_file(folder / MAPPING_FILE, make)
    places = {"CATALOG": str(folder), "FACTS": str(FACTS), "HOST": str(host), "STATE": str(tmp_path / "state")}
    words = command.split()
    for word, place in places.items():
        words = [one.replace(word, place) for one in words]
    ran = run(*words)
    assert (ran.code, opened) == (2, [])
    assert "not a regular file" in ran.out + ran.err


@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize("suffix", ["blob", "bin", "sigstruct"])
@pytest.mark.parametrize("command", ["plan --facts FACTS", "measurements", "image verify", "lint"])
def test_images_below_a_folder_are_regular_files(
    command: str,
    suffix: str,
    make: Callable[[Path], None],
    run: Run,
    images: Path,
    tmp_path: Path,
    opened: list[str],
) -> None:
    folder = tmp_path / "catalog"
    shutil.copytree(images, folder)
    file = next(folder.rglob("tdx_module_1.5.28.blob"))
    if suffix == "sigstruct":
        file.with_suffix(".bin").write_bytes(bytes(4096))
    odd = odd_file(file.with_suffix(f".{suffix}"), make)
    if suffix != "blob":
        file.unlink()
    words = [str(FACTS) if word == "FACTS" else word for word in command.split()]
    ran = run(*words, *([] if command.startswith(("image", "lint")) else ["--catalog"]), folder)
    assert opened == []
    assert f"{odd.with_suffix('')}" in ran.out + ran.err
    assert "not a regular file" in ran.out + ran.err


def test_a_plan_s_images_are_regular_files(
    spr: HostFacts, images: Path, run: Run, tmp_path: Path, opened: list[str]
) -> None:
    folder = tmp_path / "catalog"
    shutil.copytree(images, folder)
    plan = plan_for(spr, folder)
    (tmp_path / "plan.json").write_text(to_json(plan.document))
    image = plan.hops[0].image
    assert image
    odd_file(Path(image.path), fifo)
    ran = run("apply", tmp_path / "plan.json", *TRUST, "--simulate", "--yes")
    assert (ran.code, opened) == (5, [])
    assert "not a regular file" in ran.out + ran.err


def test_what_a_plan_was_made_from_is_looked_at_first(
    spr: HostFacts, images: Path, run: Run, tmp_path: Path, opened: list[str]
) -> None:
    """The operator may have named a link then."""
    folder = tmp_path / "catalog"
    shutil.copytree(images, folder)
    mapping = tmp_path / "mapping"
    mapping.symlink_to(folder / MAPPING_FILE)
    made = run("plan", "--mapping", mapping, "--images", folder, "--facts", spr_file(spr, tmp_path), *TRUST, "--json")
    assert made.code == 0, made.err
    (tmp_path / "plan.json").write_text(made.out)
    assert run("apply", tmp_path / "plan.json", *TRUST, "--simulate", "--yes").code == 0
    odd_file(mapping, link_to_fifo)
    assert (run("apply", tmp_path / "plan.json", *TRUST, "--simulate", "--yes").code, opened) == (5, [])


@pytest.mark.parametrize("make", [fifo, device, link_to_fifo, unix_socket])
def test_a_policy_that_a_plan_names_is_looked_at_first(
    make: Callable[[Path], None], spr: HostFacts, images: Path, run: Run, tmp_path: Path, opened: list[str]
) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text("schema: seamstep/policy/v1\nname: p\n")
    facts = spr_file(spr, tmp_path)
    made = run("plan", "--catalog", images, "--facts", facts, *TRUST, "--policy", policy, "--json")
    (tmp_path / "plan.json").write_text(made.out)
    assert run("apply", tmp_path / "plan.json", *TRUST, "--simulate", "--yes").code == 0
    odd_file(policy, make)
    ran = run("apply", tmp_path / "plan.json", *TRUST, "--simulate", "--yes")
    assert (ran.code, "not a regular file" in ran.err, opened) == (5, True, [])


@pytest.mark.parametrize("make", ODD)
def test_a_saved_plan_with_another_catalog(
    make: Callable[[Path], None], spr: HostFacts, images: Path, run: Run, tmp_path: Path, opened: list[str]
) -> None:
    folder = tmp_path / "catalog"
    shutil.copytree(images, folder)
    (tmp_path / "plan.json").write_text(to_json(plan_for(spr, images).document))
    apply = ("apply", tmp_path / "plan.json", *TRUST, "--simulate", "--yes", "--catalog", folder)
    assert run(*apply).code == 0
    odd_file(folder / MAPPING_FILE, make)
    ran = run(*apply)
    assert (ran.code, "not a regular file" in ran.err, opened) == (2, True, [])


def spr_file(spr: HostFacts, folder: Path) -> Path:
    (folder / "facts.json").write_text(to_json(spr._replace(simulated=True).to_document()))
    return folder / "facts.json"


@pytest.mark.parametrize("make", ODD)
def test_other_files_that_are_found(
    make: Callable[[Path], None], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fleet").mkdir()
    odd_file(tmp_path / "fleet/a.json", make)
    assert run("diff", LATEST, LATEST, "--facts", tmp_path / "fleet").code == 2
    odd_file(tmp_path / ".seamstep-lint.yaml", make)
    _guarded.add(".seamstep-lint.yaml")
    ran = run("lint", LATEST)
    assert (ran.code, "not a regular file" in ran.out + ran.err) == (2, True)
    assert opened == []


@pytest.mark.parametrize("make", [fifo, device, link_to_fifo, unix_socket])
def test_scenarios_and_what_they_name(
    make: Callable[[Path], None], run: Run, tmp_path: Path, opened: list[str]
) -> None:
    (tmp_path / "tests").mkdir()
    odd = odd_file(tmp_path / "tests/a.yaml", make)
    ran = run("policy", "test", tmp_path / "tests")
    assert (ran.code, "not a regular file" in ran.err) == (2, True)
    for key in ("facts", "mapping", "policy"):
        scenario = {"name": "x", "facts": str(FACTS), "mapping": "demo", "policy": "fewest-hops", key: str(odd)}
        lines = [*(f"{name}: {value}" for name, value in scenario.items()), "expect:", "  outcome: no-path"]
        (tmp_path / "b.yaml").write_text("\n".join(lines))
        ran = run("policy", "test", tmp_path / "b.yaml")
        assert (ran.code, "not a regular file" in ran.err) == (2, True), key
    assert opened == []


@pytest.mark.parametrize("make", ODD)
def test_files_of_a_host_below_another_root(make: Callable[[Path], None], host: Path, opened: list[str]) -> None:
    odd_file(host / "proc/cpuinfo", make)
    odd_file(host / "sys/devices/system/cpu/online", make if make is not link_to_fifo else device)
    facts = read_facts(tree(host))
    assert (facts.cpu_signatures, facts.cpus_online, opened) == (None, None, [])
    assert "not a regular file" in facts.unknown["cpus_online"]


@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize("name", ["journal.jsonl", "lock"])
def test_files_of_the_state_folder(
    name: str, make: Callable[[Path], None], run: Run, host: Path, tmp_path: Path, opened: list[str]
) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    odd_file(state / name, make)
    _guarded.add(name)
    run("history", "--state-dir", state)
    run("status", "--state-dir", state, "--sysroot", host)
    _guarded.discard(name if name == reading.NAME else "")  # an odd journal is moved aside, and a new one begun
    ran = run("apply", "--mapping", LATEST, "--images", tmp_path, "--sysroot", host, "--yes", "--state-dir", state)
    assert opened == []
    if name == "lock":
        assert (ran.code, "can't open" in ran.err) == (1, True)


# -- what the user names


def test_an_argument_may_be_a_link_to_a_regular_file(run: Run, images: Path, tmp_path: Path) -> None:
    for name, file in [
        ("facts.json", FACTS),
        ("mapping.json", LATEST),
        ("policy.yaml", Path(__file__).parents[2] / "policies/fewest-hops.yaml"),
        ("x.blob", next(images.rglob("tdx_module_1.5.28.blob"))),
        ("catalog", images),
    ]:
        (tmp_path / name).symlink_to(file)
    at = tmp_path.joinpath
    assert run("plan", "--mapping", at("mapping.json"), "--images", at("catalog"), "--facts", at("facts.json"),
               "--policy", at("policy.yaml")).code in {0, 1}  # fmt: skip
    assert run("plan", "--catalog", at("catalog"), "--facts", at("facts.json")).code in {0, 1}
    assert run("image", "inspect", at("x.blob")).code == 0
    assert run("image", "verify", at("x.blob"), *TRUST).code == 0
    assert run("image", "convert", at("x.blob"), "-o", at("y.blob")).code == 0
    assert run("lint", at("mapping.json")).code in {0, 1}


@pytest.mark.parametrize("option", ["--facts", "--mapping", "--policy", "--plan"])
@pytest.mark.parametrize("make", [device, unix_socket])
def test_an_argument_that_is_a_device_is_not_opened(
    option: str, make: Callable[[Path], None], run: Run, tmp_path: Path, opened: list[str]
) -> None:
    odd = odd_file(tmp_path / "odd.yaml", make)
    if option == "--plan":
        ran = run("measurements", "--plan", odd)
    else:
        others = {"--mapping": str(LATEST), "--facts": str(FACTS), option: str(odd)}
        ran = run("plan", "--without-images", *(word for pair in others.items() for word in pair))
    assert (ran.code, opened) == (2, [])


def test_a_pipe_has_its_time(run: Run, tmp_path: Path, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for its writer has an end, also under the lock."""
    monkeypatch.setattr(documents, "_PIPE_SECONDS", 0.1)
    os.mkfifo(tmp_path / "fifo")
    ran = run("plan", "--mapping", tmp_path / "fifo", "--without-images", "--facts", FACTS)
    assert (ran.code, "not written to its end within 0.1 s" in ran.err) == (2, True)
    given = ("--images", tmp_path, "--sysroot", host, "--yes", "--state-dir", tmp_path / "state")
    ran = run("apply", "--mapping", tmp_path / "fifo", *given)
    assert (ran.code, "not written to its end within 0.1 s" in ran.err) == (2, True)
    holder = os.open(tmp_path / "fifo", os.O_RDWR)
    os.write(holder, b"{")
    try:
        with pytest.raises(InputError, match="not written to its end"):
            documents.read_bytes(str(tmp_path / "fifo"), 99, "thing")
    finally:
        os.close(holder)


def test_the_question_waits_for_its_time_only(
    spr: HostFacts, images: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked under the lock."""
    monkeypatch.setattr("seamstep.cli.apply._ANSWER_SECONDS", 0.1)
    (tmp_path / "plan.json").write_text(to_json(plan_for(spr, images).document))
    ours, theirs = os.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        ran = run("apply", tmp_path / "plan.json", *TRUST, "--simulate")
        monkeypatch.undo()
    os.close(ours)
    assert (ran.code, "no answer within 0.1 s; nothing was changed" in ran.err) == (1, True)


def test_a_named_pipe_is_read(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(target=(tmp_path / "fifo").write_bytes, args=(FACTS.read_bytes(),))
    writer.start()
    ran = run("plan", "--mapping", LATEST, "--without-images", "--facts", tmp_path / "fifo")
    writer.join()
    assert ran.code in {0, 1}, ran.err


@pytest.mark.parametrize("facts", ["<(cat FACTS)", "- < FACTS", "- < <(cat FACTS)", "/dev/stdin < FACTS"])
def test_standard_input_and_process_substitution(facts: str) -> None:
    line = f"{sys.executable} -m seamstep plan --mapping <(cat {LATEST}) --without-images --facts {facts}"
    done = subprocess.run(
        ["bash", "-c", line.replace("FACTS", str(FACTS))], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode in {0, 1}, done.stderr
    assert "1.5" in done.stdout
