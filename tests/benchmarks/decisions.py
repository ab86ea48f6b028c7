"""One decision: may this host go from this release to that one? By seamstep's rules, with verdicts and reasons, and as
yes or no in Rego and in Cedar by a fixed handful of the rules. A rule outside the handful needs no twin here. Each peer
gets the inputs in the form that suits it best, prepared beforehand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seamstep.base import cpus
from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Release
from seamstep.planning.graph import VersionGraph
from seamstep.rules import HARD_RULES, AppliedRule

HERE = Path(__file__).parent
#: The rules that decision.cedar and decision.rego spell out.
HANDFUL = ("cpus-online", "same-series", "forward-only", "minimum-module", "seamldr-minimum")

Hosts = Mapping[str, HostFacts]


class Question(NamedTuple):
    """May the host go from the source to the target? Host by name, releases by version."""

    host: str
    source: str
    target: str


def everything(hosts: Hosts, releases: Sequence[Release]) -> list[Question]:
    """Every step from anywhere to anywhere, on every host."""
    return [Question(host, str(s.version), str(t.version)) for host in hosts for s in releases for t in releases]


def graphs(hosts: Hosts, releases: Sequence[Release], names: Iterable[str]) -> list[VersionGraph]:
    """A graph for each host; to build one is to judge every step to a newer release of the same series."""
    rules = [AppliedRule(HARD_RULES[name]()) for name in names]
    return [VersionGraph(releases, host, rules) for host in hosts.values()]


def candidates(hosts: Hosts, graphs: Sequence[VersionGraph]) -> list[Question]:
    """The steps that graphs of these hosts have judged."""
    return [
        Question(name, *map(str, step)) for name, graph in zip(hosts, graphs, strict=True) for step in graph.steps.edges
    ]


def answers(hosts: Hosts, releases: Sequence[Release], questions: Iterable[Question]) -> list[bool]:
    """What seamstep says by the handful."""
    by_host = dict(zip(hosts, graphs(hosts, releases, HANDFUL), strict=True))
    return [
        by_host[host].judge(ModuleVersion(source), ModuleVersion(target), used=0).permitted
        for host, source, target in questions
    ]


class Rego:
    """regopy: a bundle compiled once with hosts and releases in it, the inputs made beforehand, a query a question."""

    def __init__(self, hosts: Hosts, releases: Sequence[Release], questions: Iterable[Question]) -> None:
        import regopy

        known = {str(r.version): _release_values(r) | {"minimum_seamldrs": _minimum_seamldrs(r)} for r in releases}
        compiler = regopy.Interpreter()
        compiler.add_data({"hosts": {name: _host_values(host) for name, host in hosts.items()}, "releases": known})
        compiler.add_module("decision.rego", (HERE / "decision.rego").read_text())
        self._bundle = compiler.build(None, ["seamstep/allow"])
        self._interpreter = regopy.Interpreter()
        self._inputs = [regopy.Input(question._asdict()) for question in questions]

    def __call__(self) -> list[bool]:
        return [self._answer(asked) for asked in self._inputs]

    def _answer(self, asked: Any) -> bool:
        self._interpreter.set_input(asked)
        answer = self._interpreter.query_bundle_entrypoint(self._bundle, "seamstep/allow")
        return answer.expressions()[0].value is True


class Cedar:
    """cedarpy: policies and entities parsed once, all questions in one batch, without contexts, and with names that
    need no parsing (twice as fast as those in Cedar's syntax)."""

    def __init__(self, hosts: Hosts, releases: Sequence[Release], questions: Iterable[Question]) -> None:
        import cedarpy

        def uid(kind: str, name: str) -> dict[str, str]:
            return {"type": kind, "id": name}

        def entity(kind: str, name: str, values: Mapping[str, Any], **more: Any) -> dict[str, Any]:
            return {"uid": uid(kind, name), "attrs": values, "parents": [], **more}

        entities = [entity("Release", str(r.version), _release_values(r), tags=_minimum_seamldrs(r)) for r in releases]
        for name, host in hosts.items():
            for release in releases:
                running = {"running": {"__entity": uid("Release", str(release.version))}}
                entities.append(entity("Host", f"{name} {release.version}", _host_values(host) | running))
        self._ask = cedarpy.is_authorized_batch
        self._policies = cedarpy.PolicySet.from_str((HERE / "decision.cedar").read_text())
        self._entities = cedarpy.Entities.from_json_str(json.dumps(entities))
        self._requests = [
            {
                "principal": uid("Host", f"{host} {source}"),
                "action": uid("Action", "update"),
                "resource": uid("Release", target),
            }
            for host, source, target in questions
        ]

    def __call__(self) -> list[bool]:
        return [answer.allowed for answer in self._ask(self._requests, self._policies, self._entities)]


def _host_values(host: HostFacts) -> dict[str, Any]:
    return _known(
        cpus_online=host.cpus_online and cpus.format_list(cpus.parse_list(host.cpus_online)),
        cpus_present=host.cpus_present and cpus.format_list(cpus.parse_list(host.cpus_present)),
        cpu_limits=None if host.cpu_limits is None else list(host.cpu_limits),
        seamldr_series=host.seamldr_version and host.seamldr_version.series,
        seamldr_update=host.seamldr_version and host.seamldr_version.update,
    )


def _release_values(release: Release) -> dict[str, Any]:
    return _known(
        version=_number(release.version),
        series=release.version.series,
        minimum_module=release.minimum_module and _number(release.minimum_module),
    )


def _minimum_seamldrs(release: Release) -> dict[str, int]:
    """By series the lowest update that will do."""
    return {minimum.series: minimum.update for minimum in sorted(release.minimum_seamldrs, reverse=True)}


def _number(version: ModuleVersion) -> int:
    """A version as one number, in the same order."""
    major, minor = map(int, version.series.split("."))
    return major << 32 | minor << 16 | version.update


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
