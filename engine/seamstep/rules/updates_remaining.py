"""Prevents updates for which P-SEAMLDR has no room left."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule, Scope


class UpdatesRemaining(Rule):
    """Reads the updates that remain after the hops before the step."""

    name = "updates-remaining"
    summary = "P-SEAMLDR still has an update to give when the step's turn comes."
    source = "Linux Documentation/ABI/testing/sysfs-devices-faux-tdx-host, num_remaining_updates"
    why = (
        "P-SEAMLDR's log of loaded modules has finite room. The mainline kernel does not check for room before it "
        "shuts the old module down, so an update without room loses TDX and every TD."
    )
    fix = (
        "Choose a path of fewer hops. A reboot brings updates back where this boot had some; a P-SEAMLDR that shows 0 "
        "right after boot can't update at run time."
    )
    scope = Scope.TURN

    def check(self, step: Step, host: HostFacts) -> Verdict:
        remaining = host.remaining_updates
        if remaining is None:
            return self.lacks(host, "remaining_updates")
        if remaining < 1:
            return self.blocked(
                "this P-SEAMLDR offers no update for this step (a reboot helps only if this boot had some)",
                remaining=max(remaining, 0),
            )
        return self.passed(f"{remaining} left", remaining=remaining)
