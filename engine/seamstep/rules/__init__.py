"""The rules: one explicit table from name to rule; a name that is not in it is an error."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from seamstep.rules.base import Rule
from seamstep.rules.cpu_supported import CpuSupported
from seamstep.rules.cpus_online import CpusOnline
from seamstep.rules.debug_module import DebugModule
from seamstep.rules.forward_only import ForwardOnly
from seamstep.rules.handoff import Handoff
from seamstep.rules.image_authentic import ImageAuthentic
from seamstep.rules.kernel_features import KernelFeatures
from seamstep.rules.minimum_module import MinimumModule
from seamstep.rules.minimum_svn import MinimumSvn
from seamstep.rules.same_series import SameSeries
from seamstep.rules.same_signer import SameSigner
from seamstep.rules.seamldr_minimum import SeamldrMinimum
from seamstep.rules.strict_compat import StrictCompat
from seamstep.rules.svn_major import SvnMajor
from seamstep.rules.svn_rollback import SvnRollback
from seamstep.rules.update_compatibility import UpdateCompatibility
from seamstep.rules.updates_remaining import UpdatesRemaining
from seamstep.rules.upload_interface import UploadInterface

__all__ = ["HARD_RULES", "POLICY_RULES", "AppliedRule", "Level", "Rule"]


class Level(StrEnum):
    """What a verdict does: REQUIRE blocks the step, PREFER makes it cost more, WARN is shown, OFF is not asked."""

    REQUIRE = "require"
    PREFER = "prefer"
    WARN = "warn"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class AppliedRule:
    """A rule at a level. ``cost`` (squared ranks) is what a hop that does not meet a preferred rule costs."""

    rule: Rule
    level: Level = Level.REQUIRE
    cost: int = 0


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

#: Rules whose level a policy sets, with the level they have when it does not.
POLICY_RULES: dict[str, tuple[type[Rule], Level]] = {
    rule.name: (rule, level)
    for rule, level in (
        (StrictCompat, Level.WARN),
        (SvnRollback, Level.REQUIRE),
        (MinimumSvn, Level.OFF),
        (DebugModule, Level.REQUIRE),
        (SameSigner, Level.WARN),
    )
}
