"""What attestation verifiers need to know: one row for each release, and the sets to accept around an update.

Running TDs keep the MRSEAM and TEE_TCB_SVN they were launched with; TDs created afterwards show those of the module
that runs then, and TEE_TCB_SVN_2 follows it. Source: Intel TDX module base specification, TD-preserving update; DCAP
quote formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from seamstep.base import cpus
from seamstep.base.errors import RefusedError
from seamstep.domain.model import Release

COLUMNS = (
    "version",
    "mrseam",
    "seamsvn",
    "svn_minor",
    "svn_major",
    "identity",
    "build_date",
    "debug",
    "platforms",
    "sha256",
    "signature",
)
PHASE_COLUMNS = ("phase", "version", "mrseam", "seamsvn", "svn_minor", "svn_major", "identity")

Row = dict[str, Any]


def of_releases(releases: Iterable[Release]) -> list[Row]:
    """A row for each release, keys as in COLUMNS. ``seamsvn`` is the raw field, ``svn_minor`` TEE_TCB_SVN[0],
    ``svn_major`` TEE_TCB_SVN[1]; ``signature`` is ``ok``, or why there is no image to be believed: such a
    release has None everywhere else, so that no list of what to accept can be made of it."""
    return [_row(release) for release in releases]


def of_plan(plan: Mapping[str, Any]) -> dict[str, list[Row]]:
    """What a verifier must accept ``before`` the update, ``during`` it, ``after`` it while TDs that were launched
    earlier still run, and once only TDs are left that were launched on the target (``settled``).

    Raises:
        RefusedError: the plan has no update, or knows no measurements because it is provisional.
    """
    hops = plan["hops"]
    if not hops:
        raise RefusedError(f"the plan holds no update: its outcome is {plan['outcome']}")
    steps = [plan["attestation"]["before"], *({"version": hop["to"], **(hop["image"] or {})} for hop in hops)]
    if any(step.get("mrseam") is None for step in steps):
        raise RefusedError("the plan is provisional and knows no measurements; plan with --images")
    rows = [_planned(step) for step in steps]
    return {"before": rows[:1], "during": rows, "after": rows, "settled": rows[-1:]}


def _planned(step: Mapping[str, Any]) -> Row:
    seamsvn = step["seamsvn"]
    return {"version": step["version"], "mrseam": step["mrseam"], "seamsvn": seamsvn, **_split(seamsvn)}


def _split(seamsvn: int) -> Row:
    return {"svn_minor": seamsvn & 0xFF, "svn_major": seamsvn >> 8, "identity": f"TDX_{seamsvn >> 8:02X}"}


def _row(release: Release) -> Row:
    image = release.usable_image()
    if image is None:
        return dict.fromkeys(COLUMNS) | {"version": str(release.version), "signature": release.why_no_image()}
    says = image.sigstruct
    platforms = (cpus.platform(signature) or cpus.format_signature(signature) for signature in says.cpuid)
    return {
        "version": str(release.version),
        "mrseam": says.mrseam,
        "seamsvn": says.seamsvn,
        **_split(says.seamsvn),
        "build_date": says.build_date,
        "debug": says.debug,
        "platforms": list(platforms),
        "sha256": image.content.verification().sha256,
        "signature": "ok",
    }
