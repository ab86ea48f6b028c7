"""What changes while an image is verified and staged stops the hop before the commit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import plan_for
from seamstep.base.errors import ExitCode
from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import HostFacts
from seamstep.host.base import MISC_CURRENT, MODULE_VERSION
from seamstep.host.simulated import SimulatedHost
from seamstep.plan.document import Plan, seal
from seamstep.run.executor import Executor, State
from seamstep.run.executor.states import Stop


class Changing(SimulatedHost):
    """A host on which ``change`` happens once the first byte was staged."""

    def __init__(self, facts: HostFacts, modules: Any, change: Callable[[Changing], None]) -> None:
        super().__init__(facts, modules)
        self.change = change

    def write(self, path: str, data: bytes, offset: int = 0) -> int:
        if path.endswith("/data") and offset == 0:
            self.change(self)
        return super().write(path, data, offset)

    def show(self, path: str, text: str) -> None:
        self._files[path] = lambda: text.encode()


def offline(host: Changing) -> None:
    host.show("/sys/devices/system/cpu/online", "0-100,102-223\n")


def used_up(host: Changing) -> None:
    host._remaining = 0


def another_module(host: Changing) -> None:
    host.show(MODULE_VERSION, "1.5.28\n")


def a_td(host: Changing) -> None:
    host.running_tds += 1


def no_cgroup(host: Changing) -> None:
    host._files.pop(MISC_CURRENT, None)


def with_hops(plan: Plan, host: HostFacts, held: bool, **creation: bool) -> Plan:
    """The plan for ``host``, whose hops and policy say so of the creation of TDs."""
    document = {key: plan.document[key] for key in plan.document if key not in {"schema", "id"}}
    hops = [hop | {"td_creation": hop["td_creation"] | creation} for hop in document["hops"]]
    changed = {"hops": hops, "host": host.to_document(), "td_creation": "held" if held else None}
    return seal(document | changed, host)


@pytest.mark.parametrize(
    ("change", "running_tds", "held", "creation", "says"),
    [
        (offline, 3, False, {}, "CPUs 0-223 were online, now 0-100,102-223"),
        (used_up, 3, False, {}, "5 updates remained, now 0"),
        (another_module, 3, False, {}, "1.5.28 runs"),
        (a_td, 3, False, {"safe": True}, ""),
        (
            a_td,
            0,
            False,
            {"safe": False, "needs_no_td": True},
            "1 TD runs, and the hop is permitted only",
        ),
        (no_cgroup, 0, False, {"safe": False, "needs_no_td": True}, "the number of TDs can't be read"),
        (a_td, 3, True, {"safe": False}, "4 TDs run, and there were 3: the creation of TDs is not held back"),
        (no_cgroup, 3, True, {"safe": False}, "the number of TDs can't be read"),
        (lambda host: None, 3, True, {"safe": False}, ""),
        (a_td, 3, False, {"safe": False}, ""),  # the policy takes the risk
    ],
)
def test_what_changed_stops_the_hop_before_the_commit(
    spr: HostFacts, images: Path, change: Any, running_tds: int, held: bool, creation: dict[str, bool], says: str
) -> None:
    plan = plan_for(spr, images)
    facts = spr._replace(running_tds=running_tds)
    plan = with_hops(plan, facts, held, **creation)
    modules = {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image}
    host = Changing(facts, modules, change)
    result = Executor(host).run(plan, limit=1)
    if not says:
        assert (result.state, host.uploads) == (State.APPLIED, 1)
        return
    assert (host.uploads, result.stopped) == (0, Stop.STALE)
    assert result.exit_code == (ExitCode.UNKNOWN if change is another_module else ExitCode.STALE)
    assert "the host changed before the commit: " in result.message
    assert says in result.message
    assert result.version in {ModuleVersion("1.5.24"), ModuleVersion("1.5.28")}


def test_tds_that_came_since_the_plan_was_made_make_it_stale(spr: HostFacts, images: Path) -> None:
    plan = with_hops(plan_for(spr, images), spr._replace(running_tds=0), held=False, safe=False, needs_no_td=True)
    host = SimulatedHost(spr._replace(running_tds=2), {})
    result = Executor(host).run(plan)
    assert (result.stopped, host.uploads) == (Stop.STALE, 0)
    assert "2 TDs run, and the hop is permitted only while none does" in result.message
