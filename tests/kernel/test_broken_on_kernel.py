"""The scenarios see a broken executor: each way of breaking it lets one of them fail."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import test_on_kernel
import test_record_on_kernel
from lab import Lab, Seen

import seamstep

pytestmark = pytest.mark.kernel

CODE = Path(seamstep.__file__).parent


@dataclass(frozen=True)
class Broken:
    """A file of the package, what is replaced in it and by what, and the scenario that must not pass then."""

    changes: tuple[tuple[str, str, str], ...]
    scenario: Callable[..., None]
    arguments: tuple[object, ...] = ()


BROKEN = {
    "reports success without reading the version back": Broken(
        (
            (
                "run/executor/outcome.py",
                "    if seen.lost:",
                "    if not seen.reported:\n        return State.APPLIED, ''\n    if seen.lost:",
            ),
        ),
        test_on_kernel.test_a_success_that_is_none_is_not_told_as_one,
        test_on_kernel.UNTRUE[0],
    ),
    "reads the version back and does not compare it": Broken(
        (("run/executor/outcome.py", "if version not in {hop.source, hop.target}:", "if False:"),),
        test_on_kernel.test_a_success_that_is_none_is_not_told_as_one,
        test_on_kernel.UNTRUE[1],
    ),
    "does not count the remaining updates": Broken(
        (("run/executor/outcome.py", "seen.remaining != remaining_before - 1", "False"),),
        test_on_kernel.test_a_success_that_is_none_is_not_told_as_one,
        test_on_kernel.UNTRUE[3],
    ),
    "tries again after a failure that is not busy": Broken(
        (
            ("run/executor/performing.py", "result.state is not State.BUSY or", "result.state is State.APPLIED or"),
            ("run/executor/states.py", "State.FAILED: frozenset()", "State.FAILED: frozenset({State.PREFLIGHT})"),
        ),
        test_record_on_kernel.test_only_busy_is_tried_again,
    ),
    "does not read the staged bytes back": Broken(
        (("run/executor/kernel.py", "        _compare(port, image)\n", ""),),
        test_on_kernel.test_somebody_else_writes_into_the_staged_image,
    ),
    "does not read the facts again before the commit": Broken(
        (("run/executor/attempt.py", "                self._refuse_changes()\n", ""),),
        test_on_kernel.test_a_change_while_staging_stops_the_hop_before_the_commit,
        test_on_kernel.CHANGES[0],
    ),
    "does not wait for the kernel": Broken(
        (("run/executor/kernel.py", "if status == IDLE:", "if status:"),),
        test_on_kernel.test_one_hop_and_nothing_to_do_afterwards,
    ),
    "takes a loss for a failure": Broken(
        (("run/executor/outcome.py", "    if seen.lost:", "    if False:"),),
        test_on_kernel.test_loss_is_told_and_nothing_is_uploaded_any_more,
        (1,),
    ),
}


def copy(folder: Path, changes: tuple[tuple[str, str, str], ...]) -> Path:
    """A copy of the package with changes; the folder to import it from. What is compiled is copied too."""
    shutil.copytree(CODE, folder / "engine" / "seamstep")
    for kind in ("policies", "schemas"):
        packaged = CODE / kind
        shutil.copytree(packaged if packaged.is_dir() else CODE.parents[1] / kind, folder / kind, dirs_exist_ok=True)
    for name, old, new in changes:
        path = folder / "engine" / "seamstep" / name
        text = path.read_text()
        assert text.count(old) == 1, f"{name} has changed; {old!r} is there {text.count(old)} times"
        path.write_text(text.replace(old, new))
    return folder / "engine"


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_executor_is_seen(lab: Lab, tmp_path: Path, how: str) -> None:
    broken = BROKEN[how]
    with lab.running(copy(tmp_path / "broken", broken.changes)), pytest.raises(AssertionError):
        broken.scenario(lab, *broken.arguments)


def test_a_copy_that_is_not_broken_passes(lab: Lab, tmp_path: Path) -> None:
    """It is the change that the scenarios see, not the copy."""
    with lab.running(copy(tmp_path / "whole", ())):
        test_record_on_kernel.test_only_busy_is_tried_again(lab)
        test_on_kernel.test_somebody_else_writes_into_the_staged_image(lab)
        lab.load()
        assert lab.apply(lab.plan()).code == 0
        assert lab.seen() == Seen("1.5.34", "3", "2", "idle", "", "0")
