"""The readers of untrusted documents, each as a function that takes any bytes.

A reader may refuse with one of our own errors. Any other exception, an error without a problem, text that can't be
printed, or a broken promise (an assertion below) is a mistake in seamstep. The seeds are the files of the accept and
refuse cases, and documents made here where there are none.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from fleet_plans import fleet_class, fleet_host, write_fleet

from seamstep.analysis import policy_warnings, scenario_file, scenarios
from seamstep.analysis.lint import run as linter
from seamstep.analysis.lint import settings as lint_settings
from seamstep.analysis.lint.codes import CODES
from seamstep.base import resources
from seamstep.base.documents import Document, json_document
from seamstep.base.errors import InputError, SeamstepError
from seamstep.base.versions import ModuleVersion
from seamstep.cli import main
from seamstep.cli.output import to_json
from seamstep.demo.synthetic import Signer, synthetic_image
from seamstep.domain import facts, mapping
from seamstep.domain.facts import HostFacts
from seamstep.domain.mapping import MappingFile
from seamstep.fleet import inventory, labels, plan_folder, reports, rollout_file, waves
from seamstep.fleet.classes import Classes
from seamstep.fleet.findings import Findings
from seamstep.fleet.settings import Rollout
from seamstep.image import files, layout, sigstruct, verify
from seamstep.image.layout import MODULE_OFFSET, SIGSTRUCT_SIZE, SIZE_MAX
from seamstep.plan import document as plan_document
from seamstep.planning import planner
from seamstep.policy import policy_file
from seamstep.policy.effective import effective
from seamstep.policy.layers import Layer, merge
from seamstep.policy.policy import Policy
from seamstep.run import hold, past_runs, recovery
from seamstep.run import status as run_status
from seamstep.run.executor import ReadBack
from seamstep.run.journal import NAME, Journal, RecordedHost, open_folder
from seamstep.run.journal import read as read_journal
from seamstep.service import configuration, old_settings
from seamstep.show.effective import effective_text
from seamstep.show.findings import Linted, findings_document, findings_text
from seamstep.show.scenarios import results_text
from seamstep.show.screen import plan_screen
from seamstep.show.status import history_text, status_text
from seamstep.show.text import facts_text, plan_text, printable
from seamstep.tcb import chain as issuer_chain
from seamstep.tcb import files as tcb_files

TESTS = Path(__file__).parents[1]
DAY = date(2026, 11, 23)
NOBODY: frozenset[str] = frozenset()
FACTS = TESTS / "data" / "facts-spr.json"
_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz-")


class Reader(NamedTuple):
    """A reader of untrusted bytes.

    Attributes:
        read: reads them; raises nothing but what it should.
        seeds: bytes to begin with.
        text: how the documents are written, for mutations of their values: json, yaml, lines (of JSON); empty for none.
        length: the most bytes of an input.
    """

    read: Callable[[bytes], bool]
    seeds: Callable[[], Iterator[bytes]]
    text: str
    length: int = 1 << 14


def _file(content: bytes, name: str) -> str:
    path = Path(_FOLDER.name, name)
    path.write_bytes(content)
    return str(path)


def _refusal(error: SeamstepError) -> None:
    """What every error of ours is good for: a line for people, a document for programs."""
    printable(error).encode()
    if isinstance(error, InputError):
        assert error.problems
        to_json([problem.to_document() for problem in error.problems]).encode()


def _accepted(read: Callable[[], object]) -> bool:
    """Whether our own errors don't refuse it."""
    try:
        read()
    except SeamstepError as error:
        _refusal(error)
        return False
    return True


@functools.cache
def _good() -> tuple[MappingFile, HostFacts, Policy]:
    """A mapping file, facts and a policy that a document of another kind is planned with."""
    return mapping.load(resources.demo_mapping()), facts.load(str(FACTS)), policy_file.load("fewest-hops", DAY)


def _planned(file: MappingFile, host: HostFacts, policy: Policy) -> None:
    """Plan with what was read. A plan that was made can be shown, written, and read again."""
    if host.module_version is None:
        return
    try:
        made = planner.make_plan(file, file.releases, host, policy, as_of=DAY, without_images=True)
    except SeamstepError as error:
        _refusal(error)
        return
    plan_text(made.document).encode()
    path = _file(to_json(made.document).encode(), "made.json")
    try:
        assert plan_document.load(path).id == made.id
    except InputError as error:
        raise AssertionError(f"a plan that was made is refused: {error}") from None


# -- images


def read_image(data: bytes) -> bool:
    """Whether the bytes have the structure of an image. None is accepted, since nobody is trusted."""
    content = memoryview(data)
    found = verify.joined(content, NOBODY)
    assert tuple(check.name for check in found) == tuple(verify.CHECKS)
    assert not all(check.ok for check in found), "nobody is trusted, and yet it passes"
    assert all(check.message for check in found if not check.ok)
    structure = layout.of(content)
    verify.separate(content[:SIGSTRUCT_SIZE], content[SIGSTRUCT_SIZE:], NOBODY)
    if not structure.sound:
        assert not _accepted(lambda: files.repack("x", content, None, "2.0")), "an unsound image was repacked"
        return False
    assert len(data) <= SIZE_MAX
    assert len(data) == MODULE_OFFSET + len(structure.module)
    assert len(structure.sigstruct) == SIGSTRUCT_SIZE
    assert len(sigstruct.parse(bytes(structure.sigstruct)).cpuid) <= sigstruct.CPUID_TABLE_MAX
    for form in ("2.0", "1.0"):
        again = layout.of(memoryview(files.repack("x", content, None, form)))
        assert again.sound
        assert (again.sigstruct, again.module) == (structure.sigstruct, structure.module)
    return True


def image_seeds() -> Iterator[bytes]:
    yield from (path.read_bytes() for path in sorted((TESTS / "fuzz" / "corpus" / "image").iterdir()))
    yield synthetic_image(ModuleVersion("1.5.24"), Signer())


# -- mapping files, facts, lists of facts


def read_mapping(data: bytes) -> bool:
    """Whether it is a mapping file. The linter, which reads it in its own way, finds a reason for each refusal."""
    path = _file(data, "mapping_file.json")
    accepted = _accepted(lambda: mapping.load(path))
    if accepted:
        _planned(mapping.load(path), *_good()[1:])
    try:
        found = linter.lint(linter.Target(path))
    except SeamstepError as error:
        _refusal(error)
        assert not accepted, f"accepted, and refused by the linter: {error}"
        return False
    assert accepted or found, "refused, and nothing to find"
    results = lint_settings.judge(found, lint_settings.Settings(), DAY, Counter())
    linted = Linted((linter.Target(path),), tuple(results), (), (), None)
    findings_text(linted).encode()
    to_json(findings_document(linted)).encode()
    return accepted


def read_facts(data: bytes) -> bool:
    """Whether it is a facts document. What was read is written such that it reads the same again."""
    path = _file(data, "facts.json")

    def read() -> None:
        host = facts.load(path)
        facts_text(host).encode()
        to_json(host.to_document()).encode()
        assert facts.read(Document("again", host.to_document(), "", lambda _: None)) == host
        assert not host.differences(host)
        _planned(_good()[0], host, _good()[2])

    return _accepted(read)


def read_inventory(data: bytes) -> bool:
    """Whether it is a list of facts, one document a line. A line that was cut by a pattern has the group that it has
    when it is parsed."""
    path = _file(data, "hosts.jsonl")
    findings, classes = Findings(), Classes()

    def read() -> None:
        for host in inventory.hosts([path], classes, findings, lambda _read: None):
            line = data if host.line is None else data.split(b"\n")[host.line - 1]
            parsed = classes.of_text(line.decode(), "again")
            assert parsed._replace(source=path, line=host.line) == host
        findings.require_none()

    return _accepted(read)


def read_labels(data: bytes) -> bool:
    """Whether it is a list of labels, as JSON Lines and as CSV."""
    found = []
    for name in ("labels.jsonl", "labels.csv"):
        findings, path = Findings(), _file(data, name)

        def read(path: str = path, findings: Findings = findings) -> None:
            labels.load(path, findings)
            findings.require_none()

        found.append(_accepted(read))
    return any(found)


def cases(kind: str) -> Callable[[], Iterator[bytes]]:
    """The accept and refuse cases of a kind of document."""

    def seeds() -> Iterator[bytes]:
        for path in sorted(TESTS.glob(f"cases/*/{kind}/*")):
            if path.suffix != ".expected" and path.stat().st_size <= 1 << 16:
                yield path.read_bytes()

    return seeds


def mapping_seeds() -> Iterator[bytes]:
    yield from cases("mapping")()
    yield from (path.read_bytes() for path in sorted(TESTS.glob("cases/lint/*/*.json")))
    yield Path(resources.demo_mapping()).read_bytes()


def facts_seeds() -> Iterator[bytes]:
    yield from cases("facts")()
    yield FACTS.read_bytes()


def inventory_seeds() -> Iterator[bytes]:
    host = json.loads(FACTS.read_text())
    yield b"".join(json.dumps(host | {"hostname": name}).encode() + b"\n" for name in ("a", "b", "c"))
    yield json.dumps(host).encode() + b"\n\n" + json.dumps(host | {"running_tds": 0}).encode()
    yield from cases("facts")()


def labels_seeds() -> Iterator[bytes]:
    yield b'{"host": "a", "labels": {"domain": "rack7"}}\n\n{"host": "b", "labels": {}}\n'
    yield b'host,domain,row\na,rack7,1\n"b",,"2,5"\n'


# -- plans


def read_plan(data: bytes) -> bool:
    """Whether it is a plan, as it is or with the digest that it should have: else no mutation gets past the digest."""
    return _is_plan(data) | _is_plan(_sealed(data))


def _is_plan(data: bytes) -> bool:
    path = _file(data, "plan.json")

    def read() -> None:
        plan = plan_document.load(path)
        plan_text(plan.document).encode()
        plan_screen(plan.document, io.StringIO()).encode()
        to_json(plan.document).encode()
        assert plan.exit_code in set(type(plan.exit_code))
        list(plan_document.contradictions(plan, 1, plan.host))

    return _accepted(read)


def _sealed(data: bytes) -> bytes:
    try:
        document = json.loads(data)
        document.pop("class_id", None)
        return json.dumps(document | {"id": plan_document.digest(document)}).encode()
    except (ValueError, TypeError, RecursionError, AttributeError):
        return data


def _said(*arguments: str) -> bytes:
    """What a command writes to standard output."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main(list(arguments))
    return out.getvalue().encode()


def plan_seeds() -> Iterator[bytes]:
    demo = resources.demo_mapping()
    plan = ["plan", "--mapping", demo, "--without-images", "--facts", str(FACTS), "--json", "--as-of", str(DAY)]
    everything = str(TESTS / "cases" / "accept" / "policy" / "everything.yaml")
    for policy in ("fewest-hops", "shortest-path", "cautious", everything):
        provisional = json.loads(_said(*plan, "--policy", policy))
        yield json.dumps(provisional).encode()
        yield _sealed(json.dumps(_with_images(provisional)).encode())
    yield _said(*plan, "--target", "1.5.20")


def _with_images(plan: dict[str, Any]) -> dict[str, Any]:
    """The plan as if it had been made with images."""
    hops = []
    for hop in plan["hops"]:
        upload = {"format": "2.0", "sha256": "11" * 32}
        image = {"path": f"/images/{hop['to']}.blob", "sigstruct": None, "sha256": "22" * 32, "format": "2.0"}
        hops.append(hop | {"image": image | {"mrseam": "33" * 48, "seamsvn": 0x10D, "upload": upload}})
    return plan | {"provisional": False, "hops": hops}


# -- policies, scenarios


def read_policy(data: bytes) -> bool:
    """Whether it is a policy. It can be layered with a strict one in either order, shown and checked."""
    path = _file(data, "policy.yaml")

    def read() -> None:
        layer = policy_file.layer(path, DAY)
        for layers in ([layer], [layer, layer], [layer, _strict()], [_strict(), layer]):
            _accepted(lambda layers=layers: effective_text(effective(layers)).encode())  # type: ignore[misc]
        orders = [_merges([layer, _strict()]), _merges([_strict(), layer])]
        assert orders[0] == orders[1]
        warnings = list(policy_warnings.warnings(layer.document, layer.policy, (), DAY))
        "\n".join(map(printable, warnings)).encode()
        to_json(layer.document.data).encode()
        _planned(*_good()[:2], layer.policy._replace(signers=NOBODY))

    return _accepted(read)


def _strict() -> Layer:
    return policy_file.layer(str(TESTS / "cases" / "accept" / "policy" / "everything.yaml"), DAY)


def _merges(layers: list[Layer]) -> bool:
    return _accepted(lambda: merge(layers))


def policy_seeds() -> Iterator[bytes]:
    yield from cases("policy")()
    yield from (path.read_bytes() for path in sorted(Path(resources.folder("policies")).glob("*.yaml")))


def read_scenario(data: bytes) -> bool:
    """Whether it is a file of scenarios, which then run."""
    path = _file(data, "scenario.yaml")

    def read() -> None:
        results = scenarios.run_all(scenario_file.load([path]))
        results_text(results, scenarios.coverage(results), 0).encode()

    return _accepted(read)


def scenario_seeds() -> Iterator[bytes]:
    for path in sorted(Path(scenario_file.shipped()).glob("*.yaml")):
        documents = path.read_bytes().split(b"\n---\n")
        yield from (documents[0] + b"\n---\n" + document for document in documents[1:])


# -- the journal


def read_records(data: bytes) -> bool:
    """Whether every line is a record. Whatever it is, it is read, shown, and written on."""
    with tempfile.TemporaryDirectory(dir=_FOLDER.name) as folder:
        Path(folder, NAME).write_bytes(data)
        descriptor = open_folder(folder, create=True)
        try:
            history = read_journal(descriptor)
            history_text(history.records, history.problems, RecordedHost("b", "/")).encode()
            to_json([dict(record.data) for record in history.records]).encode()
            _judge_past(past_runs.runs(history.records))
            document = run_status.status(HostFacts(boot_id="b"), history, "", None, None)
            to_json(document).encode()
            status_text(document).encode()
            journal = Journal(descriptor, "b", lambda: 1.0, lambda: 1.7e9)
            journal.append("run-ended", state="applied")
            journal.close()
            again = read_journal(descriptor)
            assert again.records[-1].event == "run-ended"
            assert len(again.records) > len(history.records)
        finally:
            os.close(descriptor)
    return bool(history.records) and not history.problems


def _judge_past(past: list[past_runs.PastRun]) -> None:
    past_runs.failed_steps(past, "b")
    past_runs.applied_steps(past, "b", "p")
    past_runs.last_applied(past, "b")
    past_runs.left_quiesced(past, "b", "")
    past_runs.unfinished(past)
    seen = ReadBack(ModuleVersion("1.5.24"), False, "", "", "", True, 3)
    for run in past:
        assert recovery.classify_interrupted(run, recovery.Now(run.boot_id, seen, False)).message


def journal_seeds() -> Iterator[bytes]:
    """A run that ended, a run that was killed while it committed, and each with a torn end."""
    hop: Mapping[str, Any] = {"source": "1.5.24", "target": "1.5.34", "image": "11" * 32}
    events: list[tuple[str, dict[str, Any]]] = [
        ("run-started", {"plan": "p", "policy": "q", "source": "1.5.24", "target": "1.5.34", "hops": 1, "pid": 7}),
        ("before-hooks", {"after_sha256": "22" * 32}),
        ("hook", {"phase": "before", "argv": ["/cordon"], "code": 0, "message": "", "output": ""}),
        ("preflight", {**hop, "remaining_before": 5}),
        ("staged", {**hop, "remaining_before": 5}),
        ("committing", {**hop, "remaining_before": 5}),
        ("outcome", {**hop, "state": "applied", "message": "", "remaining": 4}),
        ("after-hooks", {}),
        ("run-ended", {"state": "applied", "exit_code": 0, "version": "1.5.34", "message": "m", "warnings": 0}),
        ("recovered", {**hop, "of": "0011223344556677", "state": "unknown", "version": None, "message": "m"}),
    ]
    for end in (9, 10, 6, 5, 2):
        with tempfile.TemporaryDirectory(dir=_FOLDER.name) as folder:
            descriptor = open_folder(folder, create=True)
            journal = Journal(descriptor, "b", lambda: 1.0, lambda: 1.7e9)
            for event, details in events[:end]:
                journal.append(event, **details)
            journal.close()
            os.close(descriptor)
            content = Path(folder, NAME).read_bytes()
        yield content
        yield content[:-20]


# -- the linter's baseline and settings


def read_baseline(data: bytes) -> bool:
    """Whether it is an earlier report of the linter."""
    path = _file(data, "baseline.json")

    def read() -> None:
        known = lint_settings.load_baseline(path)
        assert all(count > 0 for count in known.values())
        lint_settings.judge(_findings(), lint_settings.Settings(), DAY, known)

    return _accepted(read)


def read_settings(data: bytes) -> bool:
    """Whether they are settings of the linter, which then judge findings."""
    path = _file(data, "lint.yaml")

    def read() -> None:
        results = lint_settings.judge(_findings(), lint_settings.load(path, CODES), DAY, Counter())
        findings_text(Linted((), tuple(results), (), (), None)).encode()

    return _accepted(read)


def _findings() -> list[Any]:
    if not _FOUND:
        _FOUND.extend(linter.lint(linter.Target(str(TESTS / "data" / "mapping_file-2026-02.json"))))
    return _FOUND


_FOUND: list[Any] = []


def baseline_seeds() -> Iterator[bytes]:
    yield _said("lint", str(TESTS / "data" / "mapping_file-2026-02.json"), "--json")
    for path in sorted(TESTS.glob("cases/lint/*/bad.json"))[:10]:
        yield _said("lint", str(path), "--json")


def settings_seeds() -> Iterator[bytes]:
    suppression = {
        "code": "release-stranded",
        "versions": "2.0.02",
        "file": "mapping_file*.json",
        "reason": "r",
        "owner": "o@example.com",
        "until": "2027-06-30",
    }
    schema = "seamstep/lint-settings/v1"
    yield json.dumps({"schema": schema, "severity": {"series-split": "off"}, "suppress": [suppression]}).encode()
    yield json.dumps({"schema": schema, "severity": dict.fromkeys(CODES, "note")}).encode()
    yield b"schema: seamstep/lint-settings/v1\nseverity: {x: y}\nsuppress:\n- {code: z, file: ./, until: never}\n"


# -- rollouts


def read_rollout(data: bytes) -> bool:
    """Whether it is a rollout. What is read is written down, and read again as it was."""
    path = _file(data, "rollout.yaml")

    def read() -> None:
        rollout = rollout_file.load(path)
        assert Rollout.from_document(json.loads(to_json(rollout.to_document()))) == rollout
        quotas = waves.stages(rollout, 1000)
        assert list(quotas) == sorted(quotas)
        assert quotas[-1] == 1000

    return _accepted(read)


def rollout_seeds() -> Iterator[bytes]:
    yield from cases("rollout")()


def read_reports(data: bytes) -> bool:
    """Whether they are reports. Good news names a version or nothing was begun."""

    def read() -> None:
        for report in reports.read(data.decode("utf-8", "replace").splitlines(), "reports"):
            to_json(report._asdict()).encode()
            assert report.host

    return _accepted(read)


def report_seeds() -> Iterator[bytes]:
    run = {"schema": "seamstep/run/v1", "exit_code": 0, "module_version": "1.5.24", "boot_id": "b", "message": "x"}
    status = {"schema": "seamstep/status/v1", "tdx": "running", "module_version": "1.5.24", "last_run": None}
    said: list[dict[str, object]] = [{"run": run}, {"status": status}, {"outcome": "unreachable"}]
    yield "\n".join(json.dumps({"host": "h", "lease": "l", "boot_id": "b", **one}) for one in said).encode()


def read_hold(data: bytes) -> bool:
    """Whether it is a hold. What is none counts as one."""
    _file(data, hold.NAME)
    found = hold.read(_FOLDER.name)
    assert found
    printable(str(found)).encode()
    return found.since is not None


def hold_seeds() -> Iterator[bytes]:
    yield b'{"schema":"seamstep/hold/v1","reason":"x","by":"alice","since":"2026-11-23T01:00:00+00:00"}'


def read_fleet_hosts(data: bytes) -> bool:
    """Whether they are the hosts of a fleet plan."""
    classes = [fleet_class("c0001", "1.5.05", "1.5.06"), fleet_class("c0002", "1.5.06")]
    folder = write_fleet(Path(_FOLDER.name), classes, [])
    (folder / "hosts.jsonl").write_bytes(data)
    rollout = rollout_file.load(f"{_FOLDER.name}/rollout.yaml")

    def read() -> None:
        for host in plan_folder.load(str(folder), rollout).hosts:
            to_json(host._asdict()).encode()
            f"{host.host}{host.boot_id}{host.domain}".encode()

    return _accepted(read)


def fleet_host_seeds() -> Iterator[bytes]:
    hosts = [fleet_host("a"), fleet_host("b", domain="r1"), {**fleet_host("c", "c0002"), "boot_id": None}]
    yield "".join(json.dumps(host) + "\n" for host in hosts).encode()


def read_fleet_classes(data: bytes) -> bool:
    """Whether they are the classes of a fleet plan."""
    folder = write_fleet(Path(_FOLDER.name), [], [fleet_host("a"), fleet_host("b")])
    (folder / "fleet.json").write_bytes(data)
    rollout = rollout_file.load(f"{_FOLDER.name}/rollout.yaml")

    def read() -> None:
        to_json(plan_folder.load(str(folder), rollout).classes).encode()

    return _accepted(read)


def fleet_class_seeds() -> Iterator[bytes]:
    classes = [fleet_class("c0001", "1.5.05", "1.5.06"), fleet_class("c0002", "1.5.06")]
    yield json.dumps({"schema": "seamstep/fleet/v1", "classes": classes}).encode()


# -- the configuration of a host, and the settings of earlier versions


def read_config(data: bytes) -> bool:
    """Whether it is a configuration. Each policy that it names is shipped, or has an absolute path. The reader of
    settings of earlier versions gets the same bytes, since it has little to it."""
    _read_old_settings(data)

    def read() -> None:
        config = configuration.read(data, "config.yaml")
        assert config.policies
        assert all(name.startswith("/") or not policy_file.is_file(name) for name in config.policies)
        assert all(
            path.startswith("/") and ".." not in path.split("/") for path in (config.catalog, config.tcb_info or "/")
        )
        assert config.notification is None or bool(config.notification.command) != bool(config.notification.unit)
        to_json(config.document.data if config.document else None).encode()

    return _accepted(read)


def _read_old_settings(data: bytes) -> None:
    """What is carried over is a configuration that says the same."""
    path = _file(data, "seamstep.env")

    def read() -> None:
        old = old_settings.load(path)
        if old is None:
            return
        text = "\n".join(["schema: seamstep/config/v1", *old.lines(), ""])
        assert old.differences(configuration.read(text.encode(), "config.yaml")) == [*old.unfit]
        "\n".join(map(printable, old.unfit)).encode()

    _accepted(read)


def config_seeds() -> Iterator[bytes]:
    yield from cases("config")()
    yield b"# mine\nSEAMSTEP_CATALOG=/srv/tdx\nSEAMSTEP_POLICY=cautious\nSEAMSTEP_OPTIONS=--policy /p --max-hops 2\n"
    yield b"; old\nSEAMSTEP_CATALOG='/srv/the catalog'\nSEAMSTEP_OPTIONS=--signer x --target=1.5.28\nexport A\n"


# -- TCB Info


def read_tcb_info(data: bytes) -> bool:
    """Whether it is a TCB Info document, signature aside. It answers for every SVN; the published ones alone verify."""
    path = _file(data, "tcb.json")
    Path(path).with_suffix(".pem").write_bytes(next(chain_seeds()))

    def read() -> None:
        info = tcb_files.parse(json_document(data, path, tcb_files.WHAT))
        for svn in (0, 1, 0x101, 0x106, 0x1FF, 0x303, 0xFFFF):
            standing = info.standing(svn, info.issued.date())
            assert standing.status or standing.reason
            to_json(standing.to_document()).encode()
        assert tcb_files.exact_text(data.decode(), "tcbInfo").encode() in data
        _accepted(lambda: tcb_files.load(path, DAY))

    return _accepted(read)


def tcb_info_seeds() -> Iterator[bytes]:
    yield from (path.read_bytes() for path in sorted((TESTS / "data" / "tcb").glob("*.json")))


def read_chain(data: bytes) -> bool:
    """Whether it is an issuer chain that verifies."""
    path = _file(data, "chain.pem")
    found: list[Any] = []
    if not _accepted(lambda: found.append(issuer_chain.read(path))):
        return False
    problems = issuer_chain.problems(found[0], DAY)
    for problem in problems:
        printable(problem).encode()
    return not problems


def chain_seeds() -> Iterator[bytes]:
    yield from (path.read_bytes() for path in sorted((TESTS / "data" / "tcb").glob("*.pem")))


READERS: dict[str, Reader] = {
    "image": Reader(read_image, image_seeds, "", 1 << 15),
    "mapping": Reader(read_mapping, mapping_seeds, "json"),
    "facts": Reader(read_facts, facts_seeds, "json"),
    "labels": Reader(read_labels, labels_seeds, "lines"),
    "inventory": Reader(read_inventory, inventory_seeds, "lines"),
    "plan": Reader(read_plan, plan_seeds, "json", 1 << 16),
    "policy": Reader(read_policy, policy_seeds, "yaml"),
    "scenario": Reader(read_scenario, scenario_seeds, "yaml"),
    "journal": Reader(read_records, journal_seeds, "lines"),
    "baseline": Reader(read_baseline, baseline_seeds, "json", 1 << 16),
    "rollout": Reader(read_rollout, rollout_seeds, "yaml"),
    "reports": Reader(read_reports, report_seeds, "lines"),
    "hold": Reader(read_hold, hold_seeds, "json"),
    "fleet hosts": Reader(read_fleet_hosts, fleet_host_seeds, "lines"),
    "fleet classes": Reader(read_fleet_classes, fleet_class_seeds, "json"),
    "settings": Reader(read_settings, settings_seeds, "yaml"),
    "config": Reader(read_config, config_seeds, "yaml"),
    "tcb info": Reader(read_tcb_info, tcb_info_seeds, "json"),
    "issuer chain": Reader(read_chain, chain_seeds, ""),
}
