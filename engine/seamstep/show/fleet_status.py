"""The status of a rollout as text, as a page and as metrics. Text from files and hosts is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seamstep.show.drawing.markup import Element, element
from seamstep.show.drawing.page import definitions, page, paragraph, section, table
from seamstep.show.formats.prometheus import Labels, Metric
from seamstep.show.text import printable

_STATES = {
    "finished": "finished: no host is left that may go on",
    "halted": "HALTED: nothing new begins",
    "running": "running",
    "waiting": "waiting: nothing may begin now",
}
_LISTED = 20
_HOST_COLUMNS = ("host", "class", "domain", "where it stands", "since", "why", "what to do")


def fleet_status_text(document: Mapping[str, Any]) -> str:
    """A status document of a rollout as text."""
    return "\n".join(printable(line) for line in _lines(document))


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    totals = document["totals"]
    yield f"rollout      {document['rollout']['name']}: {_STATES[document['state']]}"
    yield f"hosts        {totals['hosts']}: {_phases(totals['phases'])}"
    yield f"unavailable  {totals['unavailable']}; at most {totals['limit']} may be"
    yield f"controller   {'asked last at ' + document['asked'] if document['asked'] else 'none has asked yet'}"
    for halt in document["halts"]:
        yield ""
        yield f"HALT of {_scope(halt['scope'])} since {halt['since']}{_by(halt)}: {halt['reason']}"
        yield f"  who can resume: {halt['who']}"
        yield f"  with: {halt['command']}"
    if document["blocked"] or document["free"]:
        yield ""
        yield "what waits"
    if document["free"]:
        yield f"  {_hosts(document['free'])} may begin as soon as a controller asks"
    for held in document["blocked"]:
        yield f"  {_hosts(held['hosts'])} of {_classes(held)} for {held['from']} → {held['to']}: {held['reason']}"
        yield f"    invariant {held['invariant']} ({held['code']}){_times(held)}; {held['remedy']}"
    for title, key in (("unavailable hosts", "unavailable"), ("hosts set aside", "aside")):
        yield from _listed(title, document[key])
    if document["outside"]:
        yield ""
        yield "not in the rollout"
        yield from (f"  {_hosts(count)}: {reason or 'no update'}" for reason, count in document["outside"].items())


def _listed(title: str, hosts: list[Mapping[str, Any]]) -> Iterator[str]:
    if hosts:
        yield ""
        yield title
    for host in hosts[:_LISTED]:
        domain = f" in {host['domain']}" if host["domain"] else ""
        note = f": {host['note']}" if host["note"] else ""
        remedy = f"; {host['remedy']}" if host["remedy"] else ""
        yield f"  {host['host']} ({host['class']}{domain}) {host['phase']} since {host['since']}{note}{remedy}"
    if len(hosts) > _LISTED:
        yield f"  and {len(hosts) - _LISTED} more; --json lists all"


def _phases(phases: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {phase}" for phase, count in phases.items())


def _scope(scope: str) -> str:
    return "the fleet" if scope == "fleet" else f"the class {scope}"


def _by(halt: Mapping[str, Any]) -> str:
    return f" by {halt['by']}" if halt["by"] else ""


def _hosts(count: int) -> str:
    return f"{count} host{'s' * (count != 1)}"


def _classes(held: Mapping[str, Any]) -> str:
    names = held["classes"]
    return f"{', '.join(names[:3])}{' …' * (len(names) > 3)} ({held['group']})"


def _times(held: Mapping[str, Any]) -> str:
    since = f", since {held['since']}" if held["since"] else ""
    return since + (f", until {held['until']}" if held["until"] else "")


def fleet_status_page(document: Mapping[str, Any]) -> str:
    """A status document of a rollout as an HTML page."""
    title = f"Rollout {document['rollout']['name']}"
    totals = document["totals"]
    facts = f"As of {document['as_of']}; {totals['unavailable']} of {totals['hosts']} hosts are unavailable, at most"
    header = element(
        "header",
        {},
        element("h1", {}, title),
        paragraph(_STATES[document["state"]]),
        paragraph(f"{facts} {totals['limit']} may be.", "facts"),
    )
    return page(title, header, element("main", {}, *_sections(document)))


def _sections(document: Mapping[str, Any]) -> Iterator[Element]:
    if document["halts"]:
        heads = ("what", "since", "why", "who can resume", "with")
        rows = (
            [_scope(halt["scope"]), halt["since"], halt["reason"] + _by(halt), halt["who"], halt["command"]]
            for halt in document["halts"]
        )
        yield section("halts", "Halts", table("Halts", heads, rows))
    columns = ("hosts", "classes", "step", "why", "invariant", "since", "until", "what to do")
    waiting = (
        [
            str(held["hosts"]), _classes(held), f"{held['from']} → {held['to']}", held["reason"],
            f"{held['invariant']} ({held['code']})", held["since"] or "", held["until"] or "", held["remedy"],
        ]
        for held in document["blocked"]
    )  # fmt: skip
    yield section("waits", "What waits", table("What waits", columns, waiting))
    steps = (
        [
            one["group"], f"{one['from']} → {one['to']}", "canaries" if one["stage"] == 0 else f"wave {one['stage']}",
            str(one["succeeded"]), str(one["in_flight"]), str(one["stages"][-1]),
        ]
        for one in document["steps"]
    )  # fmt: skip
    names = ("class", "step", "stage", "succeeded", "in flight", "of")
    yield section("steps", "Steps", table("Steps", names, steps))
    for name, title in (("unavailable", "Unavailable hosts"), ("aside", "Hosts set aside")):
        hosts = (
            [
                host["host"],
                host["class"],
                host["domain"] or "",
                host["phase"],
                host["since"],
                host["note"],
                host["remedy"],
            ]
            for host in document[name]
        )
        yield section(name, title, table(title, _HOST_COLUMNS, hosts))
    counts = [(phase, str(count)) for phase, count in document["totals"]["phases"].items()]
    yield section("totals", "Totals", definitions(counts))


def fleet_exposition(document: Mapping[str, Any]) -> str:
    """A status document of a rollout as metrics."""
    metrics = _metrics(document)
    return "\n".join(line for metric in metrics for line in metric.lines()) + "\n"


def _metrics(document: Mapping[str, Any]) -> Iterator[Metric]:
    name = (("rollout", document["rollout"]["name"]),)
    states = tuple((((*name, ("state", state))), float(state == document["state"])) for state in _STATES)
    yield Metric("seamstep_fleet_state", "How the rollout stands: 1 for its state, 0 for the others.", states)
    totals = document["totals"]
    phases = tuple(((*name, ("phase", phase)), float(count)) for phase, count in totals["phases"].items())
    yield Metric("seamstep_fleet_hosts", "Hosts by where they stand.", phases)
    yield Metric("seamstep_fleet_unavailable", "Hosts that are unavailable.", ((name, float(totals["unavailable"])),))
    yield Metric("seamstep_fleet_unavailable_limit", "How many may be.", ((name, float(totals["limit"])),))
    halts: dict[Labels, float] = {}
    for halt in document["halts"]:
        labels = (*name, ("scope", halt["scope"]), ("kind", halt["kind"]), ("reason", halt["reason"]))
        halts[labels] = 1.0
    yield Metric("seamstep_fleet_halt", "A halt, until a person resumes.", tuple(halts.items()))
    blocked: dict[Labels, float] = {}
    for held in document["blocked"]:
        labels = (*name, ("group", held["group"]), ("to", held["to"]), ("code", held["code"]))
        blocked[labels] = blocked.get(labels, 0.0) + held["hosts"]
    yield Metric("seamstep_fleet_blocked_hosts", "Hosts that wait, by what keeps them.", tuple(blocked.items()))
    yield Metric("seamstep_fleet_free_hosts", "Hosts that may begin now.", ((name, float(document["free"])),))
