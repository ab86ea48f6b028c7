"""A held host: no update begins, whoever asks for one; what can't be read counts as a hold."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from test_host_facts import COMMON, LAYOUTS, tree

from conftest import TRUST, Run, plan_for
from seamstep.base import resources, validation
from seamstep.cli.output import to_json
from seamstep.domain.facts import HostFacts
from seamstep.host.simulated import SimulatedHost
from seamstep.run import hold


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_a_hold_is_put_shown_and_released(run: Run, state: Path) -> None:
    assert run("hold", "--state-dir", state).out == "this host is not held\n"
    held = run("hold", "--state-dir", state, "--reason", "rollout halted", "--by", "alice", "--json").json
    assert (held["held"], held["hold"]["reason"], held["hold"]["by"]) == (True, "rollout halted", "alice")
    assert "held by alice since" in run("hold", "--state-dir", state).out
    document = json.loads((state / "hold").read_text())
    assert not list(validation.breaches(document, "hold"))
    assert (state / "hold").stat().st_mode & 0o777 == 0o600
    assert "it was held: rollout halted" in run("hold", "--state-dir", state, "--release", "--by", "bob").out
    assert run("hold", "--state-dir", state, "--release").out == "this host was not held\n"
    assert resources.schema("hold")["properties"]["schema"]["const"] == hold.SCHEMA


def test_hold_and_release_exclude_each_other(run: Run, state: Path) -> None:
    assert run("hold", "--state-dir", state, "--release", "--reason", "x").code == 2
    assert run("hold", "--state-dir", state, "--reason", "x" * 1001).code == 2
    assert not state.exists()


@pytest.mark.parametrize(
    "content", [b"", b"no", b"{}", b'{"schema":"seamstep/hold/v2","reason":"x","by":null,"since":"x"}', b"\xff" * 9]
)
def test_a_file_that_is_no_hold_counts_as_one(run: Run, state: Path, content: bytes) -> None:
    state.mkdir()
    (state / "hold").write_bytes(content)
    found = hold.read(str(state))
    assert found
    assert "counts as a hold" in found.reason
    assert run("hold", "--state-dir", state, "--release").code == 0
    assert hold.read(str(state)) is None


def test_a_folder_or_a_dangling_link_in_its_place_counts_as_one(state: Path) -> None:
    (state / "hold").mkdir(parents=True)
    assert hold.read(str(state))
    (state / "hold").rmdir()
    (state / "hold").symlink_to("nowhere")
    assert hold.read(str(state))
    (state / "hold").unlink()
    assert hold.read(str(state)) is None
    assert hold.read(str(state / "missing")) is None


def test_what_can_not_be_looked_for_counts_as_one(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user who may not search the state folder."""

    def refuse(path: object, *_: object, **__: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    state.mkdir()
    monkeypatch.setattr(os, "stat", refuse)
    monkeypatch.setattr(os.path, "lexists", lambda _: False)
    monkeypatch.setattr("builtins.open", refuse)
    found = hold.read(str(state))
    assert found
    assert "Permission denied" in found.reason


def test_a_state_folder_that_can_not_be_used_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = run("hold", "--state-dir", tmp_path / "file", "--reason", "x")
    assert (ran.code, "can't hold this host" in ran.err) == (1, True)
    (tmp_path / "hold").mkdir()
    ran = run("hold", "--state-dir", tmp_path, "--release")
    assert (ran.code, "can't release this host" in ran.err) == (1, True)


def test_status_shows_the_hold_everywhere(run: Run, state: Path, tmp_path: Path) -> None:
    tree(tmp_path / "root", COMMON | LAYOUTS["mainline"])
    status = ("status", "--sysroot", tmp_path / "root", "--state-dir", state)
    assert run(*status, "--json").json["hold"] is None
    assert "seamstep_held 0" in run(*status, "--format", "prometheus").out
    run("hold", "--state-dir", state, "--reason", "a\x1bb", "--by", "alice")
    assert run(*status, "--json").json["hold"]["by"] == "alice"
    assert re.search(r"HELD +by alice, since [-0-9T:+]+, no update begins: a\\x1bb\n", run(*status).out)
    metrics = run(*status, "--format", "prometheus").out
    assert "seamstep_held 1" in metrics
    assert 'by="alice"' in metrics


@pytest.fixture
def saved(spr: HostFacts, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A saved plan for a host that is no rehearsal to the command, though it is simulated."""
    plan = plan_for(spr, images, "fewest-hops")
    host = SimulatedHost(plan.host, {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image})
    monkeypatch.setattr("seamstep.cli.apply._host", lambda *_: host)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    path = tmp_path / "plan.json"
    path.write_text(to_json(plan.document))
    return path


@pytest.mark.parametrize("how", [("--yes",), ("--dry-run",), ("--yes", "--retry-failed")])
def test_apply_respects_a_hold(run: Run, saved: Path, state: Path, how: tuple[str, ...]) -> None:
    run("hold", "--state-dir", state, "--reason", "c0001 halted", "--by", "alice")
    ran = run("apply", saved, *TRUST, *how, "--state-dir", state)
    assert ran.code == 4
    assert "held by alice" in ran.err
    assert "c0001 halted" in ran.err
    document = run("apply", saved, *TRUST, *how, "--state-dir", state, "--json").json
    assert (document["exit_code"], "c0001 halted" in document["error"]) == (4, True)
    assert "committing" not in run("history", "--state-dir", state).out


def test_despite_a_hold_is_on_the_record(run: Run, saved: Path, state: Path) -> None:
    run("hold", "--state-dir", state, "--reason", "c0001 halted", "--by", "alice")
    assert run("apply", saved, *TRUST, "--yes", "--despite-hold", "--state-dir", state).code == 0
    said = run("history", "--state-dir", state).out
    assert "despite-hold" in said
    assert "c0001 halted" in said
    assert hold.read(str(state)), "the hold stays until it is released"


def test_a_rehearsal_needs_no_release(run: Run, saved: Path, state: Path) -> None:
    run("hold", "--state-dir", state, "--reason", "x")
    assert run("apply", saved, *TRUST, "--yes", "--simulate", "--state-dir", state).code == 0


def test_without_a_hold_despite_it_says_nothing(run: Run, saved: Path, state: Path) -> None:
    assert run("apply", saved, *TRUST, "--yes", "--despite-hold", "--state-dir", state).code == 0
    assert "despite-hold" not in run("history", "--state-dir", state).out
