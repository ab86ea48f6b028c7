"""The difference between two catalogs as text, and as Markdown for a pull request.

Changes of the same kind share a row. Long lists are cut, with the number of items left out.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from seamstep.analysis.diff import releases
from seamstep.analysis.diff.difference import Difference
from seamstep.analysis.diff.hosts import HostsDiff, Way
from seamstep.analysis.diff.releases import ABSENT, FieldChange, ReleaseChange
from seamstep.analysis.diff.ways import LADDER_MAX, WaysDiff
from seamstep.domain.model import Release
from seamstep.show.changes import cell, listed, versions_text, where_text
from seamstep.show.text import printable

_WIDTH = 100
_ROWS_MAX = 60
_NAMES_MAX = 5
_VALUE_MAX = 120
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Section(NamedTuple):
    """A table: its title, its columns, each with the form of its cells in a line of text, and its rows."""

    title: str
    columns: Mapping[str, str]
    rows: Sequence[tuple[str, ...]]

    def line(self, row: Sequence[str]) -> str:
        """A row as a line of text, without its empty cells."""
        forms = zip(self.columns.values(), row, strict=True)
        return "  ".join(printable(form.format(text)) for form, text in forms if text)


def difference_text(difference: Difference) -> str:
    """The difference as text, at most 100 columns wide unless a single word is longer."""
    lines = [summary(difference), *notes(difference)]
    for section in sections(difference):
        lines += ["", section.title]
        for row in section.rows[:_ROWS_MAX]:
            lines += textwrap.wrap(
                section.line(row),
                _WIDTH,
                initial_indent="  ",
                subsequent_indent="      ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        if len(section.rows) > _ROWS_MAX:
            lines.append(f"  and {len(section.rows) - _ROWS_MAX} more rows (--json lists all)")
    return "\n".join(lines)


def difference_markdown(difference: Difference) -> str:
    """The difference as Markdown."""
    lines = [f"**{cell(summary(difference))}**", *(f"\n{cell(note)}" for note in notes(difference))]
    for section in sections(difference):
        lines += [
            "",
            f"### {section.title}",
            "",
            f"| {' | '.join(section.columns)} |",
            "|---" * len(section.columns) + "|",
        ]
        lines += [f"| {' | '.join(map(cell, row))} |" for row in section.rows[:_ROWS_MAX]]
        if len(section.rows) > _ROWS_MAX:
            lines.append(f"\nand {len(section.rows) - _ROWS_MAX} more rows")
    return "\n".join(lines)


def summary(difference: Difference) -> str:
    """The number of changes of each kind, in one line."""
    if not difference:
        return f"nothing changes, on any of {len(difference.ways.environments)} kinds of hosts"
    found, ways = difference.releases, difference.ways
    opened = sum(change.opened for change in ways.steps)
    stranded = sum(one.stranded for one in ways.strandings)
    paths = len({change.source for changes in ways.paths.values() for change in changes})
    return (
        f"releases: {len(found.added)} added, {len(found.removed)} removed, {len(found.changed)} changed; "
        f"steps: {opened} opened, {len(ways.steps) - opened} closed; "
        f"paths: from {paths} releases; stranded: {stranded}; of {len(ways.environments)} kinds of hosts"
    )


def notes(difference: Difference) -> list[str]:
    """The limits of the comparison, a sentence each."""
    found = [] if difference.images else ["without images: rules that need one were left open on both sides"]
    for series in difference.ways.left_out:
        found.append(
            f"series {series} has more than {LADDER_MAX} releases: of its paths, fewest-hops alone was compared"
        )
    return found


def sections(difference: Difference) -> Iterator[Section]:
    """The tables that have rows."""
    ways = difference.ways
    tables = (
        Section("mapping file", _plain("value", "old", "new"), [_field(change) for change in difference.file]),
        Section("releases", _plain("release", "change", "what"), [*_releases(difference.releases)]),
        Section("stranded releases", _plain("release", "change", "where"), [*_strandings(ways)]),
        Section("steps", _plain("change", "step", "why", "where"), [*_steps(ways)]),
        Section("paths", {"from": "from {}:", "change": "{}", "path": "({})", "where": "{}"}, [*_paths(ways)]),
        Section(
            "hosts", {"count": "{}", "running": "on {}:", "change": "{}", "hosts": "({})"}, [*_hosts(difference.hosts)]
        ),
    )
    yield from (table for table in tables if table.rows)


def _plain(*columns: str) -> dict[str, str]:
    return dict.fromkeys(columns, "{}")


def _field(change: FieldChange) -> tuple[str, ...]:
    return change.field, _value(change.old), _value(change.new)


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE_MAX else f"{text[:_VALUE_MAX]}…"


def _releases(found: releases.ReleasesDiff) -> Iterator[tuple[str, ...]]:
    for release in found.added:
        yield str(release.version), "added", _terms(release)
    for release in found.removed:
        yield str(release.version), "removed", ""
    for change in found.changed:
        yield from _changed(change)


def _terms(release: Release) -> str:
    seamldrs = ", ".join(map(str, release.minimum_seamldrs)) or "none"
    return f"from {release.minimum_module or 'any module'} on; P-SEAMLDR at least {seamldrs}"


def _changed(change: ReleaseChange) -> Iterator[tuple[str, ...]]:
    version = str(change.version)
    if change.lost:
        yield version, "loses", ", ".join(change.lost)
    if change.gained:
        yield version, "gains", ", ".join(change.gained)
    for one in change.fields:
        yield version, one.field, _items(one)
    for one in change.image:
        if change.image[0].field != "image" or one.field == "image":
            yield version, "image" if one.field == "image" else f"image {one.field}", _items(one)


def _items(change: FieldChange) -> str:
    """The change of a value in words; of two lists, only the items that one of them lacks."""
    old, new = change.old, change.new
    if isinstance(old, list) and isinstance(new, list):
        gone, come = ([item for item in one if item not in other] for one, other in ((old, new), (new, old)))
        terms = [f"{word} {_list(items)}" for word, items in (("without", gone), ("with", come)) if items]
        return "; ".join(terms) or "in another order"
    if old == ABSENT and isinstance(new, list):
        return f"now listed: {_list(new) or 'nothing'}"
    return f"{_value(old)} becomes {_value(new)}"


def _list(items: Sequence[object]) -> str:
    return listed([_value(item) for item in items])


def _strandings(ways: WaysDiff) -> Iterator[tuple[str, ...]]:
    for one in ways.strandings:
        word = "stranded: no step leads on" if one.stranded else "no longer stranded"
        yield str(one.version), word, where_text(one.environments, ways.environments)


def _steps(ways: WaysDiff) -> Iterator[tuple[str, ...]]:
    by_target = _collected(
        ((change.target, change.opened, change.rules, change.environments), change.source) for change in ways.steps
    )
    grouped = _collected(((*key[1:], tuple(sources)), key[0]) for key, sources in by_target.items())
    for (opened, rules, where, sources), targets in grouped.items():
        reason = ", ".join(rules)
        if not rules:
            words = f"{listed(targets)} {'is' if len(targets) == 1 else 'are'} {'new' if opened else 'gone'}"
        else:
            words = f"was refused by {reason}" if opened else f"refused by {reason}"
        step = f"{listed(sources)} → {listed(targets)}"
        yield "opened" if opened else "closed", step, words, where_text(where, ways.environments)


def _paths(ways: WaysDiff) -> Iterator[tuple[str, ...]]:
    by_way = _collected(
        ((change.source, change.old, change.new, change.environments), choice.value)
        for choice, changes in ways.paths.items()
        for change in changes
    )
    grouped = _collected(
        ((*key[1:], tuple(choices)), key[0]) for key, choices in sorted(by_way.items(), key=lambda item: item[0][0])
    )
    for (old, new, where, choices), sources in grouped.items():
        path = choices[0] if len(choices) == 1 else "either path"
        change = f"{versions_text(old)} becomes {versions_text(new)}"
        yield listed(sources), change, path, where_text(where, ways.environments)


def _hosts(hosts: HostsDiff | None) -> Iterator[tuple[str, ...]]:
    if hosts is None:
        return
    yield f"{hosts.affected} of {hosts.total}", "", "are led elsewhere", ""
    for change in hosts.changes:
        words = f"{_way(change.old)} becomes {_way(change.new)}"
        yield str(len(change.names)), str(change.source), words, _names(change.names)
    for reason, names in hosts.unplannable.items():
        yield (
            str(len(names)),
            "",
            f"can't be planned for: the module's version is not known ({reason})",
            _names(names),
        )


def _way(way: Way) -> str:
    return versions_text(way.versions) if way.versions else way.outcome


def _names(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_MAX
    return ", ".join(names[:_NAMES_MAX]) + (f" and {more} more" if more > 0 else "")


def _collected(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    found: dict[K, list[V]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found
