"""The releases with an MRSEAM, and the findings on an allow-list, as text and as JSON-able data."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from seamstep.plan.allow_list import Comparison, Finding, Lack, Quote
from seamstep.plan.known_modules import Match
from seamstep.show.tcb import tcb_text
from seamstep.show.text import printable

_QUOTE = ("version", "mrseam", "seamsvn", "running", "tee_tcb_svn_2")


def matches_document(asked: str, matches: Sequence[Match]) -> dict[str, Any]:
    """The releases whose MRSEAM begins with what was ``asked``."""
    return {
        "schema": "seamstep/which/v1",
        "mrseam": asked,
        "releases": [
            {
                "version": str(match.version),
                "mrseam": match.mrseam,
                "seamsvn": match.seamsvn,
                "origins": [origin.name.lower() for origin in match.origins],
            }
            for match in matches
        ],
    }


def matches_text(matches: Sequence[Match], searched: Sequence[str]) -> str:
    """A line for each release, with its MRSEAM and its sources; if there is none, a sentence with the sources that were
    ``searched``."""
    if not matches:
        return f"no release is known with this MRSEAM; looked for in: {', '.join(searched)}"
    return "\n".join(f"{match.version}  {match.mrseam}  ({', '.join(match.origins)})" for match in matches)


def comparison_document(
    path: str, entries: int, found: Comparison, left_out: Sequence[str], joined: Sequence[Quote] | None = None
) -> dict[str, Any]:
    """The findings on the allow-list in a file. ``left_out`` are the releases of which nothing is known, so that
    nothing was compared. ``joined`` are the quotes around a plan with their TCB status, None without TCB Info."""
    return {
        **({"quotes": [_joined(one) for one in joined]} if joined is not None else {}),
        "schema": "seamstep/allow-list/v1",
        "list": path,
        "entries": entries,
        "lacking": [
            {"stage": lack.stage} | {key: lack.row[key] for key in _QUOTE if key in lack.row} for lack in found.lacking
        ],
        "wrong": [_finding(one) for one in found.wrong],
        "too_much": [_finding(one) for one in found.too_much],
        "not_compared": list(left_out),
    }


def _joined(quote: Quote) -> dict[str, Any]:
    keys = (*_QUOTE, "launched_on", "quote_status", "tcb", "tcb_2")
    return {"stage": quote.stage, "accepted": quote.accepted, **{key: quote.row[key] for key in keys}}


def joined_lines(quotes: Sequence[Quote]) -> Iterator[str]:
    """For each stage of a plan every quote: whether the list accepts it, and what a verifier calls it."""
    for stage, group in itertools.groupby(quotes, key=lambda quote: quote.stage):
        yield f"{stage}:"
        for quote in group:
            row = quote.row
            listed = "accepted by the list" if quote.accepted else "NOT in the list"
            called = row["quote_status"] or "unknown"
            yield f"  launched on {row['launched_on']} while {row['running']} runs: {listed}; called {called}"
            yield printable(f"    TEE_TCB_SVN 0x{row['seamsvn']:x}: {tcb_text(row['tcb'])}")
            yield printable(f"    TEE_TCB_SVN_2 0x{row['tee_tcb_svn_2']:x}: {tcb_text(row['tcb_2'])}")


def _finding(found: Finding) -> dict[str, Any]:
    entry = found.entry
    stated = {key: entry.stated.get(key) for key in ("version", "mrseam")}
    return {"line": entry.line, "stage": entry.stage, **stated, "message": found.message}


def comparison_text(path: str, entries: int, found: Comparison, left_out: Sequence[str]) -> str:
    """The findings on the allow-list in a file, a line each, and a line that counts them."""
    counts = f"{len(found.lacking)} lacking, {len(found.wrong)} wrong, {len(found.too_much)} too much"
    lines = [*_lines(path, found), *(f"not compared: {printable(one)}" for one in left_out)]
    return "\n".join([*lines, f"{printable(path)}: {entries} entries, {counts}"])


def _lines(path: str, found: Comparison) -> Iterator[str]:
    for lack in found.lacking:
        yield f"lacking: {_stage(lack.stage)}{_quote(lack)}"
    for kind, findings in (("wrong", found.wrong), ("too much", found.too_much)):
        for finding in findings:
            entry = finding.entry
            place = path if entry.line is None else f"{path}:{entry.line}"
            name = entry.stated.get("version") or f"MRSEAM {entry.stated['mrseam'][:16]}…"
            yield printable(f"{kind}: {place}: {_stage(entry.stage)}{name}: {finding.message}")


def _stage(stage: str | None) -> str:
    return f"{stage}: " if stage else ""


def _quote(lack: Lack) -> str:
    row = lack.row
    parts = [f"{row['version']}"]
    if row.get("running"):
        parts.append(f"while {row['running']} runs, TEE_TCB_SVN_2 0x{row['tee_tcb_svn_2']:x}")
    parts.append(f"MRSEAM {row['mrseam']}")
    if row["seamsvn"] is not None:
        parts.append(f"seamsvn 0x{row['seamsvn']:x}")
    return ", ".join(parts)
