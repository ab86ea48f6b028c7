"""Read scenarios. Strict: every mistake in all files at once, each with file, line, column and key path."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from seamstep.analysis import scenario_tcb
from seamstep.analysis.scenarios import Expectation, Part, Scenario, parts_of
from seamstep.base import cpus, resources, yaml_text
from seamstep.base.documents import Document, read_regular, require_regular
from seamstep.base.errors import InputError, KeyPath, Problem, in_reading_order
from seamstep.base.validation import breaches, check, did_you_mean
from seamstep.base.versions import ModuleVersion
from seamstep.domain import facts, mapping
from seamstep.domain.facts import HostFacts
from seamstep.domain.mapping import MappingFile
from seamstep.domain.model import DEBUG_BIT, INTEL_SIGNER, Check, Image, Sigstruct, Verification
from seamstep.domain.tcb import TcbView
from seamstep.plan.document import PlanOutcome
from seamstep.policy import layers as policy_layers
from seamstep.policy import policy_file
from seamstep.policy.policy import Policy
from seamstep.rules import HARD_RULES, REMOVED_RULES, Deny, Waypoint, policy_rules
from seamstep.tcb.releases import with_tcb

DEMO = "demo"
_SIZE_LIMIT = 4 << 20
_SUFFIXES = (".yaml", ".yml")
_DEFAULT_DAY = date(2026, 1, 1)
_DEFAULT_SVN = 0x10D
_DEFAULT_HANDOFF_PAGES = 13
#: The page counts of a made-up image whose keys are the fields of Sigstruct.
_PAGES = ("num_stack_pages", "num_tls_pages", "num_keyhole_pages", "num_global_data_pages")


class _MadeUp(NamedTuple):
    """The content of a made-up image: authentic, and another for each release."""

    version: str

    def verification(self) -> Verification:
        return Verification((Check("signature", True),), self.sha256_as("2.0"))

    def sha256_as(self, format_: str) -> str:
        return hashlib.sha256(f"{self.version} {format_}".encode()).hexdigest()


def shipped() -> str:
    """The folder of the scenarios that ship with seamstep, for the policies that do."""
    return os.path.join(resources.folder("policies"), "tests")


def find(paths: Iterable[str]) -> list[str]:
    """The scenario files among ``paths``: a file is itself, a folder all .yaml and .yml files at any depth, sorted;
    none twice.

    Raises:
        InputError: there is no such file or folder.
    """
    found: list[str] = []
    for path in paths:
        if Path(path).is_dir():
            below = (file for file in Path(path).rglob("*") if file.suffix in _SUFFIXES and not file.is_dir())
            found += sorted(map(str, below))
        elif Path(path).exists():
            found.append(path)
        else:
            raise InputError(Problem(path, "no such file or folder"))
    by_file = {str(Path(path).resolve()): path for path in reversed(found)}
    return list(reversed(by_file.values()))


def load(files: Iterable[str]) -> list[Scenario]:
    """Read scenario files, and the facts, mapping files and policies that they name.

    Raises:
        InputError: something is unreadable or invalid; lists all problems of all files.
    """
    scenarios: list[Scenario] = []
    problems: list[Problem] = []
    inputs = _Inputs()
    for file in files:
        try:
            documents = yaml_text.read_all(_content(file), file)
        except InputError as error:
            problems += error.problems
            continue
        names: set[str] = set()
        for document in documents:
            reader = _Reader(document, inputs)
            scenario = reader.scenario()
            name = str(document.data.get("name", document.locate(())))
            if name in names:
                reader.complain(("name",), "another scenario of this file has this name")
            names.add(name)
            problems += in_reading_order(reader.problems)
            scenarios += [scenario] if scenario else []
    if problems:
        raise InputError(dict.fromkeys(problems))
    return scenarios


def _content(file: str) -> bytes:
    """Links are followed: an installer may make links of the scenarios that ship with seamstep."""
    return read_regular(file, _SIZE_LIMIT, "scenario file", links=True)


class _Inputs:
    """What scenarios refer to, each file read once."""

    def __init__(self) -> None:
        self.mapping: Callable[[str], MappingFile] = functools.cache(mapping.load)
        self.policy: Callable[[tuple[str, ...], date], Policy] = functools.cache(_policy)


def _policy(names: tuple[str, ...], as_of: date) -> Policy:
    return policy_layers.merge([policy_file.layer(name, as_of) for name in names])


class _Reader:
    """Turns one document into a scenario; what is wrong stands in ``problems``."""

    def __init__(self, document: Document, inputs: _Inputs) -> None:
        self.document = document._replace(data=yaml_text.typed(document.data, resources.schema("scenario")))
        self.data: Mapping[str, Any] = self.document.data
        self.problems = check(self.document, "scenario")
        self._inputs = inputs
        # Not from the problems: of a document with another schema, or with too many problems, these are not all.
        self._broken = {breach.path[0] for breach in breaches(self.document.data, "scenario") if breach.path}

    def complain(self, path: KeyPath, message: str) -> None:
        """Note a problem."""
        self.problems.append(self.document.problem(path, message))

    def scenario(self) -> Scenario | None:
        """The scenario; None if there are problems."""
        host: HostFacts | None = self.field("facts", self.host)
        file: MappingFile | None = self.field("mapping", self.mapping)
        images: Mapping[ModuleVersion, Image] = self.field(
            "images", lambda value: self.images(value, file, host), default={}
        )
        as_of: date = self.field("as_of", self.day, default=_DEFAULT_DAY)
        tcb: TcbView | None = self.field("tcb_info", lambda value: self.tcb_info(value, as_of))
        policy: Policy | None = self.field("policy", lambda value: self._inputs.policy(self.layers(value), as_of))
        expected: Expectation | None = self.field("expect", lambda value: self.expectation(value, host))
        if self.problems or host is None or file is None or policy is None or expected is None:
            return None
        tcb = tcb and tcb._replace(stale_until=policy.tcb_stale_until)
        releases = with_tcb((one._replace(image=images.get(one.version)) for one in file.releases), tcb)
        return Scenario(
            name=self.data["name"],
            host=host,
            mapping=file,
            releases=releases,
            without_images="images" not in self.data,
            policy=policy,
            parts=self.parts(policy),
            as_of=as_of,
            tcb=tcb,
            expected=expected,
            document=self.document,
        )

    def tcb_info(self, value: Any, as_of: date) -> TcbView | None:
        """The TCB Info; None, and a problem, for made-up levels that make no sense."""
        try:
            return scenario_tcb.view(value, self.file_or_folder, as_of)
        except ValueError as error:
            self.complain(("tcb_info",), str(error))
            return None

    def field(self, key: str, read: Callable[[Any], Any], default: Any = None) -> Any:
        """What ``read`` makes of the value; ``default`` where it is missing or wrong. Problems without a line, such as
        a file that is not there, are those of the key that names it."""
        if key not in self.data or key in self._broken:
            return default
        try:
            return read(self.data[key])
        except InputError as error:
            self.problems += [
                problem if problem.line else self.document.problem((key,), str(problem)) for problem in error.problems
            ]
            return default

    def path(self, text: str) -> str:
        """A path as the scenario file means it. Raises InputError if it leads to a pipe or a device."""
        path = self.file_or_folder(text)
        require_regular(path, "file")
        return path

    def file_or_folder(self, text: str) -> str:
        """A path as the scenario file means it."""
        return text if text.startswith("/") else f"{Path(self.document.source).parent}/{text}"

    def host(self, value: str | dict[str, Any]) -> HostFacts:
        host = facts.load(self.path(value)) if isinstance(value, str) else self.inline_host(value)
        if host.module_version is None:
            raise InputError(
                self.document.problem(("facts",), "the running module's version is needed, and it is null")
            )
        return host

    def inline_host(self, value: dict[str, Any]) -> HostFacts:
        data = yaml_text.typed({"schema": facts.SCHEMA, **value}, resources.schema("facts"))
        try:
            return facts.read(self.document.inner("facts")._replace(data=data))
        except InputError as error:
            problems = [problem._replace(path=("facts", *problem.path)) for problem in error.problems]
            raise InputError(problems) from None

    def mapping(self, value: str) -> MappingFile:
        return self._inputs.mapping(resources.demo_mapping() if value == DEMO else self.path(value))

    def layers(self, value: str | list[str]) -> tuple[str, ...]:
        names = [value] if isinstance(value, str) else value
        return tuple(self.path(name) if "/" in name or name.endswith(_SUFFIXES) else name for name in names)

    def day(self, value: str) -> date:
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise InputError(self.document.problem(("as_of",), f"there is no day {value}")) from None

    def parts(self, policy: Policy) -> frozenset[Part]:
        """Those in force, and those that have expired: what no scenario sees in force is not covered."""
        parts = parts_of(policy)
        # An entry that has expired may contradict another one; then only those in force can be told.
        with contextlib.suppress(InputError):
            parts |= parts_of(self._inputs.policy(self.layers(self.data["policy"]), date.min))
        return parts

    def images(
        self, value: dict[str, Any], file: MappingFile | None, host: HostFacts | None
    ) -> Mapping[ModuleVersion, Image]:
        images: dict[ModuleVersion, Image] = {}
        known = {release.version for release in file.releases} if file else set()
        problems = []
        for key, says in value.items():
            path: KeyPath = ("images", key)
            try:
                version = ModuleVersion(key)
            except ValueError as error:
                problems.append(self.document.problem(path, str(error)))
                continue
            if version in images:
                problems.append(self.document.problem(path, f"{version} stands twice; keep one"))
            elif file and version not in known:
                hint = did_you_mean(str(version), map(str, sorted(known)))
                problems.append(self.document.problem(path, f"the mapping file has no release {version}{hint}"))
            images[version] = _made_up(version, says, (host and host.cpu_signatures) or ())
        if problems:
            raise InputError(problems)
        return images

    def expectation(self, value: dict[str, Any], host: HostFacts | None) -> Expectation:
        problems = []
        if ("path" in value) == ("outcome" in value):
            problems.append(self.document.problem(("expect",), "expected either 'path' or 'outcome'"))
        rules = {*HARD_RULES, *policy_rules(), Deny.name, Waypoint.name}
        for index, name in enumerate(value.get("refused", ())):
            if name not in rules:
                more = f" any more: {REMOVED_RULES[name]}" if name in REMOVED_RULES else did_you_mean(name, rules)
                message = f"there is no rule {name!r}{more}"
                problems.append(self.document.problem(("expect", "refused", index), message))
        path = []
        for index, text in enumerate(value.get("path", ())):
            try:
                path.append(ModuleVersion(text))
            except ValueError as error:
                problems.append(self.document.problem(("expect", "path", index), str(error)))
        if path and not problems and host and path[0] != host.module_version:
            message = f"a path begins with the running version, {host.module_version}"
            problems.append(self.document.problem(("expect", "path", 0), message))
        if problems:
            raise InputError(problems)
        outcome = PlanOutcome(value.get("outcome", PlanOutcome.UPDATE))
        return Expectation(outcome, tuple(path), tuple(value.get("refused", ())), value.get("note", ""))


def _made_up(version: ModuleVersion, says: Mapping[str, Any], host_cpus: tuple[int, ...]) -> Image:
    named = says.get("cpuid")
    sigstruct = Sigstruct(
        module_type=DEBUG_BIT if says.get("debug") else 0,
        vendor=0x8086,
        build_date="20260101",
        mrseam=hashlib.sha384(str(version).encode()).hexdigest(),
        seamsvn=says.get("seamsvn", _DEFAULT_SVN),
        attributes=0,
        module_hv=says.get("module_hv", 0),
        min_update_hv=says.get("min_update_hv", 0),
        no_downgrade=False,
        handoff_pages=says.get("num_handoff_pages", _DEFAULT_HANDOFF_PAGES),
        cpuid=host_cpus if named is None else tuple(map(cpus.parse_signature, named)),
        signer=says.get("signer", INTEL_SIGNER),
        **{name: says[name] for name in _PAGES if name in says},
    )
    return Image(f"made-up/{version}.blob", None, "2.0", 12288, 4096, sigstruct, _MadeUp(str(version)))
