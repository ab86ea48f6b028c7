"""The how-to pages are played: every command as printed, in order, as root, on a made-up TDX host.

A session has a mount namespace of its own, with the files of a TDX host in /sys and /proc. Its ``seamstep`` is that of
``standin``, so that images can be made up and installed. ``git`` and ``systemctl`` are stubs. Every other command is
the machine's. The sections that install seamstep need a package index; a slow test plays them by themselves.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import standin
from playing import Played, Step, is_shown, script, secluded, steps
from test_host_facts import COMMON, LAYOUTS, tree

import seamstep
from conftest import SIGNER

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BIN = "/opt/seamstep/bin"
MACHINE = {
    "sys/devices/faux/tdx_host/version": "1.5.24\n",
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
}
#: The sections that install seamstep from a checkout.
INSTALLS = {"air-gapped": "1. Install from wheels", "service": "Install"}
#: Stands in for cloning Intel's repository, at that address only.
GIT = """#!/bin/sh
test "$1 $2" = "clone https://github.com/intel/confidential-computing.tdx.tdx-module.binaries" && cp -r {catalog} "$3"
"""
#: Records its arguments. To start the timer is to start the service at once.
SYSTEMCTL = """#!/bin/bash
echo "$*" >> {world}/systemctl
test "$*" = "enable --now seamstep.timer" || exit 0
bash {world}/serve > {world}/served 2>&1
echo $? > {world}/served.code
"""
#: The service as systemd would run it.
SERVE = """eval "$(sed -n 's/^ExecStart=//p' /etc/systemd/system/seamstep.service)"
"""

Play = Callable[..., list[Played]]


def ahead(weekday: int) -> float:
    """The seconds until 01:30 UTC on a day of the week; Monday is 0."""
    now = datetime.now(UTC)
    then = now.replace(hour=1, minute=30, second=0, microsecond=0) + timedelta((weekday - now.weekday()) % 7)
    return (then - now).total_seconds()


@pytest.fixture
def world(tmp_path: Path, images: Path) -> Path:
    """A folder with the files of a host and the programs of a session; the clock is in a weekend night."""
    world = tmp_path / "world"
    tree(world / "host", COMMON, LAYOUTS["mainline"], MACHINE)
    modules = {
        hashlib.sha256(blob.read_bytes()).hexdigest(): blob.stem.removeprefix("tdx_module_")
        for blob in images.rglob("*.blob")
    }
    standin.install(world / "seamstep", world, SIGNER.fingerprint, modules)
    (world / "ahead").write_text(str(ahead(5)))
    (world / "serve").write_text(SERVE)
    for name, text in {"git": GIT, "systemctl": SYSTEMCTL}.items():
        program = world / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text.replace("{catalog}", str(images)).replace("{world}", str(world)))
        program.chmod(0o755)
    return world


@pytest.fixture
def play(tmp_path: Path, world: Path) -> Play:
    """Run commands on the host of ``world``."""

    def play_it(commands: Sequence[str], *, before: str = "", answers: int = 0) -> list[Played]:
        host = world / "host"
        binds = [
            f"mount --bind {shlex.quote(str(file))} /{file.relative_to(host)}"
            for file in (host / "sys", *(path for path in host.rglob("proc/**/*") if path.is_file()))
        ]
        lines = [
            *binds,
            f"cp {shlex.quote(str(host))}/etc/machine-id /etc/machine-id",
            f"rm -rf /etc/seamstep /opt/seamstep /var/lib/seamstep && mkdir -p {BIN}",
            f"cp {shlex.quote(str(world))}/seamstep {BIN}",
        ]
        return secluded(
            commands,
            tmp_path,
            before="\n".join([*lines, before]),
            typed=b"y\n" * answers,
            path=(BIN, str(world / "bin")),
        )

    return play_it


def of(page: str) -> list[Step]:
    """The steps of a page but those that install seamstep."""
    return [step for step in steps(text_of(page)) if step.section != INSTALLS.get(page)]


def text_of(page: str) -> str:
    return (DOCS / f"{page}.md").read_text()


def check(page: Sequence[Step], played: Sequence[Played]) -> None:
    """Every command exits with 0 and prints what the page shows, anything if that is nothing."""
    for step, (code, out) in zip(page, played, strict=True):
        assert code == 0, f"{step.text}\n{out}"
        assert is_shown(step.shown if step.prompt in {"#", "$"} and step.shown else "...", out), f"{step.text}\n{out}"


def test_a_host_by_itself(play: Play, world: Path) -> None:
    """The service runs as soon as its timer is started. The command within the text comes last."""
    page = of("one-host")
    within = [" ".join(command.split()) for command in re.findall(r"`(seamstep\s+[^`]* --[^`]*)`", text_of("one-host"))]
    *played, status, listed = play([*map(script, page), "seamstep status", *within])
    assert (len(page), len(within)) == (18, 1)
    check(page, played)
    assert "1.5.24 → 1.5.28 applied\n1.5.28 → 1.5.34 applied\n1.5.34 runs\n" in (world / "served").read_text()
    assert re.search(r"^TDX module +1\.5\.34\n(.*\n)*last run +applied: 1\.5\.24 → 1\.5\.34", status.out, re.MULTILINE)
    assert (listed.code, "1.5.34" in listed.out) == (0, True)
    asked = (world / "systemctl").read_text().splitlines()
    assert asked == [step.text.removeprefix("systemctl ") for step in page if step.text.startswith("systemctl")]


def test_a_host_that_boots_on_a_tuesday(play: Play, world: Path) -> None:
    """The service waits for the window, as the page says, and a rehearsal does not."""
    (world / "ahead").write_text(str(ahead(1)))
    page = [step for step in of("one-host") if step.prompt not in {"#", "$"} or re.search("apply|install", step.text)]
    check(page, play(list(map(script, page))))
    (quoted,) = re.findall(r"^\| exit code 4, `(.*?)`", text_of("one-host"), re.MULTILINE)
    assert quoted in (world / "served").read_text()
    assert (world / "served.code").read_text() == "4\n"


def test_hosts_without_a_network(play: Play, world: Path, tmp_path: Path) -> None:
    """Files travel as the page's table says, after each command. The policy is that of the other page. Once the host
    or the policy changed, the plan is refused."""
    page = of("air-gapped")
    places = {"#": tmp_path / "host", "$": tmp_path / "desk"}
    for folder in places.values():
        folder.mkdir()
    (policy,) = (step.text for step in of("one-host") if step.prompt == ">" and step.shown.endswith("policy.yaml"))
    (places["$"] / "production.yaml").write_text(policy)
    carried = "; ".join(f"test -e {to} || test ! -e {name} || cp -r {name} {to}" for name, to in travels(tmp_path))
    commands = [f"cd {places[step.prompt]}; {step.text}; code=$?; {carried}; (exit $code)" for step in page]
    again = f"cd {places['#']}; {next(step.text for step in page if step.text.endswith(' --dry-run'))}"
    commands += [
        f"echo another > {world}/host/proc/sys/kernel/random/boot_id; {again}",
        f"sed -i 's/soak: 10m/soak: 20m/' /srv/tdx/production.yaml; {again}",
    ]
    *played, rebooted, edited = play(commands, before="mkdir -p /srv/tdx", answers=1)
    assert len(page) == 10
    check(page, played)
    assert (rebooted.code, edited.code) == (5, 5)
    assert "the host changed since the plan was made: boot_id was" in rebooted.out
    assert "the policy /srv/tdx/production.yaml is not the one" in edited.out
    assert all(to.exists() for _, to in travels(tmp_path) if to.name in {"host-a.plan.json", "host-a.history.json"})


def travels(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Each file of the table of files that travel, and where it goes."""
    table = text_of("air-gapped").partition("## Files that travel")[2].partition("## ")[0]
    rows = re.findall(r"^\| `([^`]+)`[^|]*\| (\w+) \| (\w+)(?:, as `([^`]+)`)? \|", table, re.MULTILINE)
    assert len(rows) == table.count("\n| ") - 1
    for name, start, end, other_name in rows:
        yield folder / start / name, Path(other_name) if other_name else folder / end / name


@pytest.mark.slow
@pytest.mark.parametrize("page", INSTALLS)
def test_installing(page: str, tmp_path: Path) -> None:
    """The sections that install seamstep, in a copy of the checkout. Root's PATH has the command afterwards."""
    parts = ("engine", "policies", "schemas", "docs/reference", "README.md", "LICENSE", "pyproject.toml")
    for part in parts:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        (tmp_path / "checkout" / part).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / part, tmp_path / "checkout" / part)
    section = [step for step in steps(text_of(page)) if step.section == INSTALLS[page]]
    commands = [f"cd {tmp_path}/checkout; {step.text}" for step in section]
    before = "rm -rf /opt/seamstep /usr/local/bin/seamstep"
    *played, version = secluded([*commands, "/usr/local/bin/seamstep --version"], tmp_path, before=before)
    assert played
    check(section, played)
    assert (version.code, version.out) == (0, f"seamstep {seamstep.__version__}\n")
