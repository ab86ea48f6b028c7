"""Hosts that are alike are one group, whichever way their facts are read, and their plans do the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import DAY, FACTS, LATEST, host_like
from seamstep.base.errors import InputError
from seamstep.domain import facts
from seamstep.fleet import classes as fleet_classes
from seamstep.fleet.classes import Classes, Host, TooManyGroupsError, alike
from seamstep.image import catalog
from seamstep.plan.class_id import class_id, decisions, differences
from seamstep.planning import planner
from seamstep.policy import policy_file

SPR: dict[str, Any] = json.loads(FACTS.read_text())
CATALOG = catalog.load(str(LATEST))

# -- the pattern and the parser


def written(document: dict[str, Any], form: str) -> bytes:
    """A document on a line, as some program writes it."""
    if form == "sorted":
        return json.dumps(document, sort_keys=True).encode()
    if form == "compact":
        return json.dumps(document, separators=(",", ":")).encode()
    if form == "unescaped":
        return json.dumps(document, ensure_ascii=False).encode()
    if form == "odd":
        return json.dumps(document, separators=(" , ", " : ")).encode()
    return json.dumps(document).encode()


TEXTS = (
    st.none()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.sampled_from(
        ['"', "\\", '","hostname":"x', "null", "{}", "é", "a\u2028b", "\x7f", "hostname", '"hostname": "b"']
    )
)
LABELS = st.dictionaries(
    st.sampled_from(["domain", "hostname", "boot_id", "running_tds", "labels", 'a"b', "é", "{"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    max_size=3,
)
DOCUMENTS = st.fixed_dictionaries(
    {
        "hostname": TEXTS,
        "boot_id": TEXTS,
        "running_tds": st.none() | st.sampled_from([0, 1, 7, 123456789, 10**12]),
        "kernel": st.sampled_from(["7.2.0", "7.3.0", "é", 'k"', '"hostname": "x"', None]),
        "unknown": st.dictionaries(
            st.sampled_from(["hostname", "boot_id", "running_tds", "labels", "kernel"]),
            st.sampled_from(["missing", "null", '"hostname": "x"']),
            max_size=2,
        ),
    },
    optional={"labels": LABELS},
)


def as_document(changes: dict[str, Any], order: str) -> dict[str, Any]:
    """A facts document with the keys in some order."""
    document = SPR | changes
    if order == "labels first":
        return {"labels": {}} | changes | document
    if order == "turned round":
        return dict(reversed(document.items()))
    if order == "without the number of TDs":
        return {key: value for key, value in document.items() if key != "running_tds"}
    return document


ORDERS = ["as written", "labels first", "turned round", "without the number of TDs"]


@given(
    st.lists(st.tuples(DOCUMENTS, st.sampled_from(ORDERS)), min_size=1, max_size=4),
    st.lists(st.sampled_from(["sorted", "compact", "unescaped", "odd", "plain"]), min_size=1, max_size=3),
)
def test_both_ways_to_read_a_line_give_the_same(documents: list[tuple[dict[str, Any], str]], forms: list[str]) -> None:
    """Each line is read twice, so that the pattern has learnt from it, and is compared with what parsing alone says."""
    read, parsed = Classes(), Classes()
    pairs: dict[int, int] = {}
    lines = [written(as_document(changes, order), form) for changes, order in documents for form in forms]
    for line in lines * 2:
        host = read.of_line(line, "x", 1)
        other = parsed.of_text(line.decode(), "x")
        assert host is not None
        assert host[:4] == other[:4]
        assert read.facts[host.group] == parsed.facts[other.group]
        assert pairs.setdefault(host.group, other.group) == other.group, "groups are the same partition"
    assert len(set(pairs.values())) == len(pairs)
    for line in lines:
        host = read.of_line(line, "x", 1)
        assert host is not None
        assert read.facts[host.group] == alike(facts.read(document_in(line)))


def reordered(first: str, **changes: Any) -> dict[str, Any]:
    """A facts document that begins with the key ``first``."""
    document = SPR | changes
    return {first: document[first]} | document


#: Documents that follow each other, of which the later ones have the text of the first but where it matters.
SEQUENCES = {
    "TDs come and go": [SPR, SPR | {"running_tds": 0}, SPR | {"running_tds": None}, SPR | {"running_tds": 9}],
    "a name inside of what comes before the name": [
        reordered("unknown", unknown={"hostname": "host-a"}),
        reordered("unknown", unknown={"hostname": "other"}),
    ],
    "another name inside of what comes before the name": [
        reordered("unknown", unknown={"hostname": "other"}),
        reordered("unknown", unknown={"hostname": "host-a"}),
    ],
    "a boot inside of what comes before the boot": [
        reordered("unknown", unknown={"boot_id": SPR["boot_id"]}),
        reordered("unknown", unknown={"boot_id": "other"}),
    ],
    "names among the labels, which come first": [
        reordered("labels", labels={"hostname": "host-a"}),
        reordered("labels", labels={"hostname": "other"}),
    ],
    "no labels, then some": [SPR, SPR | {"labels": {"domain": "r1"}}, SPR | {"labels": {}}, SPR | {"labels": None}],
    "a number of TDs among the reasons": [
        SPR | {"running_tds": None, "unknown": {"running_tds": "missing: x"}},
        SPR | {"running_tds": None, "unknown": {"running_tds": "missing: y"}},
    ],
    "a name of none": [SPR, SPR | {"hostname": None}, SPR | {"hostname": "null"}, SPR | {"hostname": ""}],
}


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("form", ["plain", "compact", "sorted", "odd"])
def test_what_was_learnt_from_one_line_is_true_of_the_next(name: str, form: str) -> None:
    """Every line of a sequence comes after every other, as often as the pattern needs to learn."""
    lines = [written(document, form) for document in SEQUENCES[name]]
    read, parsed = Classes(), Classes()
    for first in lines:
        for line in [first] * 3 + lines * 2:
            host, other = read.of_line(line, "x", 1), parsed.of_text(line.decode(), "x")
            assert host is not None
            assert host[:4] == other[:4]
            assert read.facts[host.group] == parsed.facts[other.group]


def document_in(line: bytes) -> Any:
    from seamstep.base.documents import Document

    data = {key: value for key, value in json.loads(line).items() if key != "labels"}
    return Document("x", data, "", lambda _path: None)


PLAIN = json.dumps(SPR | {"labels": {"domain": "rack1"}})
#: What follows a good line of the same form, and has to be refused.
HOSTILE: dict[str, str | bytes] = {
    "a key twice": PLAIN[:-1] + ', "hostname": "b"}',
    "a label twice": PLAIN.replace('{"domain": "rack1"}', '{"domain": "rack1", "domain": "rack2"}'),
    "a label that is a number": PLAIN.replace('"rack1"', "7"),
    "a label that is a list": PLAIN.replace('"rack1"', '["rack1"]'),
    "labels that are none": PLAIN.replace('{"domain": "rack1"}', '"rack1"'),
    "a name that is a number": PLAIN.replace('"host-a"', "7"),
    "a name with a line break": PLAIN.replace("host-a", "host\ta"),
    "a number of TDs with a zero before it": PLAIN.replace('"running_tds": 3', '"running_tds": 03'),
    "a negative number of TDs": PLAIN.replace('"running_tds": 3', '"running_tds": -3'),
    "a number of TDs that is true": PLAIN.replace('"running_tds": 3', '"running_tds": true'),
    "the end is missing": PLAIN[:-1],
    "something after the end": PLAIN + "{}",
    "an unknown key": PLAIN[:-1] + ', "more": 1}',
    "too deep": PLAIN[:-1] + ', "more": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "NaN": PLAIN.replace('"remaining_updates": 5', '"remaining_updates": NaN'),
    "a name that is not UTF-8": PLAIN.encode().replace(b"host-a", b"host\xff"),
    "half a surrogate pair": PLAIN.replace("host-a", "\\ud800"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_line_that_is_wrong_is_refused_after_one_that_is_right(name: str) -> None:
    line = HOSTILE[name]
    classes = Classes()
    for _ in range(2):
        assert classes.of_line(PLAIN.encode(), "x", 1)
        with pytest.raises(InputError) as error:
            classes.of_line(line if isinstance(line, bytes) else line.encode(), "x", 7)
        assert {problem.line for problem in error.value.problems} == {7}
    assert len(classes.facts) == 1


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"hostname": "b", "boot_id": "c", "labels": {"domain": "z"}, "running_tds": 59}, 1),
        ({"unknown": {"hostname": "missing", "boot_id": "missing"}}, 1),
        ({"running_tds": 0}, 2),
        ({"running_tds": None}, 2),
        ({"kernel": "7.3"}, 2),
        ({"remaining_updates": 4}, 2),
        ({"simulated": False}, 2),
        ({"unknown": {"kernel": "missing"}}, 2),
        ({"cpu_signatures": ["0x000806f8"]}, 1),
    ],
)
def test_what_makes_a_group(changes: dict[str, Any], number: int) -> None:
    classes = Classes()
    for document in (SPR, SPR | changes):
        classes.of_line(json.dumps(document).encode(), "x", 1)
    assert len(classes.facts) == number


def test_many_lines_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[object] = []
    whole = Classes._parsed

    def counted(self: Classes, *arguments: Any) -> tuple[Host, dict[str, Any]]:
        parsed.append(arguments)
        return whole(self, *arguments)

    monkeypatch.setattr(Classes, "_parsed", counted)
    for form in ("plain", "compact", "sorted"):
        classes = Classes()
        for number in range(100):
            document = SPR | {"hostname": f"n{number}", "boot_id": str(number), "running_tds": number + 1}
            if number % 2:
                document["labels"] = {"domain": str(number)}
            classes.of_line(written(document, form), "x", number)
        assert len(classes.facts) == 1
        assert len(parsed) <= 4, "one line for each order of keys, and one to learn each"
        parsed.clear()


def test_there_is_a_bound_of_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_classes, "GROUPS_MAX", 3)
    classes = Classes()

    def add() -> None:
        for number in range(4):
            classes.of_line(json.dumps(SPR | {"kernel": str(number)}).encode(), "x", 1)

    with pytest.raises(TooManyGroupsError, match=r"more than 3 kinds of hosts.*kernel 3"):
        add()


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_classes, "_REMEMBERED_MAX", 2)
    classes = Classes()
    for number in range(50):
        host = classes.of_line(json.dumps(SPR | {"labels": {"domain": str(number)}}).encode(), "x", 1)
        assert host
        assert json.loads(host.labels) == {"domain": str(number)}
    assert len(classes.facts) == 1


# -- the class of a plan


def plans(policy: str, changes: dict[str, Any], tds: tuple[int | None, ...]) -> Iterator[dict[str, Any]]:
    """The plan documents of hosts that differ by name, boot and number of TDs."""
    chosen = policy_file.load(policy, DAY)
    spr = facts.load(str(FACTS))
    for number, count in enumerate(tds):
        host = host_like(spr, **changes)._replace(hostname=f"n{number}", boot_id=str(number), running_tds=count)
        plan = planner.make_plan(CATALOG.mapping, CATALOG.releases, host, chosen, as_of=DAY, without_images=True)
        yield dict(plan.document)


@pytest.mark.parametrize("policy", ["fewest-hops", "shortest-path", "cautious"])
@pytest.mark.parametrize("module", ["1.5.06", "1.5.16", "1.5.24", "1.5.34", "1.5.99", "2.0.08"])
@pytest.mark.parametrize("changes", [{}, {"remaining_updates": 1}, {"cpus_online": "0-1"}, {"seamldr": "1.5.00"}])
def test_hosts_of_a_group_have_plans_of_one_class(policy: str, module: str, changes: dict[str, Any]) -> None:
    like = {"module": module} | changes
    for tds in ((0,), (1, 2, 5000), (None,)):
        found = [document["class_id"] for document in plans(policy, like, tds)]
        for document in plans(policy, like, tds):
            assert document["class_id"] == class_id(document)
        host = alike(host_like(facts.load(str(FACTS)), **like)._replace(running_tds=tds[0]))
        plan = planner.make_plan(
            CATALOG.mapping, CATALOG.releases, host, policy_file.load(policy, DAY), as_of=DAY, without_images=True
        )
        assert {*found, plan.class_id} == {plan.class_id}


def test_the_number_of_tds_counts_only_where_the_plan_rests_on_it() -> None:
    """From 1.5.06 no release lists the source; from 1.5.24 the newest does."""
    safe = {document["class_id"] for document in plans("fewest-hops", {"module": "1.5.24"}, (0, 1, 9, None))}
    assert len(safe) == 1
    resting = [document["class_id"] for document in plans("fewest-hops", {"module": "1.5.06"}, (0, 1, 9, None))]
    assert resting[0] != resting[1] == resting[2] != resting[3]


def test_a_class_leaves_out_days_paths_and_sentences() -> None:
    (document,) = plans("fewest-hops", {"module": "1.5.24"}, (3,))
    other = json.loads(json.dumps(document))
    other["as_of"] = "2027-01-01"
    other["mapping"]["path"] = "/elsewhere"
    other["policy"]["layers"][0]["path"] = "/elsewhere"
    other["reason"] = other["hops"][0]["td_creation"]["reason"] = "other words"
    for verdict in other["hops"][0]["verdicts"]:
        verdict["reason"], verdict["evidence"] = "other words", {}
    assert decisions(other) == decisions(document)
    assert differences(document, other) == []


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("outcome",), "no-path", "outcome was update, is no-path"),
        (("valid_until",), "2027-01-01", "valid_until was nothing, is 2027-01-01"),
        (("hops", 0, "to"), "1.5.28", "hops[0].to was 1.5.34, is 1.5.28"),
        (("hops", 0, "verdicts", 0, "outcome"), "unknown", "hops[0].verdicts[0].outcome was pass, is unknown"),
        (("host", "kernel"), "9" * 90, f"host.kernel was 7.2.0, is {'9' * 59}…"),
        (("hops",), [], "hops was ["),
        (("mapping", "sha256"), "00" * 32, "mapping.sha256 was "),
        (("policy", "sha256"), "00" * 32, "policy.sha256 was "),
        (("apply",), {"soak": 5}, "apply.soak was nothing, is 5"),
        (("td_creation",), "held", "td_creation was nothing, is held"),
        (("host", "remaining_updates"), 4, "host.remaining_updates was 5, is 4"),
    ],
)
def test_every_decision_counts(place: tuple[Any, ...], value: Any, told: str) -> None:
    (document,) = plans("fewest-hops", {"module": "1.5.24"}, (3,))
    other = json.loads(json.dumps(document))
    inner = other
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    assert class_id(other) != class_id(document)
    assert any(told in one for one in differences(document, other))
