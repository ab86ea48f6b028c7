"""Plans and explanations on a terminal: a drawing of the path, trees and tables, as wide as the terminal.

rich does the layout. It receives finished texts with markup switched off, so that text from files is never interpreted.
Colour only repeats the words; rich omits it if NO_COLOR is set or the terminal has no colours.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from seamstep.show.causes import Cause, causes, short
from seamstep.show.explanation import answer, change_lines, findings, verdict_notes
from seamstep.show.text import (
    ASCII,
    PROVISIONAL,
    SHOWN_CAUSES,
    Note,
    conditions,
    held_up,
    hop_notes,
    not_shown,
    passed,
    performing,
    printable,
    tcb_lines,
    way,
    way_of,
)

_STYLES = {
    **dict.fromkeys(("update", "permitted", "ok"), "green"),
    **dict.fromkeys(("no-path", "not-listed", "refused", "BLOCKS"), "bold red"),
    **dict.fromkeys(("note", "waived", "accepted"), "yellow"),
    **dict.fromkeys(("open", "provisional"), "magenta"),
}


def plan_screen(plan: Mapping[str, Any], stream: TextIO, now: float | None = None) -> str:
    """A plan document rendered for the terminal behind ``stream``, without a final line break. ``now`` is as in
    :func:`performing`."""
    screen = _Screen(stream)
    return screen.rendered(_plan_parts(plan, screen, now))


def explanation_screen(document: Mapping[str, Any], stream: TextIO) -> str:
    """An explanation document rendered for the terminal behind ``stream``, without a final line break."""
    screen = _Screen(stream)
    return screen.rendered(_explanation_parts(document, screen))


class _Screen:
    """A terminal, and the texts, trees and tables made for it.

    Every text is printable, and transliterated to ASCII if the terminal's encoding is not Unicode. ``width`` is that of
    the terminal in columns.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, markup=False, emoji=False, highlight=False)
        self.width = self._console.width
        self._ascii = self._console.options.ascii_only

    def text(self, value: object, style: str = "", *, whole: bool = False) -> Text:
        """``value`` as text; digests in it are shortened unless it is to stay ``whole``."""
        told = printable(value) if whole else short(printable(value))
        return Text(told.translate(ASCII) if self._ascii else told, style=style)

    def word(self, mark: str, told: object = "") -> Text:
        """``mark`` in its colour, followed by ``told``."""
        return Text.assemble(self.text(mark, _STYLES.get(mark, "")), self.text(told))

    def title(self, told: str) -> Text:
        return self.text(told, "bold")

    def table(self, title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[RenderableType]:
        """A table below its title. Only the last column is wrapped to fit the terminal."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for head in heads:
            table.add_column(head, no_wrap=head != heads[-1], overflow="fold")
        for row in rows:
            table.add_row(*map(self.text, row))
        yield Text()
        yield self.title(title)
        yield table

    def steps(self, title: str, steps: Iterable[tuple[str, str, Sequence[Note]]]) -> Tree:
        """A tree with a branch for each step and its notes as leaves, in aligned columns.

        Each of ``steps`` has its versions, its verdict in words, coloured up to the first comma, and its notes.
        """
        tree = Tree(self.title(title))
        for step, told, notes in steps:
            word, comma, rest = told.partition(",")
            branch = tree.add(Text.assemble(self.text(f"{step}: ", "bold"), self.word(word, comma + rest)))
            for note in notes:
                branch.add(self._leaf(note, notes))
        return tree

    def causes(self, title: str, found: Iterable[Cause]) -> Tree:
        """A tree with a branch for each group of steps, and the rules that refuse them with their reason as leaves."""
        tree = Tree(self.title(title))
        for steps, group in itertools.groupby(found, lambda cause: cause.steps):
            branch = tree.add(self.text(steps, "bold"))
            for cause in group:
                branch.add(self.text(f"{cause.rules}: {cause.reason}"))
        return tree

    def _leaf(self, note: Note, notes: Sequence[Note]) -> Table:
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True, width=max(self.text(other.mark).cell_len for other in notes))
        grid.add_column(no_wrap=True, width=max(self.text(other.rule).cell_len for other in notes))
        grid.add_column(overflow="fold")
        grid.add_row(self.word(note.mark), self.text(note.rule), self.text(note.text))
        return grid

    def rendered(self, parts: Iterable[RenderableType]) -> str:
        with self._console.capture() as captured:
            for part in parts:
                self._console.print(part)
        return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))

    def path(self, versions: Sequence[str], *, there: bool = True) -> RenderableType:
        """The path as arrows between versions, with the role of each version below it; a path wider than the terminal
        continues on further lines. The last version is the target; ``there`` says whether it is reached."""
        parts = ["running", *(f"hop {number}" for number in range(1, len(versions) - 1))]
        parts.append("target" if there else "not reached")
        widths = [max(map(len, pair)) for pair in zip(versions, parts, strict=True)]
        rows: list[tuple[Text, Text]] = [(Text("  "), Text("  "))]
        for number, (version, part, width) in enumerate(zip(versions, parts, widths, strict=True)):
            upper, lower = rows[-1]
            if upper.cell_len + width + len(" ──▶") > self.width and upper.cell_len > 2:
                upper, lower = Text("  "), Text("  ")
                rows.append((upper, lower))
            left = len(versions) - 1 - number
            head = "▶" if there or left > 1 else "╳"
            line = f" {'─' * (width - len(version) + 2)}{head} " if left else ""
            upper.append_text(self.text(version, "bold")).append_text(self.text(line))
            lower.append_text(self.text(part.ljust(width + len(" ──▶ ")), "dim"))
        lines = [line for row in rows for line in row]
        for each in lines:
            each.rstrip()
        return Group(*lines)


def _plan_parts(plan: Mapping[str, Any], screen: _Screen, now: float | None) -> Iterator[RenderableType]:
    yield screen.text(conditions(plan))
    yield Text.assemble(screen.text(f"policy {plan['policy']['name']}: "), screen.word(plan["outcome"]))
    yield Text()
    if plan["hops"]:
        yield screen.path([plan["source"], *(hop["to"] for hop in plan["hops"])])
        yield Text()
        title = f"{plan['reason']}, cost {plan['objective']['cost']}"
        yield screen.steps(title, ((way_of(hop), passed(hop), list(hop_notes(hop))) for hop in plan["hops"]))
    else:
        yield screen.text(plan["reason"])
    yield from map(screen.text, held_up(plan["held_up"], why=False))
    yield from map(screen.text, tcb_lines(plan, plan["target"]))
    yield from (screen.text(f"expired: {sentence}") for sentence in plan.get("expired", ()))
    for signer in plan["signers"]:
        yield Text()
        yield screen.text(f"trusted besides Intel: signer {signer}")
    performed = list(performing(plan, now))
    if performed:
        yield Text()
        yield screen.title("when it is applied")
        yield from (screen.text(f"  {line}", whole=True) for line in performed)
    if plan["hops"] and "class_id" in plan:
        yield Text()
        yield screen.text(f"class_id {plan['class_id']}")
    if plan["provisional"]:
        yield Text()
        yield screen.word("provisional", f": {PROVISIONAL}")
    if plan["alternatives"]:
        rows = [(other["path"], str(other["cost"]), way(other["versions"])) for other in plan["alternatives"]]
        yield from screen.table("other ways to the same release", ("by", "cost", "path"), rows)
    if plan["rejected"]:
        found = causes(plan["rejected"])
        yield Text()
        yield screen.causes("not permitted", found[:SHOWN_CAUSES])
        yield from map(screen.text, not_shown(found))


def _explanation_parts(document: Mapping[str, Any], screen: _Screen) -> Iterator[RenderableType]:
    path, goal = document["path"] or [document["running"]], document["to"]
    if goal is not None:
        there = path[-1] == goal
        yield screen.path(path if there else [*path, goal], there=there)
        yield Text()
    yield from map(screen.text, findings(document))
    if document["steps"]:
        yield Text()
        steps = ((way_of(step), answer(step), _verdicts(step)) for step in document["steps"])
        yield screen.steps("steps that matter", steps)
    yield from map(screen.text, change_lines(document))


def _verdicts(step: Mapping[str, Any]) -> list[Note]:
    """All verdicts on a step as notes; rules that are not met come first."""
    return sorted(verdict_notes(step), key=lambda note: note.mark == "ok")
