"""The plans of a fleet as text. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seamstep.show.text import held_up, printable, way

#: The most classes in the table.
SHOWN_CLASSES = 50
COLUMNS = ("class", "hosts", "runs", "outcome", "path, or what holds it up", "TDs at stake", "creation of TDs")
_NUMBERS = {"hosts", "TDs at stake"}
_BRIEFLY = {"up-to-date": "nothing newer is wanted", "not-listed": "the mapping file lacks what runs"}
#: The width of the text table's widest column.
_WIDTH = 60
OUTCOMES = {
    "update": "update",
    "up-to-date": "up to date",
    "no-path": "no permitted path",
    "not-listed": "the running version is not listed",
    "lost": "TDX is lost: reboot",
    "not-updatable": "can't be updated at run time",
}


def fleet_text(head: Mapping[str, Any], classes: Sequence[Mapping[str, Any]]) -> str:
    """Totals and the table of classes. ``head`` is the fleet document without its ``classes``."""
    lines = [summary(head), *notes(head)]
    lines += _numbers("", {OUTCOMES[outcome]: count for outcome, count in head["totals"]["by_outcome"].items()})
    lines += _numbers("held up by", head["totals"]["by_rule"])
    lines += _numbers("what runs, by TCB status", head["totals"].get("by_tcb_status", {}))
    lines += _numbers("open advisories", head["totals"].get("by_advisory", {}))
    rows = [[_cut(cell) for cell in cells(one)] for one in classes[:SHOWN_CLASSES]]
    if rows:
        lines += ["", *_table([list(COLUMNS), *rows])]
    if len(classes) > SHOWN_CLASSES:
        lines.append(f"and {len(classes) - SHOWN_CLASSES:,} more classes (--json, --html and -o have all)")
    return "\n".join(printable(line.rstrip()) for line in lines)


def summary(head: Mapping[str, Any]) -> str:
    """The fleet in a sentence."""
    totals = head["totals"]
    hosts, classes = counted(totals["hosts"], "host"), counted(totals["classes"], "class", "classes")
    return f"{hosts} in {classes} under the policy {head['policy']['name']}, as of {head['as_of']}"


def notes(head: Mapping[str, Any]) -> Iterator[str]:
    """What to know of the whole: findings, TDs of which nothing is known, plans that are provisional."""
    count, unknown = head["findings"]["count"], head["totals"]["tds_unknown"]
    if count:
        yield f"{counted(count, 'finding')} in the inventory; what they are about is left out or in doubt"
    if unknown:
        yield f"how many TDs run is not known of {counted(unknown, 'host')}"
    if head["provisional"]:
        yield "rules that need an image were left open; such plans can't be applied"


def cells(one: Mapping[str, Any]) -> Iterator[str]:
    """The cells of a class's row, in the order of COLUMNS."""
    yield one["class"]
    yield f"{one['hosts']:,}"
    yield one["module"] or "unknown"
    yield one["outcome"]
    yield where(one)
    yield tds(one)
    yield creation(one)


def where(one: Mapping[str, Any]) -> str:
    """Where a class is led, and what holds it up."""
    held = next(held_up(one["held_up"]), "")
    if one["path"]:
        return f"{way(one['path'])}{f'; {brief(one)}' if held else ''}"
    return brief(one) if held else _BRIEFLY.get(one["outcome"], one["reason"])


def brief(one: Mapping[str, Any]) -> str:
    """The release that a class can't reach, and the rules that hold it up."""
    held = one["held_up"]
    rules = ", ".join(held["rules"]) or "the updates left"
    return f"{held['version']} held up by {rules}" if held["known"] else f"{held['version']}: can't tell ({rules})"


def tds(one: Mapping[str, Any]) -> str:
    """The number of TDs at stake."""
    if one["tds"] is None:
        return "unknown"
    return f"{one['tds']:,}{' at least' if one['tds_unknown'] else ''}"


def creation(one: Mapping[str, Any]) -> str:
    """Whether the creation of TDs has to be held back during hops."""
    unsafe = [hop for hop in one["td_creation"] if not hop["safe"]]
    if not unsafe:
        return "may go on" if one["path"] else ""
    verb = "only while no TD runs" if any(hop["needs_no_td"] for hop in unsafe) else "hold back"
    return f"{verb}: {', '.join(way((hop['from'], hop['to'])) for hop in unsafe)}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _numbers(title: str, numbers: Mapping[str, int]) -> Iterator[str]:
    if numbers:
        yield title
        width = max(map(len, numbers))
        yield from (f"  {name:<{width}}  {number:>11,}" for name, number in numbers.items())


def _cut(cell: str) -> str:
    return cell if len(cell) <= _WIDTH else cell[: _WIDTH - 1] + "…"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(
            f"{cell:>{width}}" if name in _NUMBERS else f"{cell:<{width}}"
            for name, cell, width in zip(COLUMNS, row, widths, strict=True)
        )
