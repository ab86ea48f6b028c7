"""Measurements for attestation verifiers: a row for each release, or for each quote to accept around an update.

A TD keeps the MRSEAM and TEE_TCB_SVN of the module it was launched on; TEE_TCB_SVN_2 follows the running module. While
module k of a path runs, TDs launched on modules 0 to k can exist. TDs that an earlier update left behind are not in a
plan. Only TDX 1.5 bodies (quote version 5, body type 3) have TEE_TCB_SVN_2. Source: Intel TDX module base
specification, TD-preserving update; DCAP quote formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from seamstep.base import cpus
from seamstep.base.errors import RefusedError
from seamstep.base.versions import ModuleVersion
from seamstep.domain.model import Release
from seamstep.domain.tcb import TcbView, quote_status, summary

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
#: The columns that TCB Info adds to both: the status of the module of launch, in stages also of the running one.
TCB_COLUMNS = ("tcb_status", "tcb_date", "advisories")
PHASE_TCB_COLUMNS = (*TCB_COLUMNS, "tcb_status_2", "tcb_date_2", "advisories_2", "quote_status")
PHASE_COLUMNS = (
    "phase",
    "version",
    "mrseam",
    "seamsvn",
    "svn_minor",
    "svn_major",
    "identity",
    "launched_on",
    "running",
    "tee_tcb_svn_2",
    "svn_2_minor",
    "svn_2_major",
)

Row = dict[str, Any]


def of_releases(releases: Iterable[Release]) -> list[Row]:
    """A row for each release, keys as in COLUMNS. ``seamsvn`` is the raw field, ``svn_minor`` TEE_TCB_SVN[0],
    ``svn_major`` TEE_TCB_SVN[1]. ``signature`` is ``ok``, or the reason why there is no verified image; the row then
    has None everywhere else but ``version``, so that no verifier accepts values of a doubtful image."""
    return [_row(release) for release in releases]


def with_status(row: Row, tcb: TcbView | None) -> Row:
    """A row with the columns that TCB Info adds, and under ``tcb`` what each document says; as it is without TCB Info.
    A status is None where the SVN or the status is unknown. TEE_TCB_SVN_2 has columns of its own; ``quote_status`` is
    what a verifier makes of both."""
    if tcb is None:
        return row
    columns = {**row, **_status_columns(row["seamsvn"], tcb, "")}
    if "tee_tcb_svn_2" not in row:
        return columns
    both = tcb.standings(row["seamsvn"]), tcb.standings(row["tee_tcb_svn_2"])
    return {**columns, **_status_columns(row["tee_tcb_svn_2"], tcb, "_2"), "quote_status": quote_status(*both)}


def _status_columns(seamsvn: int | None, tcb: TcbView, suffix: str) -> Row:
    said = None if seamsvn is None else summary(tcb.standings(seamsvn))
    return {
        f"tcb_status{suffix}": said and said["status"],
        f"tcb_date{suffix}": said and said["date"],
        f"advisories{suffix}": said and said["advisories"],
        f"tcb{suffix}": said,
    }


def of_given(version: ModuleVersion, mrseam: str, seamsvn: int) -> Row:
    """The row of a module that the user names, keys as in COLUMNS: ``signature`` is ``given``, and what only an image
    tells is None."""
    return dict.fromkeys(COLUMNS) | {
        "version": str(version),
        "mrseam": mrseam,
        **svn_columns(seamsvn),
        "signature": "given",
    }


def of_plan(plan: Mapping[str, Any]) -> dict[str, list[Row]]:
    """The quotes that a verifier must accept ``before`` the update, ``during`` it, ``after`` it while TDs that were
    launched earlier still run, and once only TDs are left that were launched on the target (``settled``).

    A row, keys as in PHASE_COLUMNS without ``phase``, is a TD launched on ``launched_on`` whose quote is made while
    ``running`` runs. ``version`` repeats ``launched_on``; MRSEAM, seamsvn and the columns derived from it are those
    of that module. ``tee_tcb_svn_2`` is the seamsvn of the running module, ``svn_2_minor`` TEE_TCB_SVN_2[0],
    ``svn_2_major`` TEE_TCB_SVN_2[1]. Rows are in the order of launch, then of the running module.

    Raises:
        RefusedError: the plan has no update, or has no measurements because it is provisional.
    """
    hops = plan["hops"]
    if not hops:
        raise RefusedError(f"the plan holds no update: its outcome is {plan['outcome']}")
    steps = [plan["attestation"]["before"], *({"version": hop["to"], **(hop["image"] or {})} for hop in hops)]
    if any(step.get("mrseam") is None for step in steps):
        raise RefusedError("the plan is provisional and knows no measurements; plan with --images")
    modules = [_planned(step) for step in steps]
    source, target = modules[0], modules[-1]
    return {
        "before": [_quote(source, source)],
        "during": [_quote(launch, running) for k, launch in enumerate(modules) for running in modules[k:]],
        "after": [_quote(launch, target) for launch in modules],
        "settled": [_quote(target, target)],
    }


def _quote(launch: Row, running: Row) -> Row:
    return {
        **launch,
        "launched_on": launch["version"],
        "running": running["version"],
        **svn_2_columns(running["seamsvn"]),
    }


def _planned(step: Mapping[str, Any]) -> Row:
    return {"version": step["version"], "mrseam": step["mrseam"], **svn_columns(step["seamsvn"])}


def svn_columns(seamsvn: int) -> Row:
    """The columns for the SVN of the module of launch, from its raw ``seamsvn``."""
    columns = {"seamsvn": seamsvn, "svn_minor": seamsvn & 0xFF, "svn_major": seamsvn >> 8}
    return {**columns, "identity": f"TDX_{seamsvn >> 8:02X}"}


def svn_2_columns(seamsvn: int) -> Row:
    """The columns for the SVN of the running module, from its raw ``seamsvn``."""
    return {"tee_tcb_svn_2": seamsvn, "svn_2_minor": seamsvn & 0xFF, "svn_2_major": seamsvn >> 8}


def _row(release: Release) -> Row:
    image = release.usable_image()
    if image is None:
        return dict.fromkeys(COLUMNS) | {"version": str(release.version), "signature": release.why_no_image()}
    says = image.sigstruct
    platforms = (cpus.platform(signature) or cpus.format_signature(signature) for signature in says.cpuid)
    return {
        "version": str(release.version),
        "mrseam": says.mrseam,
        **svn_columns(says.seamsvn),
        "build_date": says.build_date,
        "debug": says.debug,
        "platforms": list(platforms),
        "sha256": image.content.verification().sha256,
        "signature": "ok",
    }
