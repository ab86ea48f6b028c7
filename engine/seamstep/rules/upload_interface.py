"""Demands a kernel that can update the module at run time and is not doing so already."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule, Scope

ERRATUM = "seamret_invd_vmcs"


class UploadInterface(Rule):
    """Reads the kernel's sysfs layout, the upload node and its status, and the CPU bugs of the host."""

    name = "upload-interface"
    summary = "The kernel offers a firmware-upload node of a known layout that is idle; no CPU erratum hides it."
    source = "Linux drivers/virt/coco/tdx-host/tdx-host.c, seamldr_init() and supports_runtime_update()"
    why = (
        "The node is there only where the kernel supports updates at run time. While it is not idle an update may "
        "be under way, and one that has begun can't be cancelled."
    )
    fix = (
        "Wait until the update that is under way is over. Without a node, boot a kernel that supports updates at "
        "run time. A CPU with the erratum can't be updated at run time, unless a microcode update lifts the erratum."
    )
    scope = Scope.HOST

    def check(self, step: Step, host: HostFacts) -> Verdict:
        if host.cpu_bugs is None:
            return self.lacks(host, "cpu_bugs")
        if ERRATUM in host.cpu_bugs:
            return self.blocked(
                f"this CPU has the erratum {ERRATUM}, so the kernel hides the update interface; a microcode update and"
                " a reboot may lift it",
                cpu_bug=ERRATUM,
            )
        if host.profile == "interim":
            return self.blocked(
                "the kernel has the interim sysfs layout of versions 4 to 7 of the unmerged series (node tdx_module"
                " with tdx_host/seamldr/); which images it takes is not known",
                profile="interim",
            )
        if host.upload is None:
            reason = host.why_unknown("upload")
            if reason.startswith("missing"):
                return self.blocked(f"the kernel offers no upload node ({reason})", upload=None)
            return self.lacks(host, "upload")
        if host.upload.status is None:
            return self.lacks(host, "upload.status")
        if host.upload.status != "idle":
            return self.blocked(
                f"the upload node {host.upload.name} is {host.upload.status}, not idle: an update is under way",
                status=host.upload.status,
            )
        if host.profile is None:
            return self.lacks(host, "profile")
        return self.passed(f"the upload node {host.upload.name} is idle", status="idle")
