"""Reading the allow-list of a verifier: JSON or CSV as ``seamstep measurements`` writes them, or MRSEAMs line by line.

CSV may lack columns; what it lacks is left open. A line with an MRSEAM only may end in a comment, after ``#``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from seamstep.base.documents import Document, decode, read_bytes, read_json
from seamstep.base.errors import PROBLEMS_MAX, InputError, KeyPath, Problem
from seamstep.base.validation import check, did_you_mean, shown
from seamstep.base.versions import ModuleVersion
from seamstep.plan.allow_list import Entry
from seamstep.plan.measurements import COLUMNS, PHASE_COLUMNS, PHASE_TCB_COLUMNS, Row

_SIZE_LIMIT = 4 << 20
_WHAT = "list of measurements"
_STAGES = ("before", "during", "after", "settled")
_MRSEAM = re.compile(r"[0-9A-Fa-f]{96}", re.ASCII)
_KNOWN = dict.fromkeys([*COLUMNS, *PHASE_COLUMNS, *PHASE_TCB_COLUMNS])
_NUMBERS = {"seamsvn", "svn_minor", "svn_major", "tee_tcb_svn_2", "svn_2_minor", "svn_2_major"}
_LISTS = {"platforms", "advisories", "advisories_2"}
#: Columns about the image and of TCB Info, which no quote shows.
_UNSEEN = {"build_date", "debug", "platforms", "sha256", "signature", "tcb", "tcb_2", *PHASE_TCB_COLUMNS}
_VERSIONS = ("version", "launched_on", "running")


def load(path: str) -> list[Entry]:
    """The entries of an allow-list; rows without an MRSEAM accept nothing and are left out.

    Raises:
        InputError: the file is unreadable, or in none of the forms; lists all problems.
    """
    text = decode(read_bytes(path, _SIZE_LIMIT, _WHAT), path)
    if text.lstrip()[:1] == "{":
        return list(_entries(read_json(path, _SIZE_LIMIT, _WHAT)))
    header = next((line for line in text.splitlines() if line.strip()), "")
    if set(header.split(",")) & _KNOWN.keys():
        return list(_entries(_from_csv(text, path)))
    return _from_lines(text, path)


def _entries(document: Document) -> Iterator[Entry]:
    """The entries of a document of measurements. Raises InputError if it breaks its schema."""
    problems = check(document, "measurements")
    if problems:
        raise InputError(problems)
    keys = [key for key in ("releases", *_STAGES) if key in document.data]
    if not keys:
        message = f"has neither 'releases' nor the stages of a plan ({', '.join(_STAGES)})"
        raise InputError(document.problem((), message))
    for key in keys:
        for index, row in enumerate(document.data[key]):
            if row["mrseam"]:
                place = document.locate((key, index))
                yield Entry(_stated(row), key if key in _STAGES else None, place[0] if place else None)


def _stated(row: Row) -> Row:
    """The values of a row that a quote shows, versions and digests in the form in which they are compared."""
    stated = {key: value for key, value in row.items() if value is not None and key not in _UNSEEN}
    stated["mrseam"] = stated["mrseam"].lower()
    return stated | {key: str(ModuleVersion(stated[key])) for key in _VERSIONS if key in stated}


def _from_csv(text: str, path: str) -> Document:
    """A table as a document of measurements; rows without a stage are its ``releases``."""
    rows = csv.reader(io.StringIO(text), strict=True)
    data: dict[str, Any] = {"schema": "seamstep/measurements/v1"}
    lines: dict[KeyPath, int] = {}
    problems: list[Problem] = []
    try:
        header = next(row for row in rows if row)
        problems += _header_problems(header, path, rows.line_num)
        for cells in () if problems else rows:
            if not cells:
                continue
            if len(cells) != len(header):
                message = f"{len(cells)} values for {len(header)} columns"
                problems.append(Problem(path, message, line=rows.line_num, column=1))
            row = {name: _value(name, cell) for name, cell in zip(header, cells, strict=False)}
            stage = row.pop("phase", None)
            if stage not in {None, *_STAGES}:
                message = f"{shown(stage)} is not {', '.join(_STAGES[:-1])} or {_STAGES[-1]}"
                problems.append(Problem(path, message, ("phase",), rows.line_num, 1))
            listed = data.setdefault(stage or "releases", [])
            lines[stage or "releases", len(listed)] = rows.line_num
            listed.append({"version": None} | row)
    except csv.Error as error:
        problems.append(Problem(path, f"not CSV: {error}", line=rows.line_num or 1, column=1))
    if problems:
        raise InputError(problems)
    return Document(path, data, "", lambda place: (lines[place[:2]], 1) if place[:2] in lines else None)


def _header_problems(header: list[str], path: str, line: int) -> Iterator[Problem]:
    for name in header:
        if name not in _KNOWN:
            yield Problem(path, f"unknown column {shown(name)}{did_you_mean(name, _KNOWN)}", line=line, column=1)
    if len(set(header)) != len(header):
        yield Problem(path, "a column stands twice", line=line, column=1)
    if "mrseam" not in header:
        yield Problem(path, "the column 'mrseam' is missing", line=line, column=1)


def _value(column: str, cell: str) -> Any:
    """The value of a cell as JSON has it; a cell of another form stays text, and the schema check reports it."""
    if not cell:
        return None
    if column in _NUMBERS and re.fullmatch(r"[0-9]{1,9}|0x[0-9A-Fa-f]{1,8}", cell, re.ASCII):
        return int(cell, 0 if cell.startswith("0x") else 10)
    if column == "debug":
        return {"True": True, "False": False}.get(cell, cell)
    return cell.split("; ") if column in _LISTS else cell


def _from_lines(text: str, path: str) -> list[Entry]:
    entries: list[Entry] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), start=1):
        word = line.partition("#")[0].strip()
        if _MRSEAM.fullmatch(word):
            entries.append(Entry({"mrseam": word.lower()}, line=number))
        elif word and len(problems) <= PROBLEMS_MAX:
            message = f"{shown(word)} is not an MRSEAM of 96 hex digits, and the file is not what measurements writes"
            problems.append(Problem(path, message, line=number, column=1))
    if not entries and not problems:
        problems.append(Problem(path, "lists nothing; expected JSON or CSV of measurements, or a line for each MRSEAM"))
    if problems:
        raise InputError(problems)
    return entries
