"""Files and folders of TCB Info documents.

A document is a JSON file as Intel's service or a local cache returns it, ``{"tcbInfo": ..., "signature": ...}``; its
issuer chain is in a file of the same name that ends in ``.pem``. The signature is over the text of ``tcbInfo`` byte for
byte, so the text is taken from the file as it is. A document that does not verify is an error, in a folder as well: if
it were passed over, damage to the newest document would bring an older one back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Any

from seamstep.base.documents import Document, json_document, read_bytes, read_regular, unreadable
from seamstep.base.errors import InputError, Problem
from seamstep.base.validation import check
from seamstep.domain.tcb import TcbInfo, TcbLevel, TcbStatus, TcbView, newest
from seamstep.tcb import chain as issuers
from seamstep.tcb.chain import INTEL_ROOT, IssuerChain

WHAT = "TCB Info document"
SIZE_LIMIT = 1 << 20
_VALUES_MAX = 100_000
_FILES_MAX = 1000
TRUSTED = frozenset({INTEL_ROOT})


def view(
    paths: Iterable[str],
    fmspc: str | None,
    as_of: date,
    stale_until: date | None = None,
    evaluation: int | None = None,
) -> TcbView:
    """The newest documents of files and folders, of one FMSPC or of all, and of one evaluation number or of any.

    Raises:
        InputError: as :func:`load`, or no document is for ``fmspc`` or has the number ``evaluation``.
    """
    every = [document for path in paths for document in load(path, as_of)]
    documents = newest(one for one in every if evaluation in {None, one.evaluation})
    if not documents:
        known = ", ".join(str(number) for number in sorted({one.evaluation for one in every}))
        raise InputError(Problem("--tcb-evaluation", f"no TCB Info at hand has this number; there is {known}"))
    chosen = tuple(document for document in documents if fmspc is None or document.fmspc == fmspc.upper())
    if not chosen:
        known = ", ".join(document.fmspc for document in documents)
        raise InputError(Problem("--fmspc", f"no TCB Info at hand is for {fmspc!r}; there is some for {known}"))
    lacking = {one.fmspc for one in every} - {one.fmspc for one in documents} if fmspc is None else ()
    return TcbView(chosen, as_of, stale_until, tuple(sorted(lacking)))


def load(path: str, as_of: date, trusted: frozenset[str] = TRUSTED) -> list[TcbInfo]:
    """The verified documents of a file, or of the files ``*.json`` in a folder.

    Args:
        path: a file or a folder.
        as_of: the day on which the certificates have to be valid.
        trusted: public keys of roots; see :func:`seamstep.tcb.chain.problems`.

    Raises:
        InputError: nothing is there, or a document can't be read or does not verify; lists the problems of all.
    """
    if not os.path.isdir(path):
        return [read(path, as_of, trusted)]
    found: list[TcbInfo] = []
    problems: list[Problem] = []
    for file in _files(path):
        try:
            found.append(read(file, as_of, trusted, found=True))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return found


def _files(folder: str) -> list[str]:
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json"))
    except OSError as error:
        raise unreadable(folder, f"{WHAT}s", error) from None
    if not names:
        raise InputError(Problem(folder, f"no {WHAT} here: expected files that end in .json, each with its .pem"))
    if len(names) > _FILES_MAX:
        raise InputError(Problem(folder, f"{len(names)} files that end in .json; at most {_FILES_MAX} are read"))
    return [os.path.join(folder, name) for name in names]


def read(path: str, as_of: date, trusted: frozenset[str] = TRUSTED, *, found: bool = False) -> TcbInfo:
    """Read and verify a document. ``found`` is whether it was found in a folder rather than named by the user.

    Raises:
        InputError: unreadable, invalid, or not verified; each problem begins with the name of the check.
    """
    content = (read_regular if found else read_bytes)(path, SIZE_LIMIT, WHAT)
    document = json_document(content, path, WHAT, values_max=_VALUES_MAX)
    info = parse(document)
    chain = issuers.read(os.path.splitext(path)[0] + ".pem", found=found)
    problems = [*issuers.problems(chain, as_of, trusted), *_signature_problems(document, content, chain, info)]
    if problems:
        raise InputError(problems)
    return info


def _signature_problems(document: Document, content: bytes, chain: IssuerChain, info: TcbInfo) -> Iterator[Problem]:
    signed = exact_text(content.decode(), "tcbInfo").encode()
    if message := issuers.signature_problem(chain, document.data["signature"], signed):
        yield Problem(document.source, message)
    first, last = issuers.validity(chain.signing)
    if not first <= info.issued <= last:
        yield Problem(document.source, "validity: it was issued when its signing certificate was not valid")


def exact_text(text: str, key: str) -> str:
    """The text of the value of a top-level ``key``, as it stands in a well-formed JSON text."""
    from seamstep.base.positions import Places

    decoder = json.JSONDecoder()
    _, end = decoder.raw_decode(text, Places(text).offset((key,)))
    start = text.index(":", end) + 1
    while text[start] in " \t\r\n":
        start += 1
    _, end = decoder.raw_decode(text, start)
    return text[start:end]


def parse(document: Document) -> TcbInfo:
    """The values of a document, unverified.

    Raises:
        InputError: it breaks the schema, or contradicts itself; lists all problems.
    """
    problems = check(document, "tcb-info")
    if problems:
        raise InputError(problems)
    body = document.inner("tcbInfo")
    issued = body.parsed(("issueDate",), _moment, problems)
    next_update = body.parsed(("nextUpdate",), _moment, problems)
    if issued and next_update and next_update < issued:
        problems.append(body.problem(("nextUpdate",), "is before issueDate"))
    identities = tuple(_identities(body, problems))
    if problems or not issued or not next_update:
        raise InputError(problems)
    data = body.data
    number = data["tcbEvaluationDataNumber"]
    return TcbInfo(document.source, document.sha256, data["fmspc"].upper(), number, issued, next_update, identities)


def _identities(body: Document, problems: list[Problem]) -> Iterator[tuple[str, tuple[TcbLevel, ...]]]:
    seen: set[str] = set()
    for index, identity in enumerate(body.data["tdxModuleIdentities"]):
        path = ("tdxModuleIdentities", index)
        if identity["id"] in seen:
            problems.append(body.problem((*path, "id"), f"{identity['id']} stands twice"))
        seen.add(identity["id"])
        levels = [_level(body, (*path, "tcbLevels", place), problems) for place in range(len(identity["tcbLevels"]))]
        numbers = [level.isvsvn for level in levels]
        if numbers != sorted(set(numbers), reverse=True):
            problems.append(body.problem((*path, "tcbLevels"), "isvsvn does not descend from level to level"))
        yield identity["id"], tuple(levels)


def _level(body: Document, path: tuple[str | int, ...], problems: list[Problem]) -> TcbLevel:
    level: Any = body.data
    for key in path:
        level = level[key]
    moment = body.parsed((*path, "tcbDate"), _moment, problems)
    day = moment.date() if moment else date.min
    advisories = tuple(dict.fromkeys(level.get("advisoryIDs", ())))
    return TcbLevel(level["tcb"]["isvsvn"], day, TcbStatus(level["tcbStatus"]), advisories)


def _moment(text: str) -> datetime:
    """A moment such as 2026-02-18T10:58:51Z."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{text!r} is not a moment such as 2026-02-18T10:58:51Z") from None
