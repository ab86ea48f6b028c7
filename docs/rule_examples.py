"""For each rule a made-up step that it blocks; the reference pages quote what the rule then says.

The made-up host and its releases are good by default, so that what an example names is all that is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from seamstep.base import features
from seamstep.base.versions import ModuleVersion, SeamldrVersion, Specifier
from seamstep.domain.facts import HostFacts, UploadNode
from seamstep.domain.model import INTEL_SIGNER, Check, Image, Release, Sigstruct, Step, Verdict, Verification
from seamstep.domain.tcb import Standing, TcbStatus
from seamstep.image.verify import signer_problem
from seamstep.planning.graph import VersionGraph
from seamstep.rules import HARD_RULES, POLICY_RULES, AppliedRule, Denial, Deny, Rule, TcbStatusRule, Waypoint
from seamstep.rules.handoff import Handoff
from seamstep.rules.minimum_svn import MinimumSvn
from seamstep.rules.upload_interface import ERRATUM

_SPR, _SRF = 0x806F8, 0xA06F0
_STRANGER = "33" * 32
_DEBUG = 1 << 31
_FEATURES = 1 << features.TD_PRESERVING | 1 << features.NO_RBP_MOD


class Example(NamedTuple):
    """A step that a rule blocks; ``given`` says in a sentence what is wrong with it."""

    given: str
    rule: Rule
    step: Step
    host: HostFacts

    def verdict(self) -> Verdict:
        """What the rule really says."""
        return self.rule.check(self.step, self.host)


@dataclass(frozen=True, slots=True)
class _Content:
    """Image content that nothing stands against but ``problems``."""

    problems: tuple[Check, ...] = ()

    def verification(self) -> Verification:
        """The failed checks."""
        return Verification(self.problems, "00" * 32)

    def sha256_as(self, format_: str) -> str:  # noqa: ARG002 - the protocol has it
        """A digest; ``format_`` does not matter."""
        return "00" * 32


def _image(problems: tuple[Check, ...] = (), **says: Any) -> Image:
    fields: dict[str, Any] = {
        "module_type": 0,
        "vendor": 0x8086,
        "build_date": "20260101",
        "mrseam": "00" * 48,
        "seamsvn": 0x10D,
        "attributes": 0,
        "module_hv": 1,
        "min_update_hv": 0,
        "no_downgrade": True,
        "handoff_pages": 13,
        "cpuid": (_SPR,),
        "signer": INTEL_SIGNER,
    }
    sigstruct = Sigstruct(**fields | says)
    return Image("tdx_module.blob", None, "2.0", 12288, 4096, sigstruct, _Content(problems))


def _release(version: str, **changes: Any) -> Release:
    values: dict[str, Any] = {
        "minimum_module": ModuleVersion("1.5.01"),
        "minimum_seamldrs": (SeamldrVersion("1.5.02"),),
        "features0": _FEATURES,
        "strict_compat": (ModuleVersion("1.5.24"),),
        "image": _image(),
    }
    return Release(ModuleVersion(version), **values | changes)


def _host(**changes: Any) -> HostFacts:
    values: dict[str, Any] = {
        "profile": "mainline",
        "module_version": ModuleVersion("1.5.24"),
        "seamldr_version": SeamldrVersion("1.5.02"),
        "remaining_updates": 2,
        "cpu_signatures": (_SPR,),
        "cpus_online": "0-15",
        "cpus_present": "0-15",
        "cpu_limits": (),
        "running_tds": 0,
        "upload": UploadNode("tdx_module", "idle"),
        "cpu_bugs": (),
    }
    return HostFacts(**values | changes)


_SOURCE, _TARGET, _HOST = _release("1.5.24"), _release("1.5.28"), _host()
_Scene = tuple[str, Step, HostFacts]


def _scene(given: str, *, source: Release = _SOURCE, target: Release = _TARGET, host: HostFacts = _HOST) -> _Scene:
    return given, Step(source, target), host


def _stranding() -> _Scene:
    dead_end = _release("1.5.28", image=_image(module_hv=2))
    releases = [_SOURCE, dead_end, _release("1.5.34")]
    graph = VersionGraph(releases, _HOST, [AppliedRule(Handoff())])
    given = "1.5.28 hands over version 2 of the state, and 1.5.34 takes versions 0 to 1."
    return given, Step(_SOURCE, dead_end, graph), _HOST


def _denial() -> Denial:
    link = "https://example.com/advisory"
    return Denial(Specifier("==1.5.28"), "regression with live migration", link, "2027-03-31")


#: The rules that can't be made without parameters.
_MADE: dict[str, Callable[[], Rule]] = {
    "minimum-svn": lambda: MinimumSvn(0x10D),
    "tcb-status": lambda: TcbStatusRule("UpToDate"),
    "deny": lambda: Deny([_denial()]),
    "waypoint": lambda: Waypoint([ModuleVersion("1.5.26")]),
}

_OUT_OF_DATE = Standing(
    "90C06F000000", 18, "TDX_01", TcbStatus.OUT_OF_DATE, date(2024, 3, 13), date(2024, 11, 13), ("INTEL-SA-01099",)
)

_SCENES: dict[str, Callable[[], _Scene]] = {
    "upload-interface": lambda: _scene(
        f"`/proc/cpuinfo` lists the bug `{ERRATUM}`.", host=_host(cpu_bugs=(ERRATUM,), upload=None)
    ),
    "updates-remaining": lambda: _scene("`num_remaining_updates` reads 0.", host=_host(remaining_updates=0)),
    "cpus-online": lambda: _scene("CPUs 0-15 are present, CPUs 0-11 online.", host=_host(cpus_online="0-11")),
    "same-series": lambda: _scene(
        "The target is of another series.", target=_release("2.0.14", minimum_module=ModuleVersion("2.0.04"))
    ),
    "forward-only": lambda: _scene("The target is an older release.", target=_release("1.5.16")),
    "minimum-module": lambda: _scene(
        "The target's `min_module_version_for_td_preserving` is 1.5.26.",
        target=_release("1.5.28", minimum_module=ModuleVersion("1.5.26")),
    ),
    "seamldr-minimum": lambda: _scene(
        "The target's `min_seamldr_versions` holds 2.0.00 only.",
        target=_release("1.5.28", minimum_seamldrs=(SeamldrVersion("2.0.00"),)),
    ),
    "cpu-supported": lambda: _scene(
        "The host is a Sapphire Rapids, and the image is for Sierra Forest.",
        target=_release("1.5.28", image=_image(cpuid=(_SRF,))),
    ),
    "handoff": lambda: _scene(
        "The source hands over version 1, and the target's `min_update_hv` is 2.",
        target=_release("1.5.28", image=_image(min_update_hv=2, module_hv=3)),
    ),
    "svn": lambda: _scene(
        "The source's seamsvn is 0x10d, the target's 0x10c.", target=_release("1.5.28", image=_image(seamsvn=0x10C))
    ),
    "debug-module": lambda: _scene(
        "Bit 31 of the target's module_type is set.", target=_release("1.5.28", image=_image(module_type=_DEBUG))
    ),
    "image-authentic": lambda: _scene(
        "The image is signed, but not by Intel's key.",
        target=_release("1.5.28", image=_image((_signed_by_a_stranger(),), signer=_STRANGER)),
    ),
    "kernel-features": lambda: _scene(
        "Bit 1 of the target's features is not set.",
        target=_release("1.5.28", features0=_FEATURES & ~(1 << features.TD_PRESERVING)),
    ),
    "td-build": lambda: _scene(
        "Three TDs run, and the target's `strict_compat_versions` holds 1.5.26 only.",
        target=_release("1.5.28", strict_compat=(ModuleVersion("1.5.26"),)),
        host=_host(running_tds=3),
    ),
    "feature-loss": lambda: _scene(
        "Bit 36 is set in the source's features and not in the target's.",
        source=_release("1.5.24", features0=_FEATURES | 1 << 36),
    ),
    "seam-memory": lambda: _scene(
        "The source's num_stack_pages is 1, the target's 3.",
        target=_release("1.5.28", image=_image(num_stack_pages=3)),
    ),
    "minimum-svn": lambda: _scene(
        "The policy's `svn` is 0x10d, the target's seamsvn 0x10c, the source's 0x10b.",
        source=_release("1.5.24", image=_image(seamsvn=0x10B)),
        target=_release("1.5.28", image=_image(seamsvn=0x10C)),
    ),
    "tcb-status": lambda: _scene(
        "TCB Info calls the source and the target OutOfDate; the policy's `status` is UpToDate.",
        source=_release("1.5.24", tcb=(_OUT_OF_DATE,)),
        target=_release("1.5.28", tcb=(_OUT_OF_DATE,)),
    ),
    "preproduction": lambda: _scene(
        "The host runs a module of series 2.0.",
        source=_release("2.0.08"),
        target=_release("2.0.14", minimum_module=ModuleVersion("2.0.04")),
    ),
    "no-stranding": _stranding,
    "deny": lambda: _scene("The policy denies `==1.5.28`."),
    "waypoint": lambda: _scene("The policy lists 1.5.26 as a waypoint."),
}


def names() -> Sequence[str]:
    """The rules that have an example."""
    return tuple(_SCENES)


def example(name: str) -> Example:
    """The example of a rule. Raises KeyError where the rule has none."""
    given, step, host = _SCENES[name]()
    rules = HARD_RULES | POLICY_RULES
    rule = _MADE[name]() if name in _MADE else rules[name]()
    host = host.after(step.source.version, 0)
    return Example(given, rule, step, host)


def _signed_by_a_stranger() -> Check:
    return Check("signer", False, signer_problem(_STRANGER, frozenset({INTEL_SIGNER})) or "")
