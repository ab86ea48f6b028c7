"""Reading policies. All mistakes are reported at once, each with file, line, column, key path and the expected form."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from seamstep.base import resources, yaml_text
from seamstep.base.documents import Document, absolute, read_bytes
from seamstep.base.durations import seconds
from seamstep.base.errors import InputError, KeyPath, Problem, in_reading_order
from seamstep.base.validation import check, did_you_mean
from seamstep.base.versions import ModuleVersion, Specifier
from seamstep.base.zones import zone
from seamstep.domain.tcb import TcbStatus
from seamstep.policy.key_words import SYNONYMS
from seamstep.policy.layers import Layer
from seamstep.policy.policy import Expired, PathChoice, Policy, Source, Target
from seamstep.rules import (
    HARD_RULES,
    REMOVED_RULES,
    AppliedRule,
    Denial,
    Deny,
    Level,
    Rule,
    Scope,
    TcbStatusRule,
    Waiver,
    policy_rules,
)
from seamstep.rules.td_build import TdBuild

_SIZE_LIMIT = 256 << 10
_DEFAULT_COST = 100


def load(name_or_file: str, as_of: date) -> Policy:
    """Load a shipped policy by name, or a policy from a file.

    Args:
        name_or_file: the value of ``--policy``. See :func:`is_file`.
        as_of: the day for which the policy is read. Denials and waivers are in force through their ``until``.

    Raises:
        InputError: no such policy, unreadable or invalid; lists all problems.
    """
    return layer(name_or_file, as_of).policy


def is_file(name_or_file: str) -> bool:
    """Whether a value of ``--policy`` is a file rather than a policy that ships."""
    return "/" in name_or_file or name_or_file.endswith((".yaml", ".yml"))


def layer(name_or_file: str, as_of: date) -> Layer:
    """A policy with its document, for merging with others. Raises InputError as :func:`load` does."""
    content, source, file = _read(name_or_file)
    document, flaws = yaml_text.examine(content, source)
    return Layer(parse(document, file, as_of, flaws), document)


def _read(name_or_file: str) -> tuple[bytes, str, str | None]:
    """The content of a policy's file, its name in messages, and its absolute path (None for a policy that ships).
    Raises InputError if there is no such policy, or its file can't be read."""
    if is_file(name_or_file):
        return read_bytes(name_or_file, _SIZE_LIMIT, "policy"), name_or_file, absolute(name_or_file)
    shipped = resources.policies()
    if name_or_file not in shipped:
        hint = did_you_mean(name_or_file, shipped) or f"; there are {', '.join(shipped)}"
        message = f"no policy of this name ships with seamstep{hint} (a file needs a '/' or .yaml in its name)"
        raise InputError(Problem(name_or_file, message))
    file = shipped[name_or_file]
    return read_bytes(file, _SIZE_LIMIT, "policy"), os.path.basename(file), None


def schema() -> dict[str, Any]:
    """The schema of policies, with the rules of the installed plug-ins."""
    full: dict[str, Any] = resources.schema("policy")
    known = full["properties"]["rules"]["properties"]
    for name, rule in policy_rules().items():
        if name not in known:
            known[name] = _rule_schema(rule)
    return full


def _rule_schema(rule: type[Rule]) -> dict[str, Any]:
    """The schema of a rule's entry: a level, or an object with the level and the rule's parameters."""
    template: dict[str, Any] = resources.schema("policy")["$defs"]["rule"]
    template["description"] = f"{rule.summary} Default: {rule.default_level.value}."
    if rule.parameters:
        template["then"] = {"title": "'off', or an object with 'level' and the rule's parameters", "enum": ["off"]}
        template["else"]["properties"] |= rule.parameters
        template["else"]["required"] = ["level", *rule.parameters]
    return template


def parse(document: Document, file: str | None, as_of: date, flaws: yaml_text.Flaws = yaml_text.NO_FLAWS) -> Policy:
    """The policy in a document, whose text has ``flaws``. Raises InputError as :func:`load` does."""
    full = schema()
    document = document._replace(data=yaml_text.typed(document.data, full))
    reader = _Reader(document, as_of)
    hard = list(_misplaced_rules(document))
    named = {problem.path for problem in hard}
    found = check(document, "policy", full, SYNONYMS)
    reader.problems = [problem for problem in found if problem.path not in named] + hard
    reader.check_values()
    reader.problems = [problem for problem in reader.problems if not flaws.hide(problem.path)] + [*flaws.problems]
    if reader.problems:
        raise InputError(in_reading_order(dict.fromkeys(reader.problems)))
    return reader.policy(file)


def _misplaced_rules(document: Document) -> Iterator[Problem]:
    rules = document.data.get("rules")
    for name in rules if isinstance(rules, dict) else ():
        if name in REMOVED_RULES:
            yield document.problem(("rules", name), f"{name!r} is no policy rule any more: {REMOVED_RULES[name]}")
        elif name in HARD_RULES:
            yield document.problem(("rules", name), "a hard rule: it is always on and takes no level")


class _Reader:
    """Converts a document to values, and collects the mistakes that a schema can't express."""

    def __init__(self, document: Document, as_of: date) -> None:
        self.document = document
        self.data: Mapping[str, Any] = document.data
        self.as_of = as_of
        self.problems: list[Problem] = []
        self.expired: list[tuple[str, Specifier, Problem]] = []

    def complain(self, path: KeyPath, message: str) -> None:
        self.problems.append(self.document.problem(path, message))

    def text(self, path: KeyPath, parse: Callable[[str], Any], default: Any = None) -> Any:
        """The text at ``path`` after ``parse``, whose ValueError becomes a problem. ``default`` where there is no text:
        the schema check reports that."""
        value: Any = self.data
        try:
            for key in path:
                value = value[key]
        except (KeyError, TypeError):
            return default
        if not isinstance(value, str):
            return default
        try:
            return parse(value)
        except ValueError as error:
            self.complain(path, str(error))
            return default

    def items(self, key: str) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
        listed = self.data.get(key, ())
        for index, item in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(item, dict):
                yield (key, index), item

    def check_values(self) -> None:
        """Check all values, even if the document breaks the schema, so that all mistakes are reported at once."""
        self.target()
        self.waivers()
        self.contradictions(self.denials(), self.waypoints())
        self.apply()
        self.stale_until()
        rules = self.data.get("rules")
        self.tcb_status(rules.get(TcbStatusRule.name) if isinstance(rules, dict) else None)
        for name, setting in rules.items() if isinstance(rules, dict) else ():
            if isinstance(setting, dict) and "cost" in setting and setting.get("level", Level.PREFER) != Level.PREFER:
                self.complain(("rules", name, "cost"), "a cost has a meaning with the level 'prefer' only")
            rule = policy_rules().get(name)
            preferred = Level.PREFER in (setting, setting.get("level") if isinstance(setting, dict) else None)
            if preferred and rule and rule.scope is Scope.TURN:
                self.complain(("rules", name), f"{name} limits how many hops a path may have and can't be preferred")

    def policy(self, file: str | None) -> Policy:
        data = self.data
        held = data.get("td_creation") == "held"
        self.expired.clear()
        denials, waivers, waypoints = self.denials(), self.waivers(), self.waypoints()
        return Policy(
            sources=(Source(data["name"], self.document.sha256, file),),
            target=self.target(),
            choice=PathChoice(data.get("path", PathChoice.FEWEST_HOPS)),
            max_hops=data.get("max_hops"),
            keep_updates=data.get("keep_updates", 0),
            rules=_applied(data.get("rules", {}), waivers, held=held),
            denials=tuple(denials),
            waypoints=tuple(waypoints),
            signers=frozenset(data.get("signers", ())),
            apply=self.apply(),
            creation_held=held,
            expired=tuple(self.lapsed(file, *entry) for entry in self.expired),
            description=data.get("description", ""),
            tcb_stale_until=self.stale_until(),
        )

    def lapsed(self, file: str | None, rule: str, versions: Specifier, problem: Problem) -> Expired:
        until: str = self.data[str(problem.path[0])][problem.path[1]]["until"]
        return Expired(rule, versions, until, f"{file or problem.source}:{problem.line}", problem)

    def target(self) -> Target:
        target: Target = self.text(("target",), _target, Target())
        return target

    def stale_until(self) -> date | None:
        day: date | None = self.text(("tcb_info", "stale_until"), _day)
        return day

    def tcb_status(self, setting: object) -> None:
        """Complain of a day that is none, or that has no meaning."""
        if isinstance(setting, dict) and "as_of" in setting:
            path = ("rules", TcbStatusRule.name, "as_of")
            self.text(path, _day)
            if setting.get("status") == TcbStatus.OUT_OF_DATE:
                self.complain(path, "has a meaning with the status UpToDate only")

    def denials(self) -> list[Denial]:
        found = []
        for path, item in self.items("deny"):
            versions = self.text((*path, "versions"), Specifier)
            sources = self.text((*path, "from"), Specifier)
            self.steps(path, sources, versions)
            in_force = self.in_force(path, "denial", Deny.name, versions)
            if in_force and versions is not None and (sources or "from" not in item):
                texts = str(item.get("reason")), item.get("link"), item.get("until")
                found.append(Denial(versions, *texts, sources))
        return found

    def steps(self, path: KeyPath, sources: Specifier | None, versions: Specifier | None) -> None:
        """Complain of a denial whose two releases no step connects."""
        if not (sources and sources.version and versions and versions.version):
            return
        if sources.version.series != versions.version.series or sources.version >= versions.version:
            message = f"no step leads from {sources} to {versions}: updates lead to newer releases of a series"
            self.complain((*path, "from"), message)

    def waivers(self) -> list[Waiver]:
        found = []
        known = policy_rules()
        for path, item in self.items("accept"):
            versions = self.text((*path, "versions"), Specifier)
            rule = str(item.get("rule"))
            in_force = self.in_force(path, "waiver", rule, versions)
            if rule in REMOVED_RULES:
                self.complain((*path, "rule"), f"{rule!r} is no policy rule any more: {REMOVED_RULES[rule]}")
            elif rule in HARD_RULES:
                self.complain((*path, "rule"), f"{rule} is a hard rule and can't be waived")
            elif "rule" in item and rule not in known:
                self.complain((*path, "rule"), f"there is no rule {rule!r}{did_you_mean(rule, known)}")
            elif rule in known and known[rule].scope is Scope.TURN:
                self.complain((*path, "rule"), f"{rule} limits how many hops a path may have and can't be waived")
            elif in_force and versions is not None:
                texts = (str(item.get(key)) for key in ("reason", "by", "until"))
                found.append(Waiver(rule, versions, *texts))
        return found

    def in_force(self, path: KeyPath, what: str, rule: str, versions: Specifier | None) -> bool:
        until = self.text((*path, "until"), _day)
        if until is None or until >= self.as_of:
            return True
        message = f"this {what} expired on {until}; renew or remove it"
        if versions is not None:
            self.expired.append((rule, versions, self.document.problem((*path, "until"), message)))
        return False

    def waypoints(self) -> list[ModuleVersion]:
        listed = self.data.get("waypoints", ())
        count = len(listed) if isinstance(listed, list) else 0
        found = [self.text(("waypoints", index), ModuleVersion) for index in range(count)]
        for index, version in enumerate(found):
            if version in found[:index]:
                self.complain(("waypoints", index), f"{version} is listed twice")
        return sorted({version for version in found if version})

    def contradictions(self, denials: Sequence[Denial], waypoints: Sequence[ModuleVersion]) -> None:
        for version in waypoints:
            for denial in denials:
                if denial.sources is None and version in denial.versions:
                    message = f"every path has to stop at {version}, but it is denied: {denial}"
                    self.complain(("waypoints",), message)

    def apply(self) -> dict[str, Any]:
        """The executor's settings in the form that plans have: durations in seconds, all others unchanged."""
        settings = self.data.get("apply", {})
        if not isinstance(settings, dict):
            return {}
        result = {key: value for key, value in settings.items() if key in {"before", "after"}}
        if "soak" in settings:
            result["soak"] = self.text(("apply", "soak"), seconds)
        if isinstance(settings.get("busy"), dict):
            result["busy"] = dict(settings["busy"]) | {"wait": self.text(("apply", "busy", "wait"), seconds)}
        if isinstance(settings.get("windows"), list):
            result["windows"] = [self.window(index) for index in range(len(settings["windows"]))]
        return result

    def window(self, index: int) -> Mapping[str, Any]:
        window = self.data["apply"]["windows"][index]
        self.text(("apply", "windows", index, "timezone"), _timezone)
        return dict(window) if isinstance(window, dict) else {}


def _target(text: str) -> Target:
    try:
        return Target.parse(text)
    except ValueError as error:
        raise ValueError(f"{error}, or 'newest', or 'closes' with an advisory") from None


def _applied(settings: Mapping[str, Any], waivers: Sequence[Waiver], *, held: bool) -> tuple[AppliedRule, ...]:
    applied = []
    for name, rule in policy_rules().items():
        setting = settings.get(name, rule.default_level)
        parameters: dict[str, Any] = {"level": setting} if isinstance(setting, str) else dict(setting)
        level = Level(parameters.pop("level"))
        cost = parameters.pop("cost", _DEFAULT_COST)
        if rule is TdBuild:
            parameters["held"] = held and level is not Level.PREFER  # a hop that needs it costs, held or not
        if level is not Level.OFF:
            group = tuple(waiver for waiver in waivers if waiver.rule == name)
            cost = cost if level is Level.PREFER else 0
            applied.append(AppliedRule(rule(**parameters), level, cost, (group,) if group else ()))
    return tuple(applied)


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day and day.isoformat() == text:
        return day
    raise ValueError(f"{text!r} is not a day such as 2027-03-31")


def _timezone(text: str) -> str:
    try:
        zone(text)
    except ValueError:
        known = "such as Europe/Berlin or UTC (is tzdata installed?)"
        raise ValueError(f"{text!r} is not a time zone {known}") from None
    return text
