"""The tables of rules by name, and the values with which a policy applies them. Names that no table has are errors."""

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
from seamstep.rules.seam_memory import SeamMemory
from seamstep.rules.seamldr_minimum import SeamldrMinimum
from seamstep.rules.svn import Svn
from seamstep.rules.tcb_status import TcbStatusRule
from seamstep.rules.td_build import TdBuild
from seamstep.rules.updates_remaining import UpdatesRemaining
from seamstep.rules.upload_interface import UploadInterface
from seamstep.rules.waypoint import Waypoint

__all__ = [
    "HARD_RULES",
    "POLICY_RULES",
    "AppliedRule",
    "Denial",
    "Deny",
    "Level",
    "Rule",
    "Scope",
    "TcbStatusRule",
    "Waiver",
    "Waypoint",
    "policy_rules",
]

from seamstep.base.versions import ModuleVersion, Specifier


class Waiver(NamedTuple):
    """An exception to one policy rule for some targets.

    Attributes:
        rule: the rule's name.
        versions: the targets.
        reason: why the policy accepts them.
        by: the person or team that decided it.
        until: the last day on which it is in force, as ISO 8601.
    """

    rule: str
    versions: Specifier
    reason: str
    by: str
    until: str


class AppliedRule(NamedTuple):
    """A rule at a level.

    Attributes:
        rule: the rule with its parameters.
        level: the effect of the rule on a step that does not meet it.
        cost: added to the cost of a step that does not meet a preferred rule, in squared ranks.
        waivers: groups of waivers, one for each policy that sets the rule. A step is waived if every group has a waiver
            for it, so that no layer can waive a demand of another.
    """

    rule: Rule
    level: Level = Level.REQUIRE
    cost: int = 0
    waivers: tuple[tuple[Waiver, ...], ...] = ()

    def waivers_for(self, target: ModuleVersion) -> tuple[Waiver, ...]:
        """One waiver of each group for steps to ``target``; empty if a group has none."""
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
        Handoff,
        Svn,
        DebugModule,
        ImageAuthentic,
        KernelFeatures,
    )
}

#: The rules that ship with seamstep and whose level a policy sets, in the order in which verdicts are shown.
POLICY_RULES: dict[str, type[Rule]] = {
    rule.name: rule
    for rule in (
        TdBuild,
        FeatureLoss,
        SeamMemory,
        MinimumSvn,
        TcbStatusRule,
        Preproduction,
        NoStranding,
    )
}

#: Names that policies of earlier versions may hold, with the advice for the error message.
REMOVED_RULES = {
    "strict-compat": "it is called 'td-build' now",
    "svn-rollback": "it is part of the hard rule 'svn' now, which is always on; take it out",
    "svn-major": "it is part of the hard rule 'svn' now, which is always on; take it out",
    "debug-module": "it is a hard rule now, which is always on; take it out",
    "same-signer": "it is gone, since real hosts take Intel's signer alone ('image-authentic'); take it out",
    "update-compatibility": "it is gone, since the mainline kernel does not ask for it; take it out",
}


def policy_rules() -> dict[str, type[Rule]]:
    """The rules whose level a policy sets, by name: those that ship with seamstep, then those of plug-ins. A plug-in
    with the name of a rule that ships is left out."""
    from seamstep.rules import plugins

    taken = {*POLICY_RULES, *HARD_RULES, Deny.name, Waypoint.name}
    return POLICY_RULES | {name: rule for name, rule in plugins.installed().items() if name not in taken}
