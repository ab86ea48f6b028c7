"""The simulated host does what the kernel does: the same calls on both, and every observation alike.

What the kernel gave is kept in ``observations.json``, so that the simulator is held to it where no kernel can be
booted; where one can, the kernel is held to the file.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from guest import Guest
from interactions import MODULES, Script, replay
from record import OBSERVATIONS, observe
from scripts import SCRIPTS

from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.domain.facts import HostFacts, UploadNode
from seamstep.host.base import LEGACY, MAINLINE
from seamstep.host.simulated import SimulatedHost

KEPT = json.loads(OBSERVATIONS.read_text())


def simulated(script: Script) -> SimulatedHost:
    profile = LEGACY if script.legacy else MAINLINE
    facts = HostFacts(
        profile=profile.name,
        module_version=ModuleVersion("1.5.24"),
        seamldr_version=SeamldrVersion("1.5.02") if script.node else None,
        remaining_updates=script.remaining if script.node else None,
        cpu_signatures=(0x806F8,),
        cpus_online="0-1",
        cpus_present="0-1",
        upload=UploadNode(profile.upload_node, "idle") if script.node else None,
        cpu_bugs=(),
    )
    return SimulatedHost(facts, MODULES, faults=[script.fault], phase_seconds=script.phase_seconds, rawio=script.rawio)


def differences(script: Script, here: list[Any], there: list[Any]) -> str:
    steps = zip(script.steps, here, there, strict=True)
    return "\n".join(f"{step}: here {mine!r}, kept {its!r}" for step, mine, its in steps if mine != its)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_simulator_gives_what_the_kernel_gave(name: str) -> None:
    here = json.loads(json.dumps(replay(simulated(SCRIPTS[name]), SCRIPTS[name])))
    assert not differences(SCRIPTS[name], here, KEPT[name])


@pytest.mark.kernel
def test_the_kernel_gives_what_it_gave(guest: Guest) -> None:
    observed = observe(guest)
    assert observed.keys() == SCRIPTS.keys()
    wrong = {name: differences(SCRIPTS[name], observed[name], KEPT[name]) for name in SCRIPTS}
    assert not {name: text for name, text in wrong.items() if text}
