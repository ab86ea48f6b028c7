"""What each rule says of a step: pass, block, or unknown, with a reason that names the cause."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

import pytest
from made import made_image

from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.domain.facts import HostFacts, UploadNode
from seamstep.domain.model import INTEL_SIGNER, Outcome, Release, Step
from seamstep.domain.tcb import Standing, TcbStatus
from seamstep.rules import HARD_RULES, Rule, policy_rules

#: A real host, on which TDs run.
HOST = HostFacts(
    profile="mainline",
    module_version=ModuleVersion("1.5.24"),
    seamldr_version=SeamldrVersion("1.5.02"),
    remaining_updates=2,
    cpu_signatures=(0x806F8,),
    cpus_online="0-7",
    cpus_present="0-7",
    cpu_limits=(),
    running_tds=4,
    upload=UploadNode("tdx_module", "idle"),
    cpu_bugs=(),
)
GOOD = Standing("90C06F000000", 18, "TDX_01", TcbStatus.UP_TO_DATE, date(2024, 11, 13))
OLD = GOOD._replace(
    status=TcbStatus.OUT_OF_DATE, day=date(2024, 3, 13), since=date(2024, 11, 13), advisories=("INTEL-SA-01099",)
)
REVOKED = OLD._replace(status=TcbStatus.REVOKED)
EXPIRED = GOOD._replace(status=None, reason="the document has expired")
IMAGE = made_image((0x806F0, 0xC06F0), 0x10D, 1, 0, signer=INTEL_SIGNER)
SOURCE = Release(ModuleVersion("1.5.24"), features0=1 << 47, image=IMAGE, tcb=(GOOD,))
TARGET = Release(
    ModuleVersion("1.5.28"),
    minimum_module=ModuleVersion("1.5.01"),
    minimum_seamldrs=(SeamldrVersion("2.0.00"), SeamldrVersion("1.5.02")),
    features0=1 << 47 | 1 << 18 | 1 << 1,
    strict_compat=(ModuleVersion("1.5.24"),),
    image=IMAGE,
    tcb=(GOOD,),
)


class Ahead(NamedTuple):
    """An outlook in which these releases are cut off."""

    versions: tuple[str, ...]

    def cut_off(self, source: ModuleVersion, target: ModuleVersion) -> tuple[ModuleVersion, ...]:
        return tuple(map(ModuleVersion, self.versions))


class Case(NamedTuple):
    """``rule`` is the rule's name, ``parameters`` go to its constructor, the changes to what passes by itself."""

    rule: str
    outcome: Outcome
    says: str = ""
    host: dict[str, Any] = {}
    source: dict[str, Any] = {}
    target: dict[str, Any] = {}
    outlook: tuple[str, ...] | None = ()
    parameters: dict[str, Any] = {}


def block(rule: str, says: str, **changes: Any) -> Case:
    return Case(rule, Outcome.BLOCK, says, **changes)


def unknown(rule: str, says: str, **changes: Any) -> Case:
    return Case(rule, Outcome.UNKNOWN, says, **changes)


def ok(rule: str, says: str = "", **changes: Any) -> Case:
    return Case(rule, Outcome.PASS, says, **changes)


ERRATUM = {"cpu_bugs": ("spectre_v1", "seamret_invd_vmcs"), "upload": None}
ABSENT = {"upload": None, "unknown": {"upload": "missing: /sys/class/firmware/tdx_module does not exist"}}
FORBIDDEN = {"upload": None, "unknown": {"upload": "permission: /sys/class can't be read"}}
NO_CGROUP = {"running_tds": None, "unknown": {"running_tds": "missing: /sys/fs/cgroup/misc.current does not exist"}}
LESS: dict[str, Any] = {"status": "OutOfDate"}
THEN: dict[str, Any] = {"status": "UpToDate", "as_of": "2024-03-13"}
LATER: dict[str, Any] = {"status": "UpToDate", "as_of": "2024-03-14"}
HELD: dict[str, Any] = {"held": True}
UNLISTED: dict[str, Any] = {"strict_compat": (ModuleVersion("1.5.20"),)}
NO_FIELD: dict[str, Any] = {"strict_compat": None}
NO_TABLE = IMAGE._replace(sigstruct=IMAGE.sigstruct._replace(cpuid=()))
NO_TABLE_DEBUG = IMAGE._replace(sigstruct=IMAGE.sigstruct._replace(cpuid=(), module_type=1 << 31))
CASES = [
    block("upload-interface", "seamret_invd_vmcs", host=ERRATUM),
    block("upload-interface", "no upload node", host=ABSENT),
    unknown("upload-interface", "permission", host=FORBIDDEN),
    unknown("upload-interface", "cpu_bugs", host={"cpu_bugs": None}),
    unknown("upload-interface", "status", host={"upload": UploadNode("tdx_module", None)}),
    block("upload-interface", "transferring", host={"upload": UploadNode("tdx_module", "transferring")}),
    block("upload-interface", "interim sysfs layout", host={"profile": "interim"}),
    ok("upload-interface", host={"profile": "legacy", "upload": UploadNode("seamldr_upload", "idle")}),
    ok("updates-remaining", "1 left", host={"remaining_updates": 1}),
    block("updates-remaining", "reboot", host={"remaining_updates": 0}),
    block("updates-remaining", "reboot", host={"remaining_updates": -1}),
    unknown("updates-remaining", "remaining_updates", host={"remaining_updates": None}),
    ok("cpus-online", host={"cpus_online": "0,1-7"}),
    block("cpus-online", "CPUs 2-3 are offline", host={"cpus_online": "0-1,4-7"}),
    unknown("cpus-online", "more CPUs", host={"cpus_online": "0-9"}),
    unknown("cpus-online", "cpus_online", host={"cpus_online": None}),
    unknown("cpus-online", "cpus_present", host={"cpus_present": None}),
    block("cpus-online", "nr_cpus=8", host={"cpu_limits": ("nr_cpus=8",)}),
    block("cpus-online", "maxcpus=4 possible_cpus=4", host={"cpu_limits": ("maxcpus=4", "possible_cpus=4")}),
    unknown("cpus-online", "cpu_limits", host={"cpu_limits": None}),
    block("same-series", "2.0", target={"version": ModuleVersion("2.0.28")}),
    block("forward-only", "not newer", target={"version": ModuleVersion("1.5.24")}),
    block("forward-only", "not newer", target={"version": ModuleVersion("1.5.06")}),
    ok("minimum-module", target={"minimum_module": ModuleVersion("1.5.24")}),
    block("minimum-module", "1.5.25", target={"minimum_module": ModuleVersion("1.5.25")}),
    unknown("minimum-module", "does not list", target={"minimum_module": None}),
    unknown("minimum-module", "of another series", target={"minimum_module": ModuleVersion("1.4.01")}),
    unknown("minimum-module", "of another series", target={"minimum_module": ModuleVersion("2.0.01")}),
    ok("seamldr-minimum", host={"seamldr_version": SeamldrVersion("2.0.00")}),
    block("seamldr-minimum", "has 1.5.01", host={"seamldr_version": SeamldrVersion("1.5.01")}),
    block("seamldr-minimum", "has 1.6.09", host={"seamldr_version": SeamldrVersion("1.6.09")}),
    block("seamldr-minimum", "has 3.0.09", host={"seamldr_version": SeamldrVersion("3.0.09")}),
    block("seamldr-minimum", "lists no P-SEAMLDR", target={"minimum_seamldrs": ()}),
    unknown("seamldr-minimum", "seamldr_version", host={"seamldr_version": None}),
    ok("cpu-supported", host={"cpu_signatures": (0x806F8, 0xC06F2)}),
    block("cpu-supported", "0xA06F3", host={"cpu_signatures": (0x806F8, 0xA06F3)}),
    unknown("cpu-supported", "no image", target={"image": None}),
    unknown("cpu-supported", "cpu_signatures", host={"cpu_signatures": None}),
    unknown("cpu-supported", "cpu_signatures", host={"cpu_signatures": ()}),
    block("cpu-supported", "no CPUID table", target={"image": NO_TABLE}),
    block("cpu-supported", "supports none", target={"image": NO_TABLE_DEBUG}),
    block("kernel-features", "lacks NO_RBP_MOD", target={"features0": 1 << 1}),
    block("kernel-features", "lacks TD_PRESERVING", target={"features0": 1 << 18}),
    block("kernel-features", "NO_RBP_MOD and TD_PRESERVING", target={"features0": 0}),
    unknown("kernel-features", "does not list", target={"features0": None}),
    ok("td-build", "1.5.28 lists 1.5.24"),
    ok("td-build", "1.5.28 lists 1.5.24", host=NO_CGROUP),
    ok("td-build", "held back", target=UNLISTED, parameters=HELD),
    ok("td-build", "held back", target=UNLISTED, parameters=HELD, host=NO_CGROUP),
    ok("td-build", "held back", target=NO_FIELD, parameters=HELD),
    ok("td-build", "no TD runs", target=UNLISTED, host={"running_tds": 0}),
    ok("td-build", "no TD runs", target=NO_FIELD, host={"running_tds": 0}),
    block("td-build", "4 TDs run", target=UNLISTED),
    block("td-build", "does not list 1.5.24", target={"strict_compat": ()}, host={"running_tds": 1}),
    unknown("td-build", "/sys/fs/cgroup/misc.current", target=UNLISTED, host=NO_CGROUP),
    unknown("td-build", "no strict_compat_versions", target=NO_FIELD),
    unknown("td-build", "no strict_compat_versions", target=NO_FIELD, host=NO_CGROUP),
    block("feature-loss", "lacks UPDATE_COMPATIBILITY", target={"features0": 1 << 18 | 1 << 1}),
    ok("feature-loss", source={"features0": 1 << 18}, target={"features0": 1 << 18 | 1 << 50}),
    block("feature-loss", "lacks bit 50", source={"features0": 1 << 50}),
    unknown("feature-loss", "does not list 1.5.24", source={"features0": None}),
    unknown("feature-loss", "does not list 1.5.28", target={"features0": None}),
    block("preproduction", "pre-production", target={"version": ModuleVersion("2.0.18")}),
    block("no-stranding", "1.5.34, 1.5.40 can be reached from 1.5.24", outlook=("1.5.34", "1.5.40")),
    unknown("no-stranding", "no graph", outlook=None),
    ok("tcb-status", "UpToDate (by TCB Info 18 of 90C06F000000)", source={"tcb": (OLD,)}),
    ok("tcb-status", source={"tcb": None}),
    block("tcb-status", "1.5.28 is OutOfDate, worse than 1.5.24", target={"tcb": (OLD,)}),
    block("tcb-status", "OutOfDate: INTEL-SA-01099; UpToDate is", source={"tcb": (OLD,)}, target={"tcb": (OLD,)}),
    block(
        "tcb-status", "UpToDate as of 2024-03-14 is", source={"tcb": (OLD,)}, target={"tcb": (OLD,)}, parameters=LATER
    ),
    ok("tcb-status", source={"tcb": (OLD,)}, target={"tcb": (OLD,)}, parameters=THEN),
    block("tcb-status", "worse than", target={"tcb": (OLD,)}, parameters=THEN),
    ok("tcb-status", source={"tcb": (OLD,)}, target={"tcb": (OLD,)}, parameters=LESS),
    block("tcb-status", "Revoked", source={"tcb": (REVOKED,)}, target={"tcb": (REVOKED,)}, parameters=LESS),
    block("tcb-status", "Revoked", source={"tcb": (REVOKED,)}, target={"tcb": (REVOKED,)}, parameters=THEN),
    unknown("tcb-status", "can't be told", source={"tcb": (EXPIRED,)}, target={"tcb": (OLD,)}, parameters=LESS),
    unknown("tcb-status", "is unknown: the document has expired", target={"tcb": (EXPIRED,)}),
    unknown("tcb-status", "expired", source={"tcb": (GOOD, GOOD)}, target={"tcb": (EXPIRED, GOOD)}),
    block("tcb-status", "OutOfDate", source={"tcb": (OLD, OLD)}, target={"tcb": (EXPIRED, OLD)}),
    unknown("tcb-status", "give --tcb-info", target={"tcb": None}),
]
ALL_RULES = HARD_RULES | policy_rules()
#: The parameters of the rules that can't be made without, unless a case has its own.
PARAMETERS: dict[str, dict[str, Any]] = {"minimum-svn": {"svn": 0x10C}, "tcb-status": {"status": "UpToDate"}}


def rule_of(name: str, **parameters: Any) -> Rule:
    return ALL_RULES[name](**(parameters or PARAMETERS.get(name, {})))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}-{case.outcome}-{case.says[:20]}")
def test_rule(case: Case) -> None:
    outlook = None if case.outlook is None else Ahead(case.outlook)
    step = Step(SOURCE._replace(**case.source), TARGET._replace(**case.target), outlook)
    verdict = rule_of(case.rule, **case.parameters).check(step, HOST._replace(**case.host))
    assert (verdict.rule, verdict.outcome) == (case.rule, case.outcome)
    assert case.says in verdict.reason


@pytest.mark.parametrize("name", ALL_RULES)
def test_every_rule_passes_the_good_step_and_is_exercised(name: str) -> None:
    from test_image_rules import CASES as IMAGE_CASES

    rule = rule_of(name)
    assert rule.check(Step(SOURCE, TARGET, Ahead(())), HOST).outcome is Outcome.PASS
    assert rule.name == name
    assert rule.summary.endswith(".")
    assert rule.source
    blocked = {case.rule for case in CASES if case.outcome is Outcome.BLOCK}
    blocked |= {case.rule for case in IMAGE_CASES if case.outcome is Outcome.BLOCK}
    assert name in blocked


def test_no_rule_lets_a_step_through_on_an_empty_host() -> None:
    """Fail closed: with no facts and no data, no rule that needs them passes."""
    step = Step(Release(ModuleVersion("1.5.24")), Release(ModuleVersion("1.5.28")))
    passing = {name for name in ALL_RULES if rule_of(name).check(step, HostFacts()).outcome is Outcome.PASS}
    assert passing == {"same-series", "forward-only", "preproduction"}
