"""Asking the service to look: for package managers, which must never fail for it, nor apply anything themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import Run
from seamstep.service import look


class Systemctl:
    """A systemctl that keeps what it was asked, and answers as it is told to."""

    def __init__(self, folder: Path) -> None:
        self._asked = folder / "asked"
        self._program = folder / "bin" / "systemctl"
        self._program.parent.mkdir()

    def answer(self, *, enabled: str = "seamstep.service", start: int = 0) -> None:
        script = f'#!/bin/sh\necho "$*" >> {self._asked}\ncase $1 in\nis-enabled) test $3 = {enabled}; exit;;\n'
        self._program.write_text(f"{script}start) echo no bus >&2; exit {start};;\nesac\n")
        self._program.chmod(0o755)

    def hang(self) -> None:
        self._program.write_text(f'#!/bin/sh\necho "$*" >> {self._asked}\nexec sleep 60\n')

    @property
    def asked(self) -> list[str]:
        return self._asked.read_text().splitlines() if self._asked.exists() else []


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    """A system with systemd, which is this program."""
    monkeypatch.setattr(look, "BOOTED", str(tmp_path))
    monkeypatch.setattr(look, "_in_chroot", lambda: False)
    monkeypatch.delenv("SYSTEMD_OFFLINE", raising=False)
    made = Systemctl(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    made.answer()
    return made


@pytest.mark.parametrize("enabled", ["seamstep.service", "seamstep.timer"])
def test_an_enabled_service_is_asked_once(run: Run, systemctl: Systemctl, enabled: str) -> None:
    systemctl.answer(enabled=enabled)
    ran = run("service", "look", "--json")
    assert (ran.code, ran.json["asked"]) == (0, True)
    assert systemctl.asked[-2:] == [f"is-enabled --quiet {enabled}", "start --no-block seamstep-look.service"]


def test_a_service_that_is_not_enabled_is_left_alone(run: Run, systemctl: Systemctl) -> None:
    systemctl.answer(enabled="none")
    ran = run("service", "look")
    assert (ran.code, "enabled" in ran.out) == (0, True)
    assert not [line for line in systemctl.asked if line.startswith("start")]


def test_a_failure_is_told_and_fails_nothing(run: Run, systemctl: Systemctl) -> None:
    systemctl.answer(start=1)
    ran = run("service", "look")
    assert ran.code == 0
    assert "ended with exit code 1: no bus; the service looks at its next start" in ran.out


def test_a_systemctl_that_hangs_is_given_up_and_says_nothing_of_the_units(
    run: Run, systemctl: Systemctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package manager waits for this, and what was not learned is not told."""
    systemctl.hang()
    monkeypatch.setattr(look, "_TIMEOUT", 0.3)
    ran = run("service", "look")
    assert (ran.code, systemctl.asked) == (0, ["is-enabled --quiet seamstep.service"])
    assert "did not end within 0 s and was killed; the service is not asked" in ran.out


@pytest.mark.parametrize("why", ["no systemd", "offline", "chroot", "no systemctl"])
def test_where_there_is_no_service_to_ask_nothing_is_done(
    run: Run, systemctl: Systemctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "no systemd":
        monkeypatch.setattr(look, "BOOTED", str(tmp_path / "nowhere"))
    elif why == "offline":
        monkeypatch.setenv("SYSTEMD_OFFLINE", "True")
    elif why == "chroot":
        monkeypatch.setattr(look, "_in_chroot", lambda: True)
    else:
        monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    ran = run("service", "look")
    assert (ran.code, systemctl.asked, ran.err) == (0, [], "")


def test_this_process_is_in_no_chroot_of_its_own() -> None:
    assert look._in_chroot() is False


def test_a_root_folder_without_processes_is_no_running_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "_FIRST", "/nowhere/1/root/")
    assert look._in_chroot() is True
