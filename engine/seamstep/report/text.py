"""Facts, plans and results as plain text, for people. All text from files and hosts is made safe to print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from seamstep import cpus
from seamstep.facts import HostFacts

_LABELS = {
    "hostname": "host",
    "kernel": "kernel",
    "profile": "interface",
    "module_version": "TDX module",
    "seamldr_version": "P-SEAMLDR",
    "remaining_updates": "remaining updates",
    "upload": "upload node",
    "cpus_online": "CPUs online",
    "cpus_present": "CPUs present",
    "cpu_signatures": "CPU signatures",
    "cpu_bugs": "CPU bugs",
    "boot_id": "boot",
}
_SHOWN_STEPS = 30


def printable(text: object) -> str:
    """``text`` without anything that could steer a terminal or reorder a line: such characters are spelled out."""
    told = str(text)
    if told.isprintable():
        return told
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in told)


def facts_text(facts: HostFacts) -> str:
    """The facts, a line each; what is unknown says why."""
    return "\n".join(f"{_LABELS[fact]:<18} {_fact(facts, fact)}" for fact in _LABELS)


def _fact(facts: HostFacts, fact: str) -> str:
    value = getattr(facts, fact)
    if value is None:
        return f"unknown ({printable(facts.why_unknown(fact))})"
    if fact == "upload":
        status = facts.upload.status if facts.upload else None
        return printable(f"{value.name} ({status or facts.why_unknown('upload.status')})")
    if fact == "cpu_signatures":
        return ", ".join(cpus.describe(signature) for signature in value)
    if fact == "cpu_bugs":
        return printable(" ".join(value)) or "none"
    return printable(value)


def plan_text(plan: Mapping[str, Any]) -> str:
    """A plan document: the outcome, each hop with what is worth knowing, other ways, and what was refused."""
    host = plan["host"]
    lines = [
        f"{printable(host['hostname'] or 'this host')} runs {plan['source']} with P-SEAMLDR "
        f"{host['seamldr_version'] or 'unknown'}; {_remaining(host['remaining_updates'])}",
        f"policy {printable(plan['policy']['name'])}: {plan['outcome']}",
        "",
        printable(plan["reason"])
        + ("" if plan["objective"]["cost"] is None else f", cost {plan['objective']['cost']}"),
    ]
    for hop in plan["hops"]:
        lines += ["", f"{hop['from']} → {hop['to']}", *_hop_lines(hop)]
    if plan["signers"]:
        lines += ["", *(f"trusted besides Intel: signer {printable(signer)}" for signer in plan["signers"])]
    if plan["provisional"]:
        lines += ["", "provisional: rules that need an image were left open; such a plan can't be applied"]
    if plan["alternatives"]:
        lines += ["", "other ways to the same release"]
        lines += [f"  {way['path']}: {' → '.join(way['versions'])}, cost {way['cost']}" for way in plan["alternatives"]]
    if plan["rejected"]:
        lines += ["", "not permitted", *_rejected_lines(plan["rejected"])]
    return "\n".join(map(printable, lines))


def _remaining(count: int | None) -> str:
    return "remaining updates unknown" if count is None else f"{count} update{'' if count == 1 else 's'} remain"


def _hop_lines(hop: Mapping[str, Any]) -> Iterable[str]:
    passed = Counter(verdict["outcome"] for verdict in hop["verdicts"])["pass"]
    yield f"  {passed} of {len(hop['verdicts'])} rules pass"
    accepted = {waiver["rule"] for waiver in hop["waived"]}
    for waiver in hop["waived"]:
        yield f"  accepted: {waiver['rule']}: {waiver['reason']} (by {waiver['by']}, until {waiver['until']})"
    for verdict in hop["verdicts"]:
        if verdict["outcome"] != "pass" and verdict["rule"] not in accepted:
            word = "open" if verdict["outcome"] == "unknown" else "note"
            yield f"  {word}: {verdict['rule']}: {printable(verdict['reason'])}"
    image = hop["image"]
    if image:
        form, upload = image["format"], image["upload"]["format"]
        repacked = "" if form == upload else f" ({form}, repacked as {upload} for this kernel)"
        yield f"  image {printable(image['path'])}{repacked}"


def _rejected_lines(rejected: list[Mapping[str, Any]]) -> Iterable[str]:
    for step in rejected[:_SHOWN_STEPS]:
        for verdict in step["verdicts"]:
            yield f"  {step['from']} → {step['to']}  {verdict['rule']}: {printable(verdict['reason'])}"
    if len(rejected) > _SHOWN_STEPS:
        yield f"  and {len(rejected) - _SHOWN_STEPS} more steps (--json lists all)"
