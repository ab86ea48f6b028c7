"""Groups of hosts whose facts are alike but for name, boot, labels and the number of TDs.

Each group is validated once. Of the number of TDs only none, some or unknown matters to a plan, so a group has one of
the three. A line that the strict pattern of ``cutting`` fits is looked up by the text around its parts; the first such
line, and every line that the pattern does not fit, is parsed. Both ways lead to the same group.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from seamstep.base.documents import Document, canonical, decode, parse_json
from seamstep.base.errors import ExitCode, InputError, KeyPath, Problem, SeamstepError
from seamstep.base.positions import Places
from seamstep.domain.facts import SIZE_LIMIT, WHAT, HostFacts, read
from seamstep.fleet.cutting import Cut, Cutter, cutter_for
from seamstep.plan.class_id import OWN_FACTS

#: The most groups of a fleet.
GROUPS_MAX = 50_000
#: The most texts that are remembered, of each kind, beyond what there are groups.
_REMEMBERED_MAX = 100_000
_ORDERS_MAX = 4
_PARSE = -1
_NULL = b"null"
#: The text of a line around its parts, with 1 for any number of TDs.
_Text = tuple[tuple[bytes, ...], int | None]
NO_LABELS = b"{}"


class Host(NamedTuple):
    """One host of an inventory.

    Attributes:
        name: its name as JSON text; ``null`` where the facts have none.
        boot_id: the boot as JSON text.
        labels: its labels as a JSON object of texts with sorted keys.
        tds: the number of TDs, None if it is not known.
        group: the number of its group.
        source: the file.
        line: the line in a file of lines.
    """

    name: bytes
    boot_id: bytes
    labels: bytes
    tds: int | None
    group: int
    source: str
    line: int | None

    @property
    def place(self) -> str:
        """File and line."""
        return self.source if self.line is None else f"{self.source}:{self.line}"

    def problem(self, message: str) -> Problem:
        """A mistake in this host's facts."""
        return Problem(self.source, message, line=self.line, column=None if self.line is None else 1)


_new_host = tuple.__new__  # half the time of the named tuple's own constructor, which counts for a million


class Classes:
    """The groups found so far.

    Attributes:
        facts: the facts of each group, by its number: without name and boot, and with 1 for any number of TDs.
    """

    def __init__(self) -> None:
        self.facts: list[HostFacts] = []
        self._by_facts: dict[bytes, int] = {}
        self._by_document: dict[tuple[bytes, str], int] = {}
        self._by_text: dict[_Text, int] = {}
        self._labels: dict[bytes, bytes] = {b"": NO_LABELS}
        self._cutters: list[Cutter] = []

    def of_line(self, line: bytes, source: str, number: int) -> Host | None:
        """The host in a line; None for an empty line.

        Raises:
            InputError: the line is no facts document.
            TooManyGroupsError: it would be one group too many.
        """
        if len(line) > SIZE_LIMIT:
            raise InputError(too_long(source, number))
        for cutter in self._cutters:
            cut = cutter.cut(line)
            if cut is not None:
                around, name, boot, digits, labels = cut
                tds = None if digits == _NULL else int(digits)
                key = (around, tds and 1)
                group = self._by_text.get(key)
                if group is None:
                    group = self._learnt(cutter, cut, key, line)
                if group == _PARSE:
                    break
                known = self._labels.get(labels)
                if known is None:
                    known = self._labels_in(labels, source, number)
                return _new_host(Host, (name, boot, known, tds, group, source, number))
        if not line.strip():
            return None
        try:
            host, data = self._parsed(decode(line, source), source, number)
        except InputError as error:
            raise _moved(error, number) from None
        cutter_ = cutter_for(data)
        if cutter_ and all(known.order != cutter_.order for known in self._cutters):
            self._cutters = [cutter_, *self._cutters[: _ORDERS_MAX - 1]]
        return host

    def of_text(self, text: str, source: str) -> Host:
        """The host in a document that is a file of its own. Raises as :meth:`of_line`."""
        return self._parsed(text, source, None)[0]

    def of_data(self, data: dict[str, Any], source: str, text: str = "") -> tuple[int, int | None]:
        """The group of a parsed facts document without labels, and its number of TDs. Raises as :meth:`of_line`."""
        amount, tds = _amount(data), data.get("running_tds")
        key = (canonical({key: value for key, value in data.items() if key not in OWN_FACTS}), amount)
        own = all(isinstance(data.get(name), str | None) for name in ("hostname", "boot_id"))
        group = self._by_document.get(key) if own and amount else None
        if group is None:
            facts = read(Document(source, data, "", lambda path: _place(text, path) if text else None))
            tds = facts.running_tds
            group = self._of_facts(alike(facts))
            if amount:
                _remember(self._by_document, key, group)
        return group, tds

    def _parsed(self, text: str, source: str, line: int | None) -> tuple[Host, dict[str, Any]]:
        """The host in a text, and what was parsed."""
        data = parse_json(text, source)
        if not isinstance(data, dict):
            raise InputError(Problem(source, f"expected a {WHAT}: a JSON object"))
        labels = labels_text(data["labels"], source) if "labels" in data else NO_LABELS
        facts = {key: value for key, value in data.items() if key != "labels"}
        group, tds = self.of_data(facts, source, text)
        name, boot = _json(data.get("hostname")), _json(data.get("boot_id"))
        return Host(name, boot, labels, tds, group, source, line), data

    def _learnt(self, cutter: Cutter, cut: Cut, key: _Text, line: bytes) -> int:
        """The group of lines with the same text around their parts, found by parsing one of them; _PARSE if each has to
        be parsed."""
        group = _PARSE
        try:
            host, data = self._parsed(line.decode("ascii"), "", None)
            around, *parts, labels = cut
            found = [json.loads(part) for part in parts]
            same = [data["hostname"], data["boot_id"], data["running_tds"]] == found
            if same and ("labels" in data) == bool(labels) and cutter.on_top(around):
                group = host.group
        except InputError:
            return _PARSE  # not remembered: the labels alone may be wrong
        _remember(self._by_text, key, group)
        return group

    def _labels_in(self, text: bytes, source: str, line: int) -> bytes:
        try:
            labels = labels_text(parse_json(text.decode("ascii"), source), source)
        except InputError as error:
            raise _moved(error, line) from None
        _remember(self._labels, text, labels)
        return labels

    def _of_facts(self, facts: HostFacts) -> int:
        key = canonical(facts.to_document())
        group = self._by_facts.get(key)
        if group is None:
            if len(self.facts) >= GROUPS_MAX:
                raise TooManyGroupsError(_too_many(self.facts))
            group = self._by_facts[key] = len(self.facts)
            self.facts.append(facts)
        return group


class TooManyGroupsError(SeamstepError):
    """A fleet has more groups than can be planned. No mistake of one line, so that no reader of lines goes on."""

    exit_code = ExitCode.INVALID


def alike(facts: HostFacts) -> HostFacts:
    """The facts of a host as its group has them: without name and boot, and with 1 for any number of TDs."""
    unknown = {fact: reason for fact, reason in facts.unknown.items() if fact not in {"hostname", "boot_id"}}
    tds = facts.running_tds and 1
    return facts._replace(hostname=None, boot_id=None, running_tds=tds, unknown=unknown)


def labels_text(labels: object, source: str) -> bytes:
    """Labels as JSON text with sorted keys. Raises InputError if they are not texts by name."""
    if labels is None:
        return NO_LABELS
    if not isinstance(labels, dict):
        raise InputError(Problem(source, 'expected an object of texts, such as {"domain": "rack7"}', ("labels",)))
    wrong = [
        Problem(source, "a label is a text", ("labels", key)) for key in labels if not isinstance(labels[key], str)
    ]
    if wrong:
        raise InputError(wrong)
    return json.dumps(labels, sort_keys=True).encode("ascii")


def too_long(source: str, line: int) -> Problem:
    """The mistake of a line that is longer than any facts document."""
    return Problem(source, f"too large for a {WHAT}: more than {SIZE_LIMIT} bytes", line=line, column=1)


def _remember(memory: dict[Any, Any], key: Any, value: Any) -> None:
    """Keep what a text stands for. A memory that grows without end is begun anew."""
    if len(memory) >= _REMEMBERED_MAX:
        memory.clear()
    memory[key] = value


def _amount(data: dict[str, Any]) -> str:
    """How many TDs there are, in a word; empty for what is no number of TDs."""
    if "running_tds" not in data:
        return "missing"
    tds = data["running_tds"]
    if tds is None:
        return "unknown"
    if type(tds) is not int or tds < 0:
        return ""
    return "some" if tds else "none"


def _json(value: object) -> bytes:
    return json.dumps(value).encode("ascii")


def _moved(error: InputError, number: int) -> InputError:
    """A mistake in a line as the reader of the whole file sees it."""
    return InputError(
        [one._replace(line=(one.line or 1) + number - 1, column=one.column or 1) for one in error.problems]
    )


def _place(text: str, path: KeyPath) -> tuple[int, int] | None:
    places = Places(text)
    return places.line_and_column(places.offset(path))


def _too_many(facts: Iterable[HostFacts]) -> str:
    """More groups than can be planned, with the facts that have the most values."""
    values: dict[str, set[str]] = {}
    for one in facts:
        for fact, value in one.to_document().items():
            values.setdefault(fact, set()).add(str(value))
    most = Counter({fact: len(found) for fact, found in values.items()}).most_common(2)
    told = ", ".join(f"{fact} {count:,}" for fact, count in most)
    return f"the inventory has more than {GROUPS_MAX:,} kinds of hosts; the facts with the most values: {told}"
