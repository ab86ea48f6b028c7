"""The verdict table: verdicts of the rules on each hop and each refused step of the plans, under each policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from seamstep.show.drawing.markup import Element, element
from seamstep.show.drawing.page import cell, filled_table, filters, paragraph, section
from seamstep.show.review.material import Material, Planned

#: The most refused steps of a policy in the table; the plan document lists all.
_REFUSED_MAX = 100
_COLUMNS = ("policy", "step", "rule", "verdict", "reason")
#: The effects of verdicts, in the order of the filter, with the CSS class of each.
_LOOKS = {"pass": "pass", "blocks": "block", "can't tell": "unknown", "accepted": "warning", "note": "note"}


class Row(NamedTuple):
    """A verdict of one rule on one step.

    ``policy`` is the policy's name, ``ends`` the step's two versions, ``step`` its kind (``hop`` or ``refused``),
    ``rule`` the rule's name, ``effect`` a key of ``_LOOKS``, and ``reason`` the rule's explanation.
    """

    policy: str
    ends: str
    step: str
    rule: str
    effect: str
    reason: str


def verdicts_section(material: Material) -> Element:
    """The table with its filters. Initially the filters hide rules that are met."""
    rows = [row for planned in material.plans for row in verdict_rows(planned)]
    if not rows:
        return section("verdicts", "Verdicts", paragraph("No step was judged: no newer release is wanted."))
    policies = [(name, True) for name in dict.fromkeys(planned.policy.name for planned in material.plans)]
    found = {row.effect for row in rows}
    effects = [(effect, effect != "pass") for effect in _LOOKS if effect in found]
    kinds = [(step, True) for step in ("hop", "refused") if any(row.step == step for row in rows)]
    head = element("tr", {}, *(element("th", {"scope": "col"}, column) for column in _COLUMNS))
    return section(
        "verdicts",
        "Verdicts",
        *(paragraph(note, "note") for note in _left_out(material)),
        filters(
            "verdict-table",
            "verdicts",
            [("effect", "verdict", effects), ("step", "step", kinds), ("policy", "policy", policies)],
        ),
        element("div", {"id": "verdict-table"}, filled_table("All verdicts", head, map(_row, rows))),
    )


def verdict_rows(planned: Planned) -> Iterator[Row]:
    """The verdicts of a plan: all on its hops, and those that refuse its refused steps."""
    policy, document = planned.policy.name, planned.plan.document
    for hop in document["hops"]:
        accepted = {waiver["rule"] for waiver in hop["waived"]}
        for verdict in hop["verdicts"]:
            effect = _effect(verdict, "accepted" if verdict["rule"] in accepted else "note")
            yield Row(policy, _ends(hop), "hop", verdict["rule"], effect, verdict["reason"])
    for step in islice(document["rejected"], _REFUSED_MAX):
        for verdict in step["verdicts"]:
            effect = _effect(verdict, "blocks")
            yield Row(policy, _ends(step), "refused", verdict["rule"], effect, verdict["reason"])


def _effect(verdict: Mapping[str, Any], blocked: str) -> str:
    return {"pass": "pass", "unknown": "can't tell"}.get(verdict["outcome"], blocked)


def _ends(step: Mapping[str, Any]) -> str:
    return f"{step['from']} → {step['to']}"


def _left_out(material: Material) -> Iterator[str]:
    for planned in material.plans:
        more = len(planned.plan.document["rejected"]) - _REFUSED_MAX
        if more > 0:
            yield f"{planned.policy.name}: {more} more refused steps are in its plan (seamstep plan --json)."


def _row(row: Row) -> Element:
    return element(
        "tr",
        {"data-policy": row.policy, "data-effect": row.effect, "data-step": row.step},
        cell(_COLUMNS[0], row.policy),
        cell(_COLUMNS[1], f"{row.ends} ({row.step})", kind="nowrap"),
        cell(_COLUMNS[2], element("code", {}, row.rule)),
        cell(_COLUMNS[3], element("span", {"class": f"state {_LOOKS[row.effect]}"}, row.effect)),
        cell(_COLUMNS[4], row.reason),
    )
