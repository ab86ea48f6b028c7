"""Runs of the service: by the configuration alone, within holds also between hops, and with a notification."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conftest import SIGNER, Ran, Run, plan_for
from seamstep.base import places
from seamstep.domain.facts import HostFacts
from seamstep.host.simulated import SimulatedHost
from seamstep.plan.windows import DAYS
from seamstep.run import hold
from seamstep.service import old_settings

Write = Callable[[str], None]
POLICY = f"{{schema: seamstep/policy/v1, name: site, path: shortest-path, signers: [{SIGNER.fingerprint}]"


def another_day() -> str:
    """Settings whose window opens the day after tomorrow."""
    day = DAYS[(datetime.now(UTC).weekday() + 2) % 7]
    return f", apply: {{windows: [{{from: '00:00', to: '23:59', days: [{day}]}}]}}"


class Scene:
    """A host in memory that runs 1.5.24, from where the policy leads by 1.5.28 to 1.5.34.

    Attributes:
        folder: the folder of everything.
        host: the host.
        after_hop: called with the version that a hop installed.
    """

    def __init__(self, folder: Path, run: Run, host: SimulatedHost, catalog: Path) -> None:
        self.folder, self.host, self._run, self._catalog = folder, host, run, catalog
        self.state = folder / "state"
        self.configure()

    def configure(self, *lines: str, policy: str = "") -> None:
        (self.folder / "site.yaml").write_text(f"{POLICY}{policy}}}\n")
        head = ("schema: seamstep/config/v1", f"catalog: {self._catalog}", f"policies: [{self.folder / 'site.yaml'}]")
        (self.folder / "config.yaml").write_text("\n".join([*head, *lines, ""]))

    def serve(self, *more: str, way: tuple[str, ...] = ("--yes", "--configured")) -> Ran:
        """Run the service."""
        return self._run("apply", *way, "--sysroot", self.folder, "--state-dir", self.state, *more)

    @property
    def told(self) -> list[dict[str, str]]:
        """What the notifications were given."""
        return [json.loads(line) for line in _lines(self.folder / "told")]

    def notify(self, on: str, policy: str = "") -> None:
        """Have outcomes told to a command that keeps its environment."""
        program = self.folder / "tell"
        code = f"import json, os; open('{self.folder}/told', 'a').write(json.dumps(dict(os.environ)) + '\\n')"
        program.write_text(f"#!/usr/bin/env python3\n{code}\n")
        program.chmod(0o755)
        self.configure(f"notification: {{on: [{on}], command: [{program}, an argument]}}", policy=policy)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


class Watched(SimulatedHost):
    """A simulated host that calls ``then`` when an upload was begun, with the number of uploads so far."""

    then: Callable[[int], None] = staticmethod(lambda _: None)

    def write(self, path: str, data: bytes, offset: int = 0) -> int:
        before = self.uploads
        done = super().write(path, data, offset)
        if self.uploads > before:
            self.then(self.uploads)
        return done


@pytest.fixture
def scene(tmp_path: Path, run: Run, spr: HostFacts, images: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(places, "CONFIG", str(tmp_path / "config.yaml"))
    monkeypatch.setattr(old_settings, "NAME", f"{tmp_path}/seamstep.env".lstrip("/"))
    facts = spr._replace(simulated=True)
    plan = plan_for(facts, images, "shortest-path")
    host = Watched(facts, {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image})
    monkeypatch.setattr("seamstep.cli.options.sysfs_host", lambda _: host)
    return Scene(tmp_path, run, host, images)


# -- what the service does


def test_the_service_performs_what_the_configuration_says(scene: Scene) -> None:
    ran = scene.serve()
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "1.5.34 runs")
    assert f"policies {scene.folder}/site.yaml (from {scene.folder}/config.yaml)" in ran.err
    assert scene.serve().code == 0, "nothing newer"


def test_a_run_of_the_service_stops_after_max_hops(scene: Scene) -> None:
    scene.configure("max_hops: 1")
    assert "1.5.28 runs; stopped here as asked, 1 more hop" in scene.serve().out


@pytest.mark.parametrize(
    "more", [("--policy", "cautious"), ("--catalog", "/x"), ("--max-hops", "1"), ("--tcb-info", "/x"), ("x.json",)]
)
def test_the_service_takes_nothing_from_elsewhere(scene: Scene, more: tuple[str, ...]) -> None:
    ran = scene.serve(*more)
    name = "PLAN" if len(more) == 1 else more[0]
    assert (ran.code, f"leave {name} out" in ran.err, scene.host.uploads) == (2, True, 0)


def test_outside_the_windows_nothing_begins(scene: Scene) -> None:
    scene.configure(policy=another_day())
    ran = scene.serve()
    assert (ran.code, scene.host.uploads) == (4, 0)
    assert "outside the maintenance windows" in ran.out


def test_a_rollout_begins_the_updates_if_it_is_to(scene: Scene) -> None:
    scene.configure("updates: rollout")
    ran = scene.serve()
    assert (ran.code, scene.host.uploads) == (4, 0)
    assert "1.5.24 → 1.5.28, 1.5.28 → 1.5.34 was left to a rollout" in ran.err
    assert "1.5.24 runs" in ran.err
    assert scene.serve(way=("--yes",)).code == 0, "an apply of the rollout"
    assert scene.serve().code == 0, "nothing is left to do"


def test_old_settings_that_say_otherwise_stop_the_service(scene: Scene) -> None:
    """What they ask for may be stricter, and a service that ignores them is worse than none."""
    old = scene.folder / "seamstep.env"
    old.write_text("SEAMSTEP_POLICY=cautious\n")
    ran = scene.serve()
    assert (ran.code, scene.host.uploads) == (2, 0)
    assert "says policies: [cautious]" in ran.err
    assert f"carry over to {scene.folder}/config.yaml" in ran.err
    old.write_text(f"SEAMSTEP_POLICY={scene.folder}/site.yaml\n")
    assert scene.serve().code == 0


# -- holds


def test_a_hold_of_the_configuration_stops_every_apply(scene: Scene) -> None:
    scene.configure("hold: until Monday")
    for way in (("--yes", "--configured"), ("--yes",), ("--dry-run",)):
        ran = scene.serve(way=way)
        assert (ran.code, scene.host.uploads) == (4, 0)
        assert f"this host is held by {scene.folder}/config.yaml: until Monday" in ran.err
        assert "take the key 'hold' out of it" in ran.err
    assert scene.serve("--despite-hold").code == 0


def test_a_configuration_that_is_named_does_not_lift_the_hold(scene: Scene) -> None:
    text = (scene.folder / "config.yaml").read_text()
    (scene.folder / "other.yaml").write_text(text)
    scene.configure("hold: until Monday")
    ran = scene.serve("--config", str(scene.folder / "other.yaml"))
    assert (ran.code, scene.host.uploads, "take the key 'hold' out of it" in ran.err) == (4, 0, True)


@pytest.mark.parametrize("where", ["state", "configuration", "broken configuration"])
def test_a_hold_between_hops_stops_before_the_next(scene: Scene, where: str) -> None:
    """The hop under way goes on; the last line says what runs."""

    def put(_: int) -> None:
        if where == "state":
            hold.put(str(scene.state), "alarm", "alice")
        else:
            scene.configure("hold: alarm" if where == "configuration" else "hold: [alarm]")

    scene.host.then = put  # type: ignore[attr-defined]
    ran = scene.serve()
    assert (ran.code, scene.host.uploads) == (4, 1)
    applied, last = ran.out.splitlines()
    assert applied == "1.5.24 → 1.5.28 applied"
    assert last.startswith("1.5.28 → 1.5.34 was not begun: this host is held")
    assert last.endswith("; 1.5.28 runs")
    assert "alarm" in last
    hold.release(str(scene.state))
    scene.configure()
    scene.host.then = lambda _: None  # type: ignore[attr-defined]
    assert scene.serve().out.splitlines()[-1] == "1.5.34 runs"


def test_despite_a_hold_is_for_all_hops(scene: Scene) -> None:
    scene.host.then = lambda _: hold.put(str(scene.state), "alarm", "alice")  # type: ignore[attr-defined]
    assert scene.serve("--despite-hold").code == 0


# -- notification


def test_an_update_is_told_with_its_result(scene: Scene) -> None:
    scene.notify("applied, failed")
    assert scene.serve().code == 0
    (told,) = scene.told
    assert told["SEAMSTEP_OUTCOME"] == "applied"
    assert (told["SEAMSTEP_EXIT_CODE"], told["SEAMSTEP_VERSION"]) == ("0", "1.5.34")
    assert told["SEAMSTEP_MESSAGE"] == "1.5.34 runs"
    assert told["SEAMSTEP_TRANSACTION"]
    assert scene.serve().code == 0
    assert len(scene.told) == 1, "nothing to do is nothing to tell"


def test_what_is_not_asked_for_is_not_told(scene: Scene) -> None:
    scene.notify("failed, lost")
    scene.serve()
    assert scene.told == []
    scene.notify("applied")
    scene.serve(way=("--yes",))
    assert scene.told == [], "not a run of the service"


@pytest.mark.parametrize(
    ("policy", "outcome", "code", "message"),
    [
        (
            ", deny: [{versions: '>=1.5.25', reason: not yet}]",
            "refused",
            1,
            "no update from 1.5.24 is permitted; refused by deny",
        ),
        (", longest: path", "input", 2, "longest: unknown key"),
        (another_day(), "busy", 4, "outside the maintenance"),
    ],
)
def test_the_same_end_is_told_once_a_boot(scene: Scene, policy: str, outcome: str, code: int, message: str) -> None:
    """The timer starts the service every quarter of an hour."""
    scene.notify("refused, input, busy", policy)
    for _ in range(2):
        assert scene.serve().code == code
    (told,) = scene.told
    assert told["SEAMSTEP_OUTCOME"] == outcome
    assert message in told["SEAMSTEP_MESSAGE"]
    scene.notify("refused, input, busy", ", target: 1.5.28, keep_updates: 99")
    scene.serve()
    assert len(scene.told) == 2, "another reason"


def test_a_failing_notification_changes_nothing(scene: Scene) -> None:
    scene.configure("notification: {on: [applied], command: [/nowhere/tell]}")
    ran = scene.serve()
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "1.5.34 runs")
    assert "note: the notification /nowhere/tell can't be started" in ran.err


def test_a_notification_that_has_a_bug_changes_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.configure("notification: {on: [applied], command: [/nowhere/tell]}")
    monkeypatch.setattr("seamstep.cli.apply_configured.notify", lambda *_: 1 / 0)
    assert scene.serve().out.splitlines()[-1] == "1.5.34 runs"


def test_a_notification_can_be_a_unit(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    systemctl = scene.folder / "bin/systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text(f'#!/bin/sh\necho "$*" >> {scene.folder}/asked\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(systemctl.parent), prepend=":")
    scene.configure("notification: {on: [applied], unit: tell@.service}")
    assert scene.serve().code == 0
    assert _lines(scene.folder / "asked") == ["start --no-block tell@applied.service"]
