"""The report as one HTML page."""

from __future__ import annotations

from seamstep.show.drawing.html import graph_section, steps_section
from seamstep.show.drawing.markup import element
from seamstep.show.drawing.page import page, paragraph
from seamstep.show.review.material import Material
from seamstep.show.review.sections import (
    facts_section,
    lint_section,
    measurements_section,
    performing_section,
    plans_section,
    provenance_section,
)
from seamstep.show.review.verdicts import verdicts_section

_CONTENTS = {
    "plans": "plans",
    "performing": "what is to be done",
    "graph": "graph",
    "steps": "steps",
    "verdicts": "verdicts",
    "measurements": "measurements",
    "facts": "host",
    "lint": "lint",
    "provenance": "provenance",
}


def report(material: Material) -> str:
    """The report as HTML; the same material gives the same bytes."""
    host, plan = material.host, material.chosen.plan
    title = f"TDX module update of {host.hostname or 'a host'}"
    lead = f"Runs {plan.source}. Under the policy {material.chosen.policy.name}: {plan.document['reason']}."
    links = (element("li", {}, element("a", {"href": f"#{name}"}, word)) for name, word in _CONTENTS.items())
    contents = element("nav", {"aria-label": "contents"}, element("ul", {}, *links))
    made = f"Made on {material.made:%Y-%m-%d} by seamstep {material.version}; judged as of {material.as_of}."
    return page(
        title,
        element("header", {}, element("h1", {}, title), paragraph(lead), paragraph(made, "facts"), contents),
        element(
            "main",
            {},
            plans_section(material),
            performing_section(material),
            graph_section(material.scene),
            steps_section(material.scene),
            verdicts_section(material),
            measurements_section(material),
            facts_section(material),
            lint_section(material),
            provenance_section(material),
        ),
    )
