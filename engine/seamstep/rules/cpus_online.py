"""``cpus-online``."""

from __future__ import annotations

from seamstep.base import cpus
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule, Scope


class CpusOnline(Rule):
    """Every present CPU is online."""

    name = "cpus-online"
    summary = "Every present CPU is online: P-SEAMLDR installs a module on all of them or fails fatally."
    source = "SEAM Loader Interface Specification, SEAMLDR.INSTALL; mainline Linux does not check it (inferred)"
    why = (
        "The mainline kernel does not check for offline CPUs before it shuts the old module down, so an update "
        "while one is offline kills every TD (inferred); only a reboot recovers from that."
    )
    fix = (
        "Bring the CPUs that the reason names online (`echo 1 > /sys/devices/system/cpu/cpuN/online`), then plan again."
    )
    scope = Scope.HOST

    def check(self, step: Step, host: HostFacts) -> Verdict:
        if host.cpus_present is None:
            return self.lacks(host, "cpus_present")
        if host.cpus_online is None:
            return self.lacks(host, "cpus_online")
        if host.cpus_online == host.cpus_present:
            return self.passed(f"CPUs {host.cpus_online} are online")
        present, online = cpus.parse_list(host.cpus_present), cpus.parse_list(host.cpus_online)
        if present == online:
            return self.passed(f"CPUs {host.cpus_online} are online")
        offline = cpus.format_list(present - online)
        if not offline:
            return self.unknown("more CPUs are online than are present", online=host.cpus_online)
        return self.blocked(f"CPUs {offline} are offline; bring them online first", offline=offline)
