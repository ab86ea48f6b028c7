"""The state of a rollout, as plain frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from seamstep.fleet.settings import Rollout


class Phase(StrEnum):
    """Where a host stands."""

    READY = "ready"
    LEASED = "leased"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    VOID = "void"
    OUTSIDE = "outside"
    UNREACHABLE = "unreachable"
    REBOOTING = "rebooting"
    UNKNOWN = "unknown"
    LOST = "lost"


#: Hosts in these phases are unavailable, and count against the limits.
UNAVAILABLE = frozenset({Phase.LEASED, Phase.UNREACHABLE, Phase.REBOOTING, Phase.UNKNOWN, Phase.LOST})
#: Phases of a host whose lease runs, if it is open.
IN_FLIGHT = frozenset({Phase.LEASED, Phase.UNREACHABLE, Phase.REBOOTING})
#: Phases of a host that may be given its next step.
CANDIDATES = frozenset({Phase.READY, Phase.WAITING})


class Step(NamedTuple):
    """One update of the hosts that share canaries (``group``), from one version to another."""

    group: str
    source: str
    target: str


class Class(NamedTuple):
    """The hosts of a fleet plan whose facts are alike.

    Attributes:
        id: the class_id of its plan.
        name: its name in the fleet plan, such as c0001.
        group: platform, module, P-SEAMLDR and kernel: what its canaries stand for (see ``waves.group``).
        versions: the version that runs, and the versions of its path.
        remaining: the updates that remain in the boot; None if not known.
        measurements: the MRSEAM of each of ``versions``; empty if the plan has none.
        reason: why it has no path; empty if it has one.
        step_ids: the class_id that a host's own plan has before each step; empty where it is ``id`` throughout.
    """

    id: str
    name: str
    group: str
    versions: tuple[str, ...]
    remaining: int | None = None
    measurements: tuple[str, ...] = ()
    reason: str = ""
    step_ids: tuple[str, ...] = ()

    def step_id(self, source: str) -> str:
        """The class_id that the plan of a host has which runs ``source``, a version of the path."""
        return self.step_ids[self.versions.index(source)] if self.step_ids else self.id

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of its path, in order."""
        return tuple(Step(self.group, *pair) for pair in zip(self.versions, self.versions[1:], strict=False))


class Host(NamedTuple):
    """One host. Times are on the rollout's own clock (:class:`Clock`).

    Attributes:
        name: its name.
        boot_id: the boot for which it was planned, or the one that was seen since.
        class_id: its class.
        domain: its failure domain.
        phase: where it stands.
        since: when it came there.
        note: why it stands there.
        done: how many steps of its class's path it has taken.
        lease: its last lease; empty before the first.
        open: whether what came of that lease is not known yet.
        begun: whether the host began under that lease, as far as it was said.
        expires: when that lease expires.
        until: when a busy host is tried again.
        proved: the last step that it took in this boot.
        proved_at: when it took that step.
        tried: the steps ("from to") that were tried in this boot and did not succeed, or are not known to have.
        boots: earlier boots; what comes from them is late.
        home: the phase to which a host returns that is away without an open lease; None if it is not.
        home_note: the note of that phase.
    """

    name: str
    boot_id: str
    class_id: str
    domain: str
    phase: Phase
    since: float = 0.0
    note: str = ""
    done: int = 0
    lease: str = ""
    open: bool = False
    begun: bool = False
    expires: float = 0.0
    until: float = 0.0
    proved: Step | None = None
    proved_at: float = 0.0
    tried: tuple[str, ...] = ()
    boots: tuple[str, ...] = ()
    home: Phase | None = None
    home_note: str = ""


class Progress(NamedTuple):
    """How far a step has come.

    Attributes:
        succeeded: how many hosts took it and, until the present stage was passed, ran on in the same boot.
        stage: the present stage (see ``waves.stages``).
        since: when that stage began.
        last: when the last host succeeded.
    """

    succeeded: int = 0
    stage: int = 0
    since: float = 0.0
    last: float = 0.0


class Halt(NamedTuple):
    """A halt of the fleet, or of one group.

    Attributes:
        group: the group; empty for the whole fleet.
        kind: ``lost``, ``unknown``, ``failed``, ``unreachable``, or ``person``.
        reason: the reason, with the host.
        since: when it came.
        by: who halted; empty unless a person did.
    """

    group: str
    kind: str
    reason: str
    since: float
    by: str = ""


class Moment(NamedTuple):
    """The present as a controller measures it: its machine's boot id, and seconds since that boot."""

    boot: str
    monotonic: float


class Clock(NamedTuple):
    """The rollout's own clock. It never goes back, and goes no faster than time does, whatever a wall clock is set to.

    Only time between two words of one boot of a controller's machine counts. Where another machine, or another boot,
    has the word next, no clock has measured the time between: a soak then takes longer, never shorter.

    Attributes:
        time: seconds since the rollout was started, as far as they are sure to have passed.
        boot: the boot of the machine that had the last word.
        monotonic: that machine's monotonic clock at its last word.
    """

    time: float = 0.0
    boot: str = ""
    monotonic: float = 0.0

    def at(self, now: Moment) -> Clock:
        """The clock at ``now``."""
        if now.boot != self.boot:
            return Clock(self.time, now.boot, now.monotonic)
        monotonic = max(self.monotonic, now.monotonic)
        return Clock(self.time + (monotonic - self.monotonic), now.boot, monotonic)


class State(NamedTuple):
    """The whole state of a rollout.

    Attributes:
        rollout: its settings.
        secret: what makes lease ids hard to guess.
        clock: its clock.
        classes: the classes by id.
        hosts: the hosts by name, in the order in which they are taken.
        sizes: the number of hosts in each domain.
        progress: how far each step has come; a step is missing until a host took it.
        halts: what is halted.
        tally: how many hosts counted towards a halt, by kind and group (empty for the fleet), since the last resume.
        allowed: the measurements that the verifier allows; None until they were given.
        leases: how many leases were given.
    """

    rollout: Rollout
    secret: str
    clock: Clock = Clock()
    classes: Mapping[str, Class] = {}
    hosts: Mapping[str, Host] = {}
    sizes: Mapping[str, int] = {}
    progress: Mapping[Step, Progress] = {}
    halts: tuple[Halt, ...] = ()
    tally: Mapping[tuple[str, str], int] = {}
    allowed: frozenset[str] | None = None
    leases: int = 0
