"""The rules: one explicit table from name to rule; a name that is not in it is an error."""

from __future__ import annotations

from typing import NamedTuple

from seamstep.rules.base import Level, Rule, Scope
from seamstep.rules.cpu_supported import CpuSupported
from seamstep.rules.cpus_online import CpusOnline
from seamstep.rules.debug_module import DebugModule
from seamstep.rules.deny import Denial, Deny
from seamstep.rules.feature_loss import FeatureLoss
from seamstep.rules.forward_only import ForwardOnly
from seamstep.rules.handoff import Handoff
from seamstep.rules.image_authentic import ImageAuthentic
from seamstep.rules.kernel_features import KernelFeatures
from seamstep.rules.minimum_module import MinimumModule
from seamstep.rules.minimum_svn import MinimumSvn
from seamstep.rules.no_stranding import NoStranding
from seamstep.rules.preproduction import Preproduction
from seamstep.rules.same_series import SameSeries
from seamstep.rules.same_signer import SameSigner
from seamstep.rules.seamldr_minimum import SeamldrMinimum
from seamstep.rules.strict_compat import StrictCompat
from seamstep.rules.svn_major import SvnMajor
from seamstep.rules.svn_rollback import SvnRollback
from seamstep.rules.update_compatibility import UpdateCompatibility
from seamstep.rules.updates_remaining import UpdatesRemaining
from seamstep.rules.upload_interface import UploadInterface
from seamstep.rules.waypoint import Waypoint

__all__ = [
    "BUILT_IN",
    "HARD_RULES",
    "AppliedRule",
    "Denial",
    "Deny",
    "Level",
    "Rule",
    "Scope",
    "Waiver",
    "Waypoint",
    "policy_rules",
]

from seamstep.base.versions import ModuleVersion, Specifier


class Waiver(NamedTuple):
    """What a policy accepts although a rule is not met: the rule, the targets, why, by whom, and until which day (ISO
    8601, inclusive)."""

    rule: str
    versions: Specifier
    reason: str
    by: str
    until: str


class AppliedRule(NamedTuple):
    """A rule at a level. ``cost`` (squared ranks) is what a hop that does not meet a preferred rule costs.

    ``waivers`` are groups of which each has to accept a step for it to be accepted: one group for each policy that sets
    the rule, so that no layer can waive what another demands.
    """

    rule: Rule
    level: Level = Level.REQUIRE
    cost: int = 0
    waivers: tuple[tuple[Waiver, ...], ...] = ()

    @property
    def always_blocks(self) -> bool:
        """Whether a step that does not meet the rule is refused, without any further question."""
        return self.level is Level.REQUIRE and not self.waivers

    def waivers_for(self, target: ModuleVersion) -> tuple[Waiver, ...]:
        """The waivers that together accept steps to ``target``; none if they don't."""
        found = [next((waiver for waiver in group if target in waiver.versions), None) for group in self.waivers]
        return tuple(waiver for waiver in found if waiver) if all(found) else ()


#: Always on, never waived, in the order in which verdicts are shown.
HARD_RULES: dict[str, type[Rule]] = {
    rule.name: rule
    for rule in (
        UploadInterface,
        UpdatesRemaining,
        CpusOnline,
        SameSeries,
        ForwardOnly,
        MinimumModule,
        SeamldrMinimum,
        CpuSupported,
        UpdateCompatibility,
        Handoff,
        SvnMajor,
        ImageAuthentic,
        KernelFeatures,
    )
}

#: The rules of ours whose level a policy sets, in the order in which verdicts are shown.
BUILT_IN: dict[str, type[Rule]] = {
    rule.name: rule
    for rule in (
        StrictCompat,
        FeatureLoss,
        SvnRollback,
        MinimumSvn,
        DebugModule,
        Preproduction,
        NoStranding,
        SameSigner,
    )
}


def policy_rules() -> dict[str, type[Rule]]:
    """The rules whose level a policy sets, by name: ours, then those of plug-ins. A plug-in can't take the name of a
    rule of ours."""
    from seamstep.rules import plugins

    taken = {*BUILT_IN, *HARD_RULES, Deny.name, Waypoint.name}
    return BUILT_IN | {name: rule for name, rule in plugins.installed().items() if name not in taken}
