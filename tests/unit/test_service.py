"""The systemd units: installing them loses nothing, and they say what docs/service.md promises.

That systemd takes them, and how exposed they are, is for systemd itself to say: tests/service/check.
"""

from __future__ import annotations

import configparser
import shlex
from pathlib import Path

import pytest

from conftest import Run
from seamstep import cli, service
from seamstep.base.errors import ExitCode

COMMAND = "/opt/seamstep/bin/seamstep"


def sections(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(service.unit(name, COMMAND))
    return parser


def install(run: Run, root: Path, *more: str) -> int:
    return run("service", "install", "--root", root, "--exec", COMMAND, *more).code


def units(root: Path) -> Path:
    return root / "usr/lib/systemd/system"


def test_installing_writes_the_units_and_says_what_comes_next(run: Run, tmp_path: Path) -> None:
    ran = run("service", "install", "--root", tmp_path, "--exec", COMMAND)
    assert ran.code == 0
    for name in service.UNITS:
        path = units(tmp_path) / name
        assert path.stat().st_mode & 0o777 == 0o644
        assert str(path) in ran.out
    assert f"ExecStart={COMMAND} apply" in (units(tmp_path) / "seamstep.service").read_text()
    assert (tmp_path / service.CONFIG).read_text() == service.default_config()
    assert "seamstep.service, and as you like seamstep.timer" in ran.out


@pytest.mark.parametrize(("root", "for_this_host"), [("/", True), ("//", True), ("somewhere", False)])
def test_only_this_host_s_root_gets_commands_for_its_systemd(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str, for_this_host: bool
) -> None:
    monkeypatch.setattr(service, "install", lambda root, command, *, force: [])
    (tmp_path / "somewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    ran = run("service", "install", "--root", root, "--exec", COMMAND)
    assert (ran.code, "systemctl" in ran.out) == (0, for_this_host)
    assert f"edit {Path(root) / service.CONFIG}" in ran.out


def test_installing_again_changes_nothing(run: Run, tmp_path: Path) -> None:
    install(run, tmp_path)
    before = {path: (path.read_bytes(), path.stat().st_ino) for path in tmp_path.rglob("*") if path.is_file()}
    again = run("service", "install", "--root", tmp_path, "--exec", COMMAND, "--json").json
    assert {path: (path.read_bytes(), path.stat().st_ino) for path in before} == before
    assert {file["fate"] for file in again["files"]} == {"unchanged", "kept"}


def test_a_unit_of_another_version_is_replaced_without_asking(run: Run, tmp_path: Path) -> None:
    run("service", "install", "--root", tmp_path, "--exec", "/opt/older/bin/seamstep")
    assert install(run, tmp_path) == 0
    assert COMMAND in (units(tmp_path) / "seamstep.service").read_text()


@pytest.mark.parametrize("name", service.UNITS)
@pytest.mark.parametrize("text", ["# mine\n", "", None], ids=["other", "empty", "changed"])
def test_a_unit_that_somebody_changed_is_left_alone(run: Run, tmp_path: Path, name: str, text: str | None) -> None:
    install(run, tmp_path)
    path = units(tmp_path) / name
    mine = path.read_text() + "# mine\n" if text is None else text
    path.write_text(mine)
    others = {other: other.read_bytes() for other in units(tmp_path).iterdir()}
    ran = run("service", "install", "--root", tmp_path, "--exec", "/opt/new/bin/seamstep")
    assert (ran.code, str(path) in ran.err, "--force" in ran.err) == (ExitCode.NO, True, True)
    assert {other: other.read_bytes() for other in others} == others, "all or nothing"
    assert install(run, tmp_path, "--force") == 0
    assert path.read_text() != mine


def test_the_configuration_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    install(run, tmp_path)
    config = tmp_path / service.CONFIG
    config.write_text("schema: seamstep/config/v1\ncatalog: /srv/tdx\n")
    assert install(run, tmp_path, "--force") == 0
    assert config.read_text() == "schema: seamstep/config/v1\ncatalog: /srv/tdx\n"


def test_no_link_leads_out_of_the_root(run: Run, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    root = tmp_path / "root"
    units(root).mkdir(parents=True)
    (units(root) / "seamstep.timer").symlink_to(outside)
    ran = run("service", "install", "--root", root, "--exec", COMMAND, "--force")
    assert (ran.code, "seamstep.timer" in ran.err) == (ExitCode.NO, True)
    assert outside.read_text() == "precious"
    assert not (units(root) / "seamstep.service").exists()


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("seamstep", "absolute"),
        ("/opt/my tools/seamstep", "plain characters"),
        ("/opt/%n/seamstep", "plain characters"),
        ("/opt/x\nExecStart=/bin/sh", "plain characters"),
        ("/opt/../home/me/seamstep", "plain characters"),
        ("/home/me/.venv/bin/seamstep", "does not see /home"),
        ("/root/.local/bin/seamstep", "does not see /home"),
        ("/tmp/venv/bin/seamstep", "does not see /home"),
    ],
)
def test_a_command_that_the_service_could_not_run_is_refused(run: Run, tmp_path: Path, command: str, why: str) -> None:
    ran = run("service", "install", "--root", tmp_path, "--exec", command)
    assert (ran.code, why in ran.err) == (ExitCode.INVALID, True)
    assert not list(tmp_path.iterdir())


def test_below_the_real_root_the_command_must_exist(run: Run) -> None:
    ran = run("service", "install", "--exec", "/opt/no/such/seamstep")
    assert (ran.code, "no program on this machine" in ran.err) == (ExitCode.INVALID, True)


def test_a_root_that_is_no_folder(run: Run, tmp_path: Path) -> None:
    ran = run("service", "install", "--root", tmp_path / "missing", "--exec", COMMAND)
    assert (ran.code, "not a folder" in ran.err) == (ExitCode.INVALID, True)


def test_show_prints_what_would_be_installed(run: Run, tmp_path: Path) -> None:
    install(run, tmp_path)
    shown = run("service", "show", "--units", "--exec", COMMAND, "--json").json["files"]
    for name in service.UNITS:
        assert (units(tmp_path) / name).read_text().endswith(shown[name])
    assert shown["seamstep.timer"] in run("service", "show", "--units", "--exec", COMMAND).out


def test_the_service_runs_a_command_line_that_seamstep_takes() -> None:
    program, *arguments = shlex.split(sections("seamstep.service")["Service"]["ExecStart"])
    options = cli.parser().parse_args(arguments)
    assert (program, options.yes, options.configured, options.policy) == (COMMAND, True, True, None)


def test_the_metrics_run_a_command_line_that_seamstep_takes() -> None:
    _, *arguments = shlex.split(sections("seamstep-metrics.service")["Service"]["ExecStart"])
    options = cli.parser().parse_args(arguments)
    assert (options.format, options.output) == ("prometheus", "/var/lib/prometheus/node-exporter/seamstep.prom")


def test_metrics_are_written_for_others_to_read(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "seamstep.prom"
    for _ in range(2):
        ran = run("status", "--format", "prometheus", "-o", path, "--force", "--state-dir", tmp_path / "none")
        assert (ran.code, ran.out) == (0, "")
        assert "seamstep_written_timestamp_seconds" in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o644


def test_being_busy_is_no_failure_and_nothing_else_is_excused() -> None:
    assert sections("seamstep.service")["Service"]["SuccessExitStatus"] == str(int(ExitCode.BUSY))


def test_it_runs_after_the_driver_and_before_whatever_starts_tds() -> None:
    unit = sections("seamstep.service")["Unit"]
    assert "Wants=modprobe@tdx_host.service\n" in service.unit("seamstep.service", COMMAND)
    assert {"modprobe@tdx_host.service", "systemd-logind.service"} <= set(unit["After"].split())
    assert {"libvirtd.service", "virtqemud.service", "machines.target"} <= set(unit["Before"].split())


def test_metrics_are_written_after_every_run() -> None:
    assert "Wants=seamstep-metrics.service\n" in service.unit("seamstep.service", COMMAND)
    assert sections("seamstep-metrics.service")["Unit"]["After"] == "seamstep.service"


def test_one_capability_for_the_service_and_none_for_the_metrics() -> None:
    assert sections("seamstep.service")["Service"]["CapabilityBoundingSet"] == "CAP_SYS_RAWIO"
    assert sections("seamstep-metrics.service")["Service"]["CapabilityBoundingSet"] == ""
    assert "PrivateDevices" not in sections("seamstep.service")["Service"], "it would take CAP_SYS_RAWIO away"


def test_stopping_waits_longer_than_the_kernel_gets() -> None:
    from seamstep.run.executor import outcome

    assert sections("seamstep.service")["Service"]["TimeoutStopSec"] == "11min"
    assert outcome.IDLE_TIMEOUT < 11 * 60


def test_the_command_that_runs_is_the_one_installed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a link, since what a link leads to may be where the service can't see it."""
    program = tmp_path / "venv" / "seamstep"
    program.parent.mkdir()
    program.touch(0o755)
    link = tmp_path / "seamstep"
    link.symlink_to(program)
    monkeypatch.setattr("sys.argv", [str(link)])
    monkeypatch.setattr(service, "_UNSEEN", ("/nowhere/",))
    assert f"ExecStart={program} apply" in run("service", "show", "--units").out
    monkeypatch.setattr("sys.argv", ["-c"])
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    link.unlink()
    ran = run("service", "show", "--units")
    assert (ran.code, "--exec PATH" in ran.err) == (ExitCode.INVALID, True)


def test_a_root_that_cannot_be_written_to(run: Run, tmp_path: Path) -> None:
    (tmp_path / "usr").touch()
    ran = run("service", "install", "--root", tmp_path, "--exec", COMMAND)
    assert (ran.code, "usr" in ran.err, "Traceback" in ran.err) == (ExitCode.INVALID, True, False)
