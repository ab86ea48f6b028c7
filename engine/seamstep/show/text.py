"""Facts and plans as plain text. Text from files and hosts is escaped by :func:`printable`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from seamstep.base import cpus
from seamstep.domain.facts import HostFacts
from seamstep.plan.settings import ApplySettings
from seamstep.plan.windows import closed
from seamstep.show.causes import Cause, causes, short

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
    "cpu_limits": "hidden CPUs",
    "running_tds": "running TDs",
    "cpu_signatures": "CPU signatures",
    "cpu_bugs": "CPU bugs",
    "boot_id": "boot",
    "simulated": "made up",
}
#: The most causes listed as not permitted.
SHOWN_CAUSES = 30
PROVISIONAL = "rules that need an image were left open; such a plan can't be applied"
#: Commands of GitHub's runners in a log: ``::error::`` begins a line, ``##[error]`` stands anywhere in it.
_COMMAND = re.compile(r"^ *::|##\[")
#: The non-ASCII characters in texts for terminals, and their substitutes in encodings without them.
ASCII = str.maketrans({"→": "->", "…": "...", "─": "-", "▶": ">", "╳": "x"})


class Note(NamedTuple):
    """A note on a step: ``mark`` is a word for its kind, ``rule`` the rule it comes from, empty if none."""

    mark: str
    rule: str
    text: str


def printable(text: object) -> str:
    """``text`` in one line, with unprintable characters escaped, so that it can neither control a terminal nor reorder
    a line. What a CI service would take for a command, at the beginning of a line or in it, is escaped as well."""
    told = str(text)
    if not told.isprintable():
        told = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in told)
    if "::" in told or "##[" in told:
        told = _COMMAND.sub(lambda found: found[0].replace(":", r"\x3a", 1).replace("#", r"\x23", 1), told)
    return told


def facts_text(facts: HostFacts) -> str:
    """A line for each fact; an unknown fact has the reason."""
    return "\n".join(f"{label:<18} {text}" for label, text in facts_rows(facts))


def facts_rows(facts: HostFacts) -> Iterator[tuple[str, str]]:
    """The label and the text of each fact; an unknown fact has the reason."""
    return ((label, _fact(facts, fact)) for fact, label in _LABELS.items())


def _fact(facts: HostFacts, fact: str) -> str:
    value = getattr(facts, fact)
    if value is None:
        return f"unknown ({printable(facts.why_unknown(fact))})"
    if fact == "upload":
        status = facts.upload.status if facts.upload else None
        return printable(f"{value.name} ({status or facts.why_unknown('upload.status')})")
    if fact == "cpu_signatures":
        return ", ".join(cpus.describe(signature) for signature in value)
    if fact in {"cpu_bugs", "cpu_limits"}:
        return printable(" ".join(value)) or "none"
    if fact == "simulated":
        return "yes" if value else "no"
    return printable(value)


def plan_text(plan: Mapping[str, Any], now: float | None = None) -> str:
    """A plan document as text: the outcome, each hop with its notes, alternatives, and the rejected steps. ``now`` is
    that of :func:`performing`."""
    cost = plan["objective"]["cost"]
    lines = [
        conditions(plan),
        f"policy {plan['policy']['name']}: {plan['outcome']}",
        "",
        plan["reason"] + ("" if cost is None else f", cost {cost}"),
        *held_up(plan["held_up"], why=False),
        *tcb_lines(plan, plan["target"]),
        *(f"expired: {sentence}" for sentence in plan.get("expired", ())),
    ]
    for hop in plan["hops"]:
        lines += ["", f"{hop['from']} → {hop['to']}", f"  {passed(hop)}"]
        lines += [f"  {note.mark}{f': {note.rule}:' if note.rule else ''} {note.text}" for note in hop_notes(hop)]
    if plan["signers"]:
        lines += ["", *(f"trusted besides Intel: signer {signer}" for signer in plan["signers"])]
    told = [short(printable(line)) for line in lines]
    performed = list(performing(plan, now))
    if performed:
        told += ["", "when it is applied", *(f"  {printable(line)}" for line in performed)]  # commands stay whole
    lines = ["", f"class_id {plan['class_id']}"] if plan["hops"] and "class_id" in plan else []
    if plan["provisional"]:
        lines += ["", f"provisional: {PROVISIONAL}"]
    if plan["alternatives"]:
        lines += ["", "other ways to the same release"]
        lines += [
            f"  {other['path']}: {way(other['versions'])}, cost {other['cost']}" for other in plan["alternatives"]
        ]
    if plan["rejected"]:
        lines += ["", "not permitted"]
        found = causes(plan["rejected"])
        lines += [f"  {cause.steps}  {cause.rules}: {cause.reason}" for cause in found[:SHOWN_CAUSES]]
        lines += [f"  {more}" for more in not_shown(found)]
    return "\n".join([*told, *(short(printable(line)) for line in lines)])


def tcb_lines(document: Mapping[str, Any], target: object) -> Iterable[str]:
    """The TCB status before and after an update, as in :func:`seamstep.show.tcb.update_lines`; nothing if the document
    was made without TCB Info."""
    if not document.get("tcb"):
        return ()
    from seamstep.show.tcb import update_lines

    return update_lines(document["tcb"], target)


def held_up(held: Mapping[str, Any] | None, *, why: bool = True) -> Iterator[str]:
    """A sentence on the newest release that is wanted and out of reach, with what the rules say if ``why``; none if
    there is no such release."""
    if held:
        rules, version = ", ".join(held["rules"]), held["version"]
        refused = f"{version} is held up by {rules}" if rules else f"{version} is held up"
        told = refused if held["known"] else f"whether {version} is permitted can't be told: {rules} can't answer"
        yield f"{told} (from {held['from']})" + (f": {held['reason']}" if why or not rules else "")


def performing(plan: Mapping[str, Any], now: float | None = None) -> Iterator[str]:
    """What is waited for and run when a plan is performed, and the days on which it can be; a line each. With ``now``
    (seconds since the epoch) also whether a maintenance window is open."""
    settings = plan["apply"] if plan["hops"] else {}
    for window in settings.get("windows", ()):
        days = ", ".join(window.get("days", ())) or "every day"
        yield f"hops begin only {days} from {window['from']} to {window['to']} ({window.get('timezone', 'UTC')})"
    if now is not None and settings.get("windows"):
        yield f"now: {closed(ApplySettings.from_document(settings).windows, now) or 'a maintenance window is open'}"
    if settings.get("soak"):
        yield f"{settings['soak']} s are waited between two hops"
    busy = settings.get("busy", {})
    if busy.get("retries"):
        times = "once" if busy["retries"] == 1 else f"{busy['retries']} times"
        yield f"a hop that meets a busy host is tried again {times}, at first after {busy.get('wait', 0)} s"
    for key, when in (("before", "before the first hop"), ("after", "after the last")):
        yield from (f"run {when}: {shlex.join(command)}" for command in settings.get(key, ()))
    if plan["hypothetical"]:
        yield f"it can't be: the plan was made as of {plan['as_of']}, another day"
    elif plan["valid_until"] and plan["hops"]:
        tcb = plan.get("tcb")
        by_tcb = tcb and tcb["valid_until"] == plan["valid_until"]
        ends = "TCB Info is due to be renewed" if by_tcb else "a denial or waiver of the policy ends"
        yield f"until {plan['valid_until']}: {ends} then"


def conditions(plan: Mapping[str, Any]) -> str:
    """The state of the host that the plan starts from: module, P-SEAMLDR, remaining updates and TDs."""
    host = plan["host"]
    name, seamldr = host.get("hostname") or "this host", host.get("seamldr_version") or "unknown"
    count, running = host.get("remaining_updates"), host.get("running_tds")
    left = "remaining updates unknown" if count is None else f"{count} update{'' if count == 1 else 's'} remain"
    return f"{name} runs {plan['source']} with P-SEAMLDR {seamldr}; {left}; {at_stake(running)}"


def at_stake(running_tds: int | None) -> str:
    """The number of TDs that an update puts at stake, as a clause."""
    if running_tds is None:
        return "how many TDs are at stake is not known"
    return f"{running_tds} TD{' is' if running_tds == 1 else 's are'} at stake"


def way(versions: Iterable[str]) -> str:
    """A path in one line."""
    return " → ".join(versions)


def way_of(step: Mapping[str, Any]) -> str:
    """A step in one line."""
    return way((step["from"], step["to"]))


def passed(hop: Mapping[str, Any]) -> str:
    """The number of rules that a hop passes and the number of all rules, as a clause."""
    outcomes = [verdict["outcome"] for verdict in hop["verdicts"]]
    return f"{outcomes.count('pass')} of {len(outcomes)} rules pass"


def not_shown(found: Sequence[Cause]) -> Iterator[str]:
    """A line with the number of causes beyond ``SHOWN_CAUSES``, if there are any."""
    if len(found) > SHOWN_CAUSES:
        yield f"and {len(found) - SHOWN_CAUSES} more reasons (--json lists all)"


def hop_notes(hop: Mapping[str, Any]) -> Iterator[Note]:
    """Notes on a hop: waivers, rules that do not pass, TD creation, risks taken and the image."""
    accepted = {waiver["rule"] for waiver in hop["waived"]}
    for waiver in hop["waived"]:
        yield Note("accepted", waiver["rule"], f"{waiver['reason']} (by {waiver['by']}, until {waiver['until']})")
    for verdict in hop["verdicts"]:
        if verdict["outcome"] != "pass" and verdict["rule"] not in accepted:
            yield Note("open" if verdict["outcome"] == "unknown" else "note", verdict["rule"], verdict["reason"])
    yield Note("note", "", hop["td_creation"]["reason"])
    for risk in hop["risks"]:
        yield Note("risk", risk["rule"], f"{risk['reason']} (taken by {risk['taken_by']})")
    image = hop["image"]
    if image:
        form, upload = image["format"], image["upload"]["format"]
        repacked = "" if form == upload else f" ({form}, repacked as {upload} for this kernel)"
        yield Note("image", "", f"{image['path']}{repacked}")
