"""The outcome of a committed hop. Pure: derived from the values that were read back."""

from __future__ import annotations

from typing import NamedTuple

from seamstep.base.versions import ModuleVersion
from seamstep.plan.document import Hop
from seamstep.run.executor.states import State

LOST = "TDX is lost: no module runs and all TDs are dead; only a reboot brings TDX back"
BUSY_CAUSE = "the kernel reports device-busy, as some kernels do while a TD is being built or migrated"
#: Seconds until the kernel's worker counts as stuck; an update takes less than one. The time spent in sleep is counted,
#: so a clock that stands still or jumps does not change the limit.
IDLE_TIMEOUT = 600.0
_BUSY = "device-busy"


class ReadBack(NamedTuple):
    """The values read back after a commit.

    Attributes:
        version: the running version; None if it can't be read.
        lost: whether TDX is lost (ENXIO).
        unreadable: the reason why the version can't be read; empty if it can.
        reported: the node's ``error``, empty for none; None if it can't be read.
        unreported: the reason why ``error`` can't be read; empty if it can.
        idle: whether the upload status became idle in time.
        remaining: the remaining updates; None if they can't be read.
    """

    version: ModuleVersion | None
    lost: bool
    unreadable: str
    reported: str | None
    unreported: str
    idle: bool
    remaining: int | None


def classify(hop: Hop, remaining_before: int | None, seen: ReadBack) -> tuple[State, str]:
    """The final state of a committed hop, and a sentence for messages.

    A hop counts as applied only if version, reported error and remaining updates all agree, and as unknown if they
    contradict each other.

    Args:
        hop: the hop.
        remaining_before: the remaining updates before the commit; None if not known.
        seen: the values read back.
    """
    version = seen.version
    if seen.lost:
        return State.LOST, LOST
    if version is None:
        return State.UNKNOWN, f"{hop}: the running version can't be read: {seen.unreadable}"
    if not seen.idle:
        return State.UNKNOWN, f"{hop}: the kernel is not done after {IDLE_TIMEOUT:.0f} s; {version} runs"
    if version not in {hop.source, hop.target}:
        return State.UNKNOWN, f"{hop}: {version} runs, which is neither"
    if seen.reported is None:
        return State.UNKNOWN, f"{hop}: {version} runs, yet the kernel reports nothing ({seen.unreported})"
    if version == hop.source:
        return _classify_unchanged(hop, seen.reported)
    if seen.reported:
        return State.UNKNOWN, f"{hop}: {version} runs, yet the kernel reports {seen.reported}"
    if remaining_before is None or seen.remaining != remaining_before - 1:
        counts = f"remaining updates went from {remaining_before} to {seen.remaining}"
        return State.UNKNOWN, f"{hop}: {version} runs, but {counts}"
    return State.APPLIED, f"{version} runs"


def _classify_unchanged(hop: Hop, reported: str) -> tuple[State, str]:
    alive = f"{hop.source} and its TDs run on"
    if reported.endswith(f":{_BUSY}"):
        return State.BUSY, f"{hop}: {BUSY_CAUSE}; {alive}; try again later"
    cause = f"the kernel reports {reported}" if reported else "the kernel reports success, but it is none"
    return State.FAILED, f"{hop} failed: {cause}; {alive}"
