"""``cpu-supported``."""

from __future__ import annotations

import functools

from seamstep import cpus
from seamstep.facts import HostFacts
from seamstep.model import Step, Verdict
from seamstep.rules.base import Rule, Scope


class CpuSupported(Rule):
    """The target's image names every CPU of the host."""

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
        platforms, table = _table(image.sigstruct.cpuid)
        missing = [s for s in host.cpu_signatures if cpus.without_stepping(s) not in platforms]
        if missing:
            names = ", ".join(cpus.format_signature(signature) for signature in missing)
            return self.blocked(
                f"{step.target.version} is not for CPU {names}; it supports {', '.join(table) or 'none'}",
                supported=[*table],
            )
        return self.passed("the image names this CPU", supported=[*table])


@functools.lru_cache(maxsize=1024)
def _table(signatures: tuple[int, ...]) -> tuple[frozenset[int], tuple[str, ...]]:
    """What a table names, steppings aside, and as it is shown; most releases have the same one."""
    return frozenset(map(cpus.without_stepping, signatures)), tuple(map(cpus.format_signature, signatures))
