"""Makes sure that the target can take over the state of the running module, and so its TDs."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule

#: The pages that modules with a handoff version above 0 leave for data of version 0, whatever their own room.
_V0_PAGES = 25


class Handoff(Rule):
    """Compares version and room of the data that the source writes with those that the target reads."""

    name = "handoff"
    summary = "The target takes the source's handoff version, and has room for as much data as the source may write."
    source = "P-SEAMLDR source (EBADHANDOFF) and TDX module source, TDH.SYS.UPDATE: both after the old module is gone"
    why = (
        "The old module packs its state in its own handoff version. A target that does not take that version, or has "
        "fewer pages for the data than the source, fails after the old module was shut down: TDX and every TD are lost."
    )
    fix = (
        "Go by way of a release that takes what the source hands over and hands over what the target takes: allow "
        "enough hops (`max_hops`) for it. `seamstep image inspect` prints an image's handoff versions."
    )
    needs_image = True

    def check(self, step: Step, host: HostFacts) -> Verdict:
        images = self.both_images(step)
        if isinstance(images, Verdict):
            return images
        source, target = (image.sigstruct for image in images)
        packed, lowest, highest = source.module_hv, target.min_update_hv, target.module_hv
        evidence = {"source_module_hv": packed, "target_min_update_hv": lowest, "target_module_hv": highest}
        takes = f"{step.target.version} takes handoff versions {lowest} to {highest}"
        reason = f"{takes}; {step.source.version} hands over version {packed}"
        if not lowest <= packed <= highest:
            return self.blocked(reason, **evidence)
        pages, room = source.handoff_pages + 1, target.handoff_pages + 1
        if packed == 0 < highest:
            room = _V0_PAGES
        if pages > room:
            fewer = f"{step.target.version} has {room} pages for it, {step.source.version} may hand over {pages}"
            return self.blocked(fewer, source_pages=pages, target_pages=room)
        return self.passed(reason, **evidence)
