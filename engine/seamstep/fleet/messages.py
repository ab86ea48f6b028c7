"""What the core is given (observations), and what it answers (actions)."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from seamstep.fleet.state import Class


class Outcome(StrEnum):
    """What came of a lease, or what was seen of a host."""

    APPLIED = "applied"
    BUSY = "busy"
    FAILED = "failed"
    REFUSED = "refused"
    LOST = "lost"
    UNKNOWN = "unknown"
    UNREACHABLE = "unreachable"
    REBOOTING = "rebooting"
    NOT_BEGUN = "not-begun"
    SEEN = "seen"
    RUNNING = "running"


class Planned(NamedTuple):
    """The classes of a fleet plan."""

    classes: tuple[Class, ...]


class Assigned(NamedTuple):
    """A host of a fleet plan; ``boot_id`` is None where its facts lack it."""

    host: str
    boot_id: str | None
    class_id: str
    domain: str


class Allowed(NamedTuple):
    """The measurements that the verifier allows from now on."""

    measurements: frozenset[str]


class Ask(NamedTuple):
    """A controller asks which hosts may begin; at most ``limit`` (None: as many as may)."""

    limit: int | None = None


class Begin(NamedTuple):
    """A host is about to begin under its lease, in the boot ``boot_id`` (None: not looked at)."""

    host: str
    lease: str
    boot_id: str | None = None


class Report(NamedTuple):
    """What came of a lease, or what was seen of a host.

    Attributes:
        host: the host.
        outcome: what came of it.
        lease: the lease that it is about; empty where it is about none.
        boot_id: the boot that the host was seen in; None where it was not seen.
        version: the version that runs; None if not known.
        note: the reason in the host's own words.
    """

    host: str
    outcome: Outcome
    lease: str = ""
    boot_id: str | None = None
    version: str | None = None
    note: str = ""


class Stop(NamedTuple):
    """A person halts the fleet, or one group."""

    by: str
    reason: str
    group: str = ""


class Resume(NamedTuple):
    """A person takes back all halts, or those of one group."""

    by: str
    reason: str
    group: str = ""


Observation = Planned | Assigned | Allowed | Ask | Begin | Report | Stop | Resume


class Granted(NamedTuple):
    """A host may begin a step under a lease until ``expires``."""

    host: str
    lease: str
    class_id: str
    source: str
    target: str
    boot_id: str
    expires: float


class Begun(NamedTuple):
    """The host may begin now, and once."""

    host: str
    lease: str


class Denied(NamedTuple):
    """The host must not begin; ``code`` is stable."""

    host: str
    lease: str
    code: str
    reason: str


class Accepted(NamedTuple):
    """A report was believed; ``phase`` is where the host stands now."""

    host: str
    phase: str
    reason: str


class Rejected(NamedTuple):
    """A report, or an assignment, was not believed; ``code`` is stable. The host stands where it stood."""

    host: str
    code: str
    reason: str


class Expired(NamedTuple):
    """A lease expired without a report; the host is unknown."""

    host: str
    lease: str


class Halted(NamedTuple):
    """The fleet, or a group, is halted."""

    group: str
    kind: str
    reason: str


class Resumed(NamedTuple):
    """Halts were taken back, ``halts`` of them."""

    group: str
    by: str
    reason: str
    halts: int


class Advanced(NamedTuple):
    """A step's next stage is open."""

    group: str
    source: str
    target: str
    stage: int


Action = Granted | Begun | Denied | Accepted | Rejected | Expired | Halted | Resumed | Advanced
