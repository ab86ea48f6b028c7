"""``cpu-supported``."""

from __future__ import annotations

import functools

from seamstep.base import cpus
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
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
        missing, table = _compared(host.cpu_signatures, image.sigstruct.cpuid)
        if missing:
            supports = ", ".join(table) or "none"
            return self.blocked(
                f"{step.target.version.text} is not for CPU {', '.join(missing)}; it supports {supports}",
                supported=[*table],
            )
        return self.passed("the image names this CPU", supported=[*table])


@functools.lru_cache(maxsize=1024)
def _compared(host: tuple[int, ...], image: tuple[int, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The host's signatures that an image's table lacks, steppings aside, and the table, as they are shown; most
    releases have the same table."""
    supported = set(map(cpus.without_stepping, image))
    missing = [signature for signature in host if cpus.without_stepping(signature) not in supported]
    return tuple(map(cpus.format_signature, missing)), tuple(map(cpus.format_signature, image))
