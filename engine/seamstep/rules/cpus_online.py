"""Demands all CPUs of the platform, since P-SEAMLDR installs a module on all of them or not at all."""

from __future__ import annotations

from seamstep.base import cpus
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule, Scope


class CpusOnline(Rule):
    """Compares the online CPUs with the present ones, and looks for kernel parameters that hide CPUs."""

    name = "cpus-online"
    summary = "All present CPUs are online, and the kernel's command line hides none."
    source = "P-SEAMLDR source: SEAMLDR.INSTALL on all logical processors of the platform; Linux does not check"
    why = (
        "P-SEAMLDR installs a module only after every logical processor of the platform called it. The kernel calls it "
        "on the online CPUs alone, after it shut the old module down, and does not look whether any is missing: an "
        "offline CPU, or one that `nr_cpus=`, `maxcpus=` or `possible_cpus=` hides, loses TDX and every TD."
    )
    fix = (
        "Bring the CPUs that the reason names online (`echo 1 > /sys/devices/system/cpu/cpuN/online`), then plan "
        "again. Where the kernel's command line hides CPUs, boot without that word."
    )
    scope = Scope.HOST

    def check(self, step: Step, host: HostFacts) -> Verdict:
        if host.cpus_present is None:
            return self.lacks(host, "cpus_present")
        if host.cpus_online is None:
            return self.lacks(host, "cpus_online")
        if host.cpu_limits is None:
            return self.lacks(host, "cpu_limits")
        if host.cpu_limits:
            words = " ".join(host.cpu_limits)
            reason = f"the kernel's command line hides CPUs that P-SEAMLDR counts ({words}); boot without that"
            return self.blocked(reason, cpu_limits=list(host.cpu_limits))
        present, online = cpus.parse_list(host.cpus_present), cpus.parse_list(host.cpus_online)
        if present == online:
            return self.passed(f"CPUs {host.cpus_online} are online")
        offline = cpus.format_list(present - online)
        if not offline:
            return self.unknown("more CPUs are online than are present", online=host.cpus_online)
        return self.blocked(f"CPUs {offline} are offline; bring them online first", offline=offline)
