"""Blocks releases for other CPUs, which P-SEAMLDR refuses to load."""

from __future__ import annotations

from seamstep.base import cpus
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule, Scope


class CpuSupported(Rule):
    """Compares the host's CPU signatures with the CPUID table of the target's image; steppings are ignored.

    An empty table supports no CPU.
    """

    name = "cpu-supported"
    summary = "Every CPU signature of the host is in the CPUID table of the target's image, steppings aside."
    source = "P-SEAMLDR source, check of the sigstruct's cpuid_table (EUNSUPCPU)"
    why = (
        "P-SEAMLDR refuses an image whose CPUID table lacks the CPU (EUNSUPCPU). Releases of one series may be "
        "for different platforms: 1.5.24 is for SPR and EMR, its twin 1.5.25 for SRF."
    )
    fix = "Choose a release whose table names the CPU; `seamstep image inspect` prints the table."
    scope = Scope.TARGET
    needs_image = True

    def check(self, step: Step, host: HostFacts) -> Verdict:
        image = step.target.image
        if image is None:
            return self.unknown(f"can't tell which CPUs {step.target.version} supports: {step.target.image_problem}")
        if not host.cpu_signatures:
            return self.lacks(host, "cpu_signatures")
        table = image.sigstruct.cpuid
        if not table and not image.sigstruct.debug:
            return self.blocked(f"the image of {step.target.version} has no CPUID table", supported=[])
        supported = {cpus.without_stepping(signature) for signature in table}
        missing = [signature for signature in host.cpu_signatures if cpus.without_stepping(signature) not in supported]
        names = [cpus.format_signature(signature) for signature in table]
        if missing:
            lacking = ", ".join(map(cpus.format_signature, missing))
            reason = f"{step.target.version} is not for CPU {lacking}; it supports {', '.join(names) or 'none'}"
            return self.blocked(reason, supported=names)
        return self.passed(f"the image of {step.target.version} names every CPU of this host", supported=names)
