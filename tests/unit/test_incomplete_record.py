"""Incomplete evidence is no evidence: where the record of this boot is damaged or cut, no step is tried blindly."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from crashing import again, run_to
from test_crash import history
from test_executor import V34, simulated

from conftest import THOROUGH, judge_for, plan_for
from seamstep.base.errors import RefusedError
from seamstep.domain.facts import HostFacts
from seamstep.host.simulated import Fault, SimulatedHost
from seamstep.plan.document import Plan
from seamstep.run import transaction
from seamstep.run.journal import NAME, Journal, RecordedHost, open_folder, reading
from seamstep.run.past_runs import runs

HW_ERROR = Fault(error="hw-error")
DOUBT = "the record of this boot is incomplete"


@pytest.fixture
def plan(spr: HostFacts, images: Path) -> Plan:
    return plan_for(spr, images)


@pytest.fixture
def failed(plan: Plan, tmp_path: Path) -> Path:
    """The state folder of a host whose first hop failed in this boot."""
    assert again(plan, simulated(plan, HW_ERROR), tmp_path).exit_code == 6
    return tmp_path


def rebooted(plan: Plan, images: Path) -> tuple[Plan, SimulatedHost]:
    fresh = plan_for(plan.host._replace(boot_id="another"), images)
    return fresh, simulated(fresh)


def refuses(plan: Plan, folder: Path, says: str = "in this boot") -> None:
    """The step is not tried: neither by a dry run, nor by any run until it is asked for."""
    with (
        transaction.begun(simulated(plan), str(folder), dry_run=True) as begun,
        pytest.raises(RefusedError, match=says),
    ):
        begun.perform(plan, judge_for(plan))
    for _ in range(2):
        host = simulated(plan)
        with pytest.raises(RefusedError, match=f"{says}.*--retry-failed"):
            again(plan, host, folder)
        assert host.uploads == 0


def lines_of(folder: Path) -> list[bytes]:
    return (folder / NAME).read_bytes().splitlines(keepends=True)


# -- damage


@pytest.mark.thorough
@pytest.mark.parametrize(
    "damage", [lambda byte: byte ^ 1, lambda byte: 10, lambda byte: 0], ids=["bit", "line", "zero"]
)
def test_one_damaged_byte_anywhere(plan: Plan, failed: Path, damage: object) -> None:
    assert callable(damage)
    content = (failed / NAME).read_bytes()
    for at in range(0, len(content), 1 if THOROUGH else 23):
        harmed = bytearray(content)
        harmed[at] = damage(harmed[at])
        if harmed == content:
            continue
        (failed / NAME).write_bytes(harmed)
        host = simulated(plan)
        with (
            transaction.begun(host, str(failed), dry_run=True) as begun,
            pytest.raises(RefusedError, match="--retry-failed"),
        ):
            begun.perform(plan, judge_for(plan))


def test_a_damaged_outcome(plan: Plan, failed: Path, images: Path) -> None:
    content = (failed / NAME).read_bytes()
    (failed / NAME).write_bytes(content.replace(b'"state":"failed","message"', b'"state":"failet","message"'))
    refuses(plan, failed, "hw-error")
    for file in failed.iterdir():
        file.unlink()
    (failed / NAME).write_bytes(content.replace(b'"failed"', b'"fbiled"'))  # of the run as well
    refuses(plan, failed)
    fresh, host = rebooted(plan, images)
    assert again(fresh, host, failed).version == V34, "it is of an earlier boot"
    assert again(plan, simulated(plan), failed, retry_failed=True).version == V34, "it was asked for"


def test_other_steps_of_this_boot_are_in_doubt_too(plan: Plan, failed: Path, spr: HostFacts, images: Path) -> None:
    """The damaged record may tell of them."""
    lines = lines_of(failed)
    (failed / NAME).write_bytes(b"".join([*lines[:2], b"garbage\n", *lines[2:]]))
    refuses(plan_for(spr, images, "fewest-hops"), failed, rf"1.5.24 → 1.5.34 may have been tried.*{DOUBT}")


@pytest.mark.parametrize("missing", range(1, 5))
def test_missing_records(plan: Plan, failed: Path, missing: int) -> None:
    lines = lines_of(failed)
    (failed / NAME).write_bytes(b"".join(lines[:missing] + lines[missing + 1 :]))
    refuses(plan, failed)


def test_a_missing_beginning(plan: Plan, failed: Path) -> None:
    (failed / NAME).write_bytes(b"".join(lines_of(failed)[5:]))
    refuses(plan, failed, DOUBT)


def test_damage_in_an_earlier_boot(plan: Plan, failed: Path, images: Path) -> None:
    """Its lines name that boot, or a record of that boot follows."""
    lines = lines_of(failed)
    for harmed in ([*lines[:4], b"garbage\n", *lines[4:]], [*lines[:5], lines[5].replace(b"run-ended", b"run-endet")]):
        (failed / NAME).write_bytes(b"".join(harmed))
        fresh, host = rebooted(plan, images)
        assert again(fresh, host, failed).version == V34
        for file in failed.iterdir():
            file.unlink()


def test_a_file_that_was_moved_aside_concerns_the_boot_in_which_it_was(plan: Plan, failed: Path, images: Path) -> None:
    (failed / NAME).write_bytes(b"garbage that names no boot\n")
    for _ in range(6):  # more than were ever read of such files
        refuses(plan, failed, DOUBT)
        with (failed / NAME).open("ab") as file:
            file.write(b"garbage\n")
    fresh, host = rebooted(plan, images)
    with pytest.raises(RefusedError, match=DOUBT):
        again(fresh, host, failed)  # who knows in which boot its last line was damaged
    third = plan_for(plan.host._replace(boot_id="a third"), images)
    assert again(third, simulated(third), failed).version == V34


def test_what_is_no_file(plan: Plan, failed: Path) -> None:
    (failed / NAME).rename(failed / f"{NAME}.2")
    (failed / f"{NAME}.1").mkdir()
    refuses(plan, failed)


def test_a_killed_run_whose_beginning_is_damaged_is_settled(plan: Plan, tmp_path: Path) -> None:
    at = run_to(plan, simulated(plan), tmp_path / "whole", None).interactions.index("state committed")
    host, state = simulated(plan), tmp_path / "state"
    run_to(plan, host, state, at)
    lines = lines_of(state)
    (state / NAME).write_bytes(b"".join([lines[0].replace(b"run-started", b"run-startet"), *lines[1:]]))
    with transaction.begun(host, str(state)) as begun:
        assert begun.finding
        assert (begun.finding.state, str(begun.finding.version)) == ("applied", "1.5.28")
    assert [record.text("state") for record in history(state).records if record.event == "recovered"] == ["applied"]


# -- size


def long_journal(folder: Path, boot_id: str, size: int) -> None:
    descriptor = open_folder(str(folder), create=True)
    journal = Journal(descriptor, boot_id, lambda: 0.0, lambda: 0.0)
    while (folder / NAME).stat().st_size < size:
        journal.append("hook", output="x" * 4000)
    journal.close()
    os.close(descriptor)


def test_records_beyond_the_first_mebibyte(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long_journal(tmp_path, "an earlier boot", 1_200_000)
    with monkeypatch.context() as whole:
        whole.setattr("seamstep.run.journal.writing.ROTATE_AT", 1 << 30)
        whole.setattr(reading, "_READ_MAX", 1 << 30)
        assert again(plan, simulated(plan, HW_ERROR), tmp_path).exit_code == 6
    refuses(plan, tmp_path, "hw-error")


def test_a_file_that_is_not_read_to_its_end(plan: Plan, failed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_READ_MAX", len(b"".join(lines_of(failed)[:4])))
    refuses(plan, failed)


def test_many_runs_since(plan: Plan, failed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotation drops nothing of this boot."""
    monkeypatch.setattr("seamstep.run.journal.writing.ROTATE_AT", 500)
    stale = SimulatedHost(plan.host._replace(remaining_updates=1), {})
    for _ in range(30):
        assert again(plan, stale, failed, retry_failed=True).exit_code == 5
    assert len(list(failed.iterdir())) > 20
    refuses(plan, failed, "hw-error")


# -- an outcome that was never recorded


@pytest.mark.parametrize(
    ("ended", "says"), [("failed", "it failed"), ("stale", "but it is none"), ("", "but it is none")]
)
def test_a_hop_whose_outcome_is_not_recorded(plan: Plan, failed: Path, ended: str, says: str) -> None:
    """The disk was full at its outcome, and not at the end of the run; or a later run began all the same."""
    hop = plan.hops[0]
    descriptor = open_folder(str(failed), create=True)
    (failed / NAME).unlink()
    journal = Journal(descriptor, str(plan.host.boot_id), lambda: 0.0, lambda: 0.0, RecordedHost("", None))
    journal.append("run-started", plan="", source=str(hop.source), target=str(hop.target))
    image = hop.image.upload_sha256 if hop.image else ""
    about = {"source": str(hop.source), "target": str(hop.target), "image": image, "remaining_before": 5}
    journal.append("preflight", **about)
    journal.append("committing", **about)
    if ended:
        journal.append("run-ended", state=ended, message=says)
    else:
        journal.transaction = "0" * 16
        journal.append("run-started", plan="", source=str(hop.source), target=str(hop.target))
        journal.append("run-ended", state="stale", message="")
    journal.close()
    os.close(descriptor)
    expected = {"failed": "failed", "stale": "unknown", "": "committing"}[ended]
    assert runs(history(failed).records)[0].hops[0].state == expected
    with pytest.raises(RefusedError, match=says):
        again(plan, simulated(plan), failed)


def test_records_have_a_checksum(failed: Path) -> None:
    for line in lines_of(failed):
        assert len(json.loads(line)["crc32"]) == 8
    lines = lines_of(failed)
    lines[1] = lines[1].replace(b'"crc32"', b'"crc33"')
    (failed / NAME).write_bytes(b"".join(lines))
    assert [record.seq for record in history(failed).records] == [1, 3, 4, 5, 6]
