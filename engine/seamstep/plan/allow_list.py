"""Comparing an allow-list of a verifier with the quotes that it has to accept. Pure.

An entry accepts a quote if it agrees with it in everything that a quote shows and the entry states: a list of bare
MRSEAMs accepts by MRSEAM alone. Three kinds of findings:

- lacking: a quote that no entry accepts.
- wrong: an entry that contradicts what is known of the modules that it names.
- too much: an entry that accepts no quote of the plan or catalog, and is not wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from seamstep.base.versions import ModuleVersion
from seamstep.plan.known_modules import Known, Module
from seamstep.plan.measurements import Row, svn_2_columns, svn_columns

#: What a quote shows, and the module whose TEE_TCB_SVN_2 it is: two modules may have one SVN.
_QUOTE = ("mrseam", "seamsvn", "running", "tee_tcb_svn_2")
#: The stage whose quotes a list without stages has to accept: it has those of all others.
_WHOLE = "during"


class Entry(NamedTuple):
    """An entry of an allow-list: ``stated`` are its values by column, those that it leaves open left out; ``stage`` is
    the stage of a plan that it is for, ``line`` its line in the file, each None where there is none."""

    stated: Row
    stage: str | None = None
    line: int | None = None


class Finding(NamedTuple):
    """An entry that is wrong or too much, and why."""

    entry: Entry
    message: str


class Lack(NamedTuple):
    """A quote that no entry accepts: the row of the measurements, and its stage."""

    row: Row
    stage: str | None = None


class Comparison(NamedTuple):
    """The findings on an allow-list, each in the order of the plan, the catalog or the list."""

    lacking: tuple[Lack, ...]
    wrong: tuple[Finding, ...]
    too_much: tuple[Finding, ...]

    @property
    def accepts_all(self) -> bool:
        """Whether nothing lacks and nothing is wrong."""
        return not self.lacking and not self.wrong


def with_catalog(entries: Sequence[Entry], rows: Iterable[Row], known: Known) -> Comparison:
    """Compare a list with the modules of a catalog, whatever stages its entries are for."""
    return _compare(_without_repeats(entry._replace(stage=None) for entry in entries), {None: list(rows)}, known, ())


def with_plan(
    entries: Sequence[Entry], stages: Mapping[str, Sequence[Row]], known: Known, given: Iterable[Module] = ()
) -> Comparison:
    """Compare a list with the quotes around a plan: stage by stage if its entries have stages, else with those during
    the update. Entries for the modules ``given`` by the user are not too much."""
    staged = any(entry.stage for entry in entries)
    return _compare(entries, {**stages} if staged else {None: stages[_WHOLE]}, known, given)


class Quote(NamedTuple):
    """A quote of a ``stage`` of a plan: its ``row``, and whether the list has an entry that ``accepted`` it."""

    stage: str
    row: Row
    accepted: bool


def quotes(entries: Sequence[Entry], stages: Mapping[str, Sequence[Row]]) -> list[Quote]:
    """Every quote around a plan. A list with stages accepts it by the entries of its stage, any other by all."""
    staged = any(entry.stage for entry in entries)
    return [
        Quote(stage, row, any(_accepts(one, row) for one in entries if not staged or one.stage == stage))
        for stage, rows in stages.items()
        for row in rows
    ]


def _compare(
    entries: Sequence[Entry], expected: Mapping[Any, Sequence[Row]], known: Known, given: Iterable[Module]
) -> Comparison:
    wrong = {index: message for index, entry in enumerate(entries) if (message := "; ".join(_mistakes(entry, known)))}
    allowed = {module.mrseam for module in given}
    lacking: list[Lack] = []
    useful: set[int] = set()
    for stage, rows in expected.items():
        own = [(index, entry) for index, entry in enumerate(entries) if entry.stage == stage]
        for row in rows:
            accepting = {index for index, entry in own if _accepts(entry, row)}
            useful |= accepting
            meant = any(index in wrong and entry.stated["mrseam"] == row["mrseam"] for index, entry in own)
            if not accepting and not meant:
                lacking.append(Lack(row, stage))
    too_much = [
        Finding(entry, _too_much(entry, known))
        for index, entry in enumerate(entries)
        if index not in useful and index not in wrong and entry.stated["mrseam"] not in allowed
    ]
    return Comparison(tuple(lacking), tuple(Finding(entries[index], wrong[index]) for index in wrong), tuple(too_much))


def _accepts(entry: Entry, row: Row) -> bool:
    return all(row.get(key) in {None, entry.stated[key]} for key in _QUOTE if key in entry.stated)


def _mistakes(entry: Entry, known: Known) -> Iterator[str]:
    """What in an entry contradicts the known modules, and what in it contradicts itself."""
    stated = entry.stated
    module = known.with_mrseam(stated["mrseam"])
    for key in ("version", "launched_on"):
        if key not in stated:
            continue
        version = ModuleVersion(stated[key])
        named = known.of_version(version)
        if module and module.version != version:
            yield f"{key}: the MRSEAM is that of {module.version}, not of {version}"
        elif named and not module:
            yield f"mrseam: the MRSEAM of {version} is {named.mrseam}"
    yield from _svn_mistakes(stated, "seamsvn", module, svn_columns)
    running = known.of_version(ModuleVersion(stated["running"])) if "running" in stated else None
    yield from _svn_mistakes(stated, "tee_tcb_svn_2", running, svn_2_columns)


def _svn_mistakes(stated: Row, key: str, module: Module | None, columns: Callable[[int], Row]) -> Iterator[str]:
    """Columns that are not those of the module's seamsvn, or where that is not known, not those of the entry's own."""
    svn = module.seamsvn if module else None
    basis = stated.get(key) if svn is None else svn
    if basis is None:
        return
    whose = f"{key} {basis:#x}" if svn is None or module is None else str(module.version)
    for column, value in columns(basis).items():
        if stated.get(column, value) != value:
            yield f"{column}: {stated[column]}, and that of {whose} is {value}"


def _too_much(entry: Entry, known: Known) -> str:
    module = known.with_mrseam(entry.stated["mrseam"])
    if module:
        return f"it accepts {module.version} ({module.origin}), which is not asked for here"
    return "no known module has its MRSEAM"


def _without_repeats(entries: Iterable[Entry]) -> list[Entry]:
    """The entries without those that accept the same as an earlier one."""
    found: dict[tuple[object, ...], Entry] = {}
    for entry in entries:
        found.setdefault(tuple(sorted(entry.stated.items(), key=str)), entry)
    return list(found.values())
