"""Policies: where to go, in which steps, and which rules to apply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from seamstep import resources, yaml_text
from seamstep.documents import Document, read_bytes
from seamstep.errors import InputError, Problem, in_reading_order
from seamstep.rules import HARD_RULES, POLICY_RULES, AppliedRule, Level
from seamstep.validation import check, did_you_mean
from seamstep.versions import ModuleVersion, Specifier

_SIZE_LIMIT = 256 << 10
_DEFAULT_COST = 100
NEWEST = "newest"


class PathChoice(StrEnum):
    """How a policy chooses among the permitted paths."""

    FEWEST_HOPS = "fewest-hops"
    SHORTEST_PATH = "shortest-path"


@dataclass(frozen=True, slots=True)
class Target:
    """The releases a policy wants to run, the newest of them first."""

    text: str = NEWEST
    specifier: Specifier | None = None

    @classmethod
    def parse(cls, text: str) -> Target:
        """``newest``, a version, or a specifier. Raises ValueError for anything else."""
        return cls() if text == NEWEST else cls(text, Specifier(text))

    @property
    def version(self) -> ModuleVersion | None:
        """The one release meant, if it is one."""
        return self.specifier.version if self.specifier else None

    def names(self, version: ModuleVersion) -> bool:
        """Whether ``version`` is among the releases wanted."""
        return self.specifier is None or version in self.specifier


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy. ``file`` is None for one that ships with seamstep; ``max_hops`` is None where nothing limits it;
    ``signers`` are the fingerprints (SHA-256 of the modulus in hex) that it trusts besides Intel's."""

    name: str
    sha256: str
    file: str | None
    target: Target
    choice: PathChoice
    max_hops: int | None
    keep_updates: int
    rules: tuple[AppliedRule, ...]
    signers: frozenset[str] = frozenset()
    description: str = ""

    def with_target(self, target: Target) -> Policy:
        """The same policy with another target."""
        return replace(self, target=target)

    def with_signers(self, signers: frozenset[str]) -> Policy:
        """The same policy, trusting these signers too."""
        return replace(self, signers=self.signers | signers)


def load(name_or_file: str) -> Policy:
    """Load a shipped policy by name or any policy by file. A value with a ``/`` or ending in .yaml or .yml is a file.

    Raises:
        InputError: no such policy, unreadable or invalid; lists all problems.
    """
    is_file = "/" in name_or_file or name_or_file.endswith((".yaml", ".yml")) or name_or_file == "-"
    if is_file:
        content = read_bytes(name_or_file, _SIZE_LIMIT, "policy")
        return _parse(yaml_text.read(content, name_or_file), str(Path(name_or_file).absolute()))
    shipped = resources.policies()
    if name_or_file not in shipped:
        hint = did_you_mean(name_or_file, shipped) or f"; there are {', '.join(shipped)}"
        message = f"no policy of this name ships with seamstep{hint} (a file needs a '/' or .yaml in its name)"
        raise InputError(Problem(name_or_file, message))
    source = shipped[name_or_file]
    return _parse(yaml_text.read(source.read_bytes(), source.name), None)


def _parse(document: Document, file: str | None) -> Policy:
    data = yaml_text.typed(document.data, resources.schema("policy"))
    document = replace(document, data=data)
    problems = check(document, "policy")
    wanted, target = data.get("target", NEWEST), Target()
    try:
        target = Target.parse(wanted) if isinstance(wanted, str) else target
    except ValueError as error:
        problems.append(document.problem(("target",), f"{error}, or 'newest'"))
    hard = _hard_rule_problems(document)
    named = {problem.path for problem in hard}
    problems = [problem for problem in problems if problem.path not in named] + hard
    if problems:
        raise InputError(in_reading_order(problems))
    return Policy(
        name=data["name"],
        sha256=document.sha256,
        file=file,
        target=target,
        choice=PathChoice(data.get("path", PathChoice.FEWEST_HOPS)),
        max_hops=data.get("max_hops"),
        keep_updates=data.get("keep_updates", 0),
        rules=_applied(data.get("rules", {})),
        signers=frozenset(data.get("signers", ())),
        description=data.get("description", ""),
    )


def _hard_rule_problems(document: Document) -> list[Problem]:
    rules = document.data.get("rules")
    named = [name for name in rules if name in HARD_RULES] if isinstance(rules, dict) else []
    return [document.problem(("rules", name), "a hard rule: it is always on and takes no level") for name in named]


def _applied(settings: Mapping[str, Any]) -> tuple[AppliedRule, ...]:
    applied = []
    for name, (rule, default) in POLICY_RULES.items():
        setting = settings.get(name, default)
        parameters: dict[str, Any] = {"level": setting} if isinstance(setting, str) else dict(setting)
        level = Level(parameters.pop("level"))
        cost = parameters.pop("cost", _DEFAULT_COST) if level is Level.PREFER else 0
        if level is not Level.OFF:
            applied.append(AppliedRule(rule(**parameters), level, cost))
    return tuple(applied)
