"""The parts of a report: the plans, the host, the measurements, the linter's findings, and the provenance."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any

from seamstep.analysis.lint.findings import Severity
from seamstep.analysis.lint.settings import Result
from seamstep.base.documents import canonical
from seamstep.base.errors import RefusedError
from seamstep.plan import measurements
from seamstep.plan.document import PlanOutcome
from seamstep.show.drawing.markup import Element, element
from seamstep.show.drawing.page import cell, definitions, filled_table, filters, paragraph, section, table
from seamstep.show.drawing.scene import route_text
from seamstep.show.findings import place
from seamstep.show.images import PHASES, SVN_2_QUOTES, svn_2_text
from seamstep.show.review.material import Material, Planned
from seamstep.show.tcb import document_name, tcb_text
from seamstep.show.text import facts_rows, held_up, performing, tcb_lines, way_of

_OUTCOMES = {
    PlanOutcome.UPDATE: "update",
    PlanOutcome.UP_TO_DATE: "up to date",
    PlanOutcome.NO_PATH: "no permitted path",
    PlanOutcome.NOT_LISTED: "the running version is not listed",
}

_FINDING_COLUMNS = ("severity", "finding", "release", "place")


def plans_section(material: Material) -> Element:
    """A card for each policy, starting with the policy to go by."""
    cards = (_card(planned, chosen=planned is material.chosen) for planned in material.plans)
    return section("plans", "The plan under each policy", element("div", {"class": "cards"}, *cards))


def performing_section(material: Material) -> Element:
    """What is waited for and run when the plan under the policy to go by is applied; where there is no path, what would
    open one."""
    plan = material.chosen.plan
    if plan.outcome is PlanOutcome.NO_PATH:
        title, lines = "What would open a path", list(material.remedies)
    else:
        title, lines = "When it is applied", list(performing(plan.document, material.made.timestamp()))
    lead = f"Under the policy {material.chosen.policy.name}"
    if not lines:
        nothing = "at any time, without a break between hops" if plan.hops else plan.document["reason"]
        return section("performing", title, paragraph(f"{lead}: {nothing}."))
    one = ", any one of these" if len(material.remedies) > 1 else ""
    items = element("ul", {}, *(element("li", {}, line) for line in lines))
    return section("performing", title, paragraph(f"{lead}{one}:"), items)


def _card(planned: Planned, *, chosen: bool) -> Element:
    policy, document = planned.policy, planned.plan.document
    outcome = planned.plan.outcome
    facts: list[tuple[str, Element | str]] = [("outcome", _state(outcome.value, _OUTCOMES[outcome]))]
    hops = planned.plan.hops
    if hops:
        facts += [("path", route_text([str(planned.plan.source), *(str(hop.target) for hop in hops)]))]
        facts += [("cost", str(document["objective"]["cost"]))]
    else:
        facts += [("why", document["reason"])]
    facts += [("TCB", line.strip()) for line in tcb_lines(document, document["target"])]
    facts += [("held up", line) for line in held_up(document["held_up"])]
    facts += [("chosen by", document["objective"]["path"]), ("target", document["policy"]["target"])]
    facts += [("accepted", _waiver(waiver)) for hop in document["hops"] for waiver in hop["waived"]]
    safe = ", ".join(way_of(hop) for hop in document["hops"] if hop["td_creation"]["safe"])
    facts += [("TD creation", f"safe meanwhile: {safe}")] if safe else []
    for hop in document["hops"]:
        if not hop["td_creation"]["safe"]:
            facts += [("TD creation", f"{way_of(hop)}: {hop['td_creation']['reason']}")]
        facts += [("risk", f"{way_of(hop)}: {risk['rule']}: {risk['reason']}") for risk in hop["risks"]]
    facts += [("expired", str(entry.problem)) for entry in policy.expired]
    if planned.plan.provisional:
        facts += [("provisional", "rules that need an image were left open; such a plan can't be applied")]
    title = f"{policy.name} (the policy to go by)" if chosen else policy.name
    parts = [element("h3", {}, title)]
    parts += [paragraph(policy.description)] if policy.description else []
    return element("article", {"class": "card"}, *parts, definitions(facts))


def _waiver(waiver: Mapping[str, Any]) -> str:
    return f"{waiver['rule']}: {waiver['reason']} (by {waiver['by']}, until {waiver['until']})"


def _state(kind: str, text: str) -> Element:
    return element("span", {"class": f"state {kind}"}, text)


def facts_section(material: Material) -> Element:
    """The host's facts; an unknown fact has the reason."""
    return section("facts", "The host", definitions(facts_rows(material.host)))


def measurements_section(material: Material) -> Element:
    """The measurements that verifiers must accept in each phase of the plan under the policy to go by."""
    title = "Measurements before, during and after the update"
    try:
        phases = measurements.of_plan(material.chosen.plan.document)
    except RefusedError as error:
        return section("measurements", title, paragraph(f"There are none to tell: {error}."))
    columns = (
        "launched on",
        "MRSEAM",
        "SVN",
        "TEE_TCB_SVN[0]",
        "TEE_TCB_SVN[1]",
        "TDX module identity",
        "running",
        "TEE_TCB_SVN_2",
        *(("TCB status", "by TEE_TCB_SVN_2") if material.tcb else ()),
    )
    parts = [
        paragraph(
            "TDs keep the measurements they were launched with, so the old ones stay in the list until the last such TD"
            f" is gone. TEE_TCB_SVN_2 follows the running module. {SVN_2_QUOTES}"
        )
    ]
    for phase, listed in phases.items():
        rows = [measurements.with_status(row, material.tcb) for row in listed]
        heading = PHASES[phase][:1].upper() + PHASES[phase][1:]
        parts.append(element("h3", {}, heading))
        parts.append(table(heading, columns, map(_measurement, rows)))
    return section("measurements", title, *parts)


def _measurement(row: Mapping[str, Any]) -> list[Element | str]:
    mrseam = element("span", {"class": "digest"}, row["mrseam"])
    return [
        row["launched_on"],
        mrseam,
        f"0x{row['seamsvn']:x}",
        str(row["svn_minor"]),
        str(row["svn_major"]),
        row["identity"],
        row["running"],
        svn_2_text(row),
        *(tcb_text(row[key]) for key in ("tcb", "tcb_2") if key in row),
    ]


def lint_section(material: Material) -> Element:
    """The findings on the mapping file, and on the images if there are any."""
    linted = material.linted
    counts = ", ".join(_counted(count, word) for word, count in linted.counts.items() if count) or "no findings"
    looked = "with its images" if any(target.images for target in linted.targets) else "without images"
    parts = [paragraph(f"The mapping file {looked}: {counts}.")]
    parts += [paragraph(f"{source}: there are more findings; these are the first.") for source in linted.incomplete]
    if linted.results:
        head = element("tr", {}, *(element("th", {"scope": "col"}, column) for column in _FINDING_COLUMNS))
        found = {result.severity for result in linted.results}
        severities = [(severity.value, True) for severity in Severity if severity in found]
        choices = [("severity", "severity", severities)]
        rows = (_finding(result) for result in linted.results)
        inner = filled_table("Findings on the mapping file", head, rows)
        parts += [filters("lint-table", "findings", choices), element("div", {"id": "lint-table"}, inner)]
    return section("lint", "Lint of the mapping file", *parts)


def _counted(count: int, word: str) -> str:
    return f"{count} {word}s" if count > 1 and word in set(Severity) else f"{count} {word}"


def _finding(result: Result) -> Element:
    finding = result.finding
    told: list[Element | str] = [finding.message, " ", element("code", {}, finding.code.name)]
    if result.suppression:
        one = result.suppression
        told.append(paragraph(f"Suppressed until {one.until} by {one.owner}: {one.reason}", "note"))
    why = [paragraph(f"Why: {finding.code.why}"), paragraph(f"Fix: {finding.code.fix}")]
    details = element("details", {}, element("summary", {}, "why it matters and how to mend it"), *why)
    return element(
        "tr",
        {"data-severity": result.severity.value},
        cell(_FINDING_COLUMNS[0], _state(result.severity.value, result.severity.value)),
        cell(_FINDING_COLUMNS[1], *told, details),
        cell(_FINDING_COLUMNS[2], finding.release or "", kind="nowrap"),
        cell(_FINDING_COLUMNS[3], place(result)),
    )


def provenance_section(material: Material) -> Element:
    """The time of writing, and the sources of the report with their SHA-256."""
    return section(
        "provenance",
        "Provenance",
        definitions(
            [
                ("made", f"{material.made.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC by seamstep {material.version}"),
                ("as of", f"{material.as_of}: what had expired by that day does not count"),
            ]
        ),
        table("What the report rests on", ("what", "name", "SHA-256"), _sources(material)),
    )


def _sources(material: Material) -> Iterator[list[Element | str]]:
    document = material.chosen.plan.document
    facts = hashlib.sha256(canonical(material.host.to_document())).hexdigest()
    yield _source("host facts", f"of {material.host.hostname or 'a host'}, as canonical JSON", facts)
    yield _source("mapping file", document["mapping"]["path"], document["mapping"]["sha256"])
    for planned in material.plans:
        for layer in planned.plan.document["policy"]["layers"]:
            name = f"{layer['name']} ({layer['path'] or 'ships with seamstep'})"
            yield _source("policy", name, layer["sha256"])
    for planned in material.plans:
        yield _source("plan", f"under {planned.policy.name}", planned.plan.id)
    images = {hop["image"]["path"]: hop["image"]["sha256"] for hop in document["hops"] if hop["image"]}
    source = document["source_image"]
    images |= {source["path"]: source["sha256"]} if source else {}
    for path, digest in sorted(images.items()):
        yield _source("image", path, digest)
    for tcb in document.get("tcb", {}).get("documents", ()):
        yield _source("TCB Info", f"{document_name(tcb)} ({tcb['path']})", tcb["sha256"])
    for signer in document["signers"]:
        yield _source("signer trusted besides Intel", "modulus", signer)


def _source(what: str, name: str, digest: str) -> list[Element | str]:
    return [what, name, element("span", {"class": "digest"}, digest)]
