"""Rules of other packages, which name their classes in the entry-point group ``seamstep.rules``.

A plug-in is a subclass of :class:`~seamstep.rules.base.Rule` whose entry point has the rule's name. A plug-in that
can't be loaded is replaced by a rule that answers unknown, which blocks until the policy turns it off or the plug-in is
repaired: a constraint must not vanish because its code is broken.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from seamstep.base.errors import described, log_failure
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Level, Rule, Scope

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "seamstep.rules"


@functools.cache
def installed() -> dict[str, type[Rule]]:
    """The rules of the installed plug-ins by name, sorted."""
    from importlib.metadata import entry_points

    found: dict[str, list[EntryPoint]] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        found.setdefault(point.name, []).append(point)
    return {name: _load(*points) for name, points in found.items()}


def _load(point: EntryPoint, *others: EntryPoint) -> type[Rule]:
    if others:
        values = " and ".join(sorted(one.value for one in (point, *others)))
        return _failed(point.name, f"more than one package brings it: {values}")
    try:
        rule = point.load()
        problem = _problem(rule, point.name)
    except (Exception, SystemExit) as error:  # importing a plug-in may raise anything
        log_failure("the plug-in %s can't be loaded", point.name)
        problem = described(error)
    return _failed(point.name, problem) if problem else rule


def _problem(rule: object, name: str) -> str | None:
    import inspect

    from jsonschema import Draft202012Validator

    if not inspect.isclass(rule) or not issubclass(rule, Rule) or inspect.isabstract(rule):
        return "it is not a rule class"
    texts = [getattr(rule, "name", None), getattr(rule, "summary", None), getattr(rule, "source", None)]
    if not all(isinstance(text, str) and text for text in texts) or rule.name != name:
        return f"it lacks name, summary or source, or its name is not {name!r}"
    if not isinstance(rule.default_level, Level):
        return "its default_level is not a Level"
    if not isinstance(rule.scope, Scope):
        return "its scope is not a Scope"
    Draft202012Validator.check_schema({"type": "object", "properties": dict(rule.parameters)})
    return None


def _failed(rule_name: str, problem: str) -> type[Rule]:
    class Failed(Rule):
        """Stands in for a plug-in that can't be loaded."""

        name = rule_name
        summary = "A plug-in that can't be loaded; blocks every step."
        source = "an installed package"

        def check(self, step: Step, host: HostFacts) -> Verdict:
            return self.unknown(f"the plug-in can't be loaded: {problem} (SEAMSTEP_DEBUG=1 shows where)")

    return Failed
