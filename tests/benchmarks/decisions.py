"""One decision: may this host go from this release to that one? By seamstep's hard rules, with verdicts and reasons,
and as yes or no in Rego and in Cedar. Each peer gets the inputs in the form that suits it best, prepared beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from inputs import as_text

from seamstep.base import cpus
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Release
from seamstep.planning.graph import Judgement, VersionGraph
from seamstep.rules import HARD_RULES, AppliedRule
from seamstep.rules.upload_interface import ERRATUM

HERE = Path(__file__).parent


class Question(NamedTuple):
    """May the host go from the source to the target? Host by name, releases by version."""

    host: str
    source: str
    target: str


class Peer(Protocol):
    """Answers questions about the hosts and releases it was made with."""

    def __call__(self) -> list[bool]: ...


def candidates(hosts: Mapping[str, HostFacts], releases: Sequence[Release]) -> list[Question]:
    """Every step to a newer release of the same series, on every host."""
    pairs = [(s.version, t.version) for s in releases for t in releases]
    steps = [(s, t) for s, t in pairs if s.series == t.series and s < t]
    return [Question(host, str(s), str(t)) for host in hosts for s, t in steps]


def everything(hosts: Mapping[str, HostFacts], releases: Sequence[Release]) -> list[Question]:
    """Every step from anywhere to anywhere, on every host."""
    return [Question(host, str(s.version), str(t.version)) for host in hosts for s in releases for t in releases]


class Seamstep:
    """The hard rules. The graphs are made beforehand, as the peers' entities and bundle are; none has judged a step
    before it is asked."""

    def __init__(
        self, hosts: Mapping[str, HostFacts], releases: Sequence[Release], questions: Sequence[Question]
    ) -> None:
        self._releases = releases
        self._rules = tuple(AppliedRule(rule()) for rule in HARD_RULES.values())
        versions = {str(release.version): release.version for release in releases}
        self._steps = {
            name: (host, [(versions[s], versions[t]) for asked, s, t in questions if asked == name])
            for name, host in hosts.items()
        }

    def graphs(self) -> list[VersionGraph]:
        """A graph for each host, of which nothing is judged yet."""
        return [VersionGraph(self._releases, host, self._rules) for host, _ in self._steps.values()]

    def judgements(self, graphs: Sequence[VersionGraph]) -> list[Judgement]:
        """The verdicts of all rules on all questions, host by host."""
        asked = zip(graphs, self._steps.values(), strict=True)
        return [graph.judge(source, target, 0) for graph, (_, steps) in asked for source, target in steps]

    def __call__(self) -> list[bool]:
        return [judgement.permitted for judgement in self.judgements(self.graphs())]


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _number(version: Any) -> int | None:
    """A version as one number, in the same order."""
    if version is None:
        return None
    major, minor = version.series.split(".")
    return int(major) << 32 | int(minor) << 16 | int(version.update)


def _host_values(host: HostFacts) -> dict[str, Any]:
    return _known(
        {
            "erratum": None if host.cpu_bugs is None else ERRATUM in host.cpu_bugs,
            "upload_status": host.upload.status if host.upload else None,
            "remaining_updates": host.remaining_updates,
            "cpus_online": host.cpus_online and cpus.format_list(cpus.parse_list(host.cpus_online)),
            "cpus_present": host.cpus_present and cpus.format_list(cpus.parse_list(host.cpus_present)),
            "seamldr_series": host.seamldr_version.series if host.seamldr_version else None,
            "seamldr_update": host.seamldr_version.update if host.seamldr_version else None,
            "cpus": [cpus.without_stepping(signature) for signature in host.cpu_signatures or ()] or None,
            "profile": host.profile,
        }
    )


def _release_values(release: Release) -> dict[str, Any]:
    bits = release.features0
    image = release.image and {
        "cpus": [cpus.without_stepping(signature) for signature in release.image.sigstruct.cpuid],
        "svn_major": release.image.sigstruct.svn_major,
        "module_hv": release.image.sigstruct.module_hv,
        "min_update_hv": release.image.sigstruct.min_update_hv,
        "authentic": release.usable_image() is not None,
    }
    return _known(
        {
            "version": _number(release.version),
            "series": release.version.series,
            "minimum_module": _number(release.minimum_module),
            "features": None if bits is None else [bit for bit in range(64) if bits >> bit & 1],
            "image": image,
        }
    )


def _minimum_seamldrs(release: Release) -> dict[str, int]:
    """By series the lowest update that will do."""
    minimums = sorted(release.minimum_seamldrs, reverse=True)
    return {minimum.series: minimum.update for minimum in minimums}


class Rego:
    """regopy: a bundle compiled once with hosts and releases in it, the inputs made beforehand, a query a question."""

    def __init__(
        self, hosts: Mapping[str, HostFacts], releases: Sequence[Release], questions: Sequence[Question]
    ) -> None:
        import regopy

        known = {str(r.version): _release_values(r) | {"minimum_seamldrs": _minimum_seamldrs(r)} for r in releases}
        compiler = regopy.Interpreter()
        compiler.add_data({"hosts": {name: _host_values(host) for name, host in hosts.items()}, "releases": known})
        compiler.add_module("decision.rego", (HERE / "decision.rego").read_text())
        self._bundle = compiler.build(None, ["seamstep/allow"])
        self._interpreter = regopy.Interpreter()
        self._inputs = [regopy.Input(question._asdict()) for question in questions]

    def __call__(self) -> list[bool]:
        return list(self._answers())

    def _answers(self) -> Iterator[bool]:
        for asked in self._inputs:
            self._interpreter.set_input(asked)
            answer = self._interpreter.query_bundle_entrypoint(self._bundle, "seamstep/allow")
            yield answer.expressions()[0].value is True


class Cedar:
    """cedarpy: policies and entities parsed once, all questions in one batch, without contexts, and with names that
    need no parsing (twice as fast as those in Cedar's syntax)."""

    def __init__(
        self, hosts: Mapping[str, HostFacts], releases: Sequence[Release], questions: Sequence[Question]
    ) -> None:
        import cedarpy

        def uid(kind: str, name: str) -> dict[str, str]:
            return {"type": kind, "id": name}

        entities: list[dict[str, Any]] = [
            {
                "uid": uid("Release", str(r.version)),
                "attrs": _release_values(r),
                "tags": _minimum_seamldrs(r),
                "parents": [],
            }
            for r in releases
        ]
        for name, host in hosts.items():
            for release in map(str, (r.version for r in releases)):
                running = {"running": {"__entity": uid("Release", release)}}
                entities.append(
                    {"uid": uid("Host", f"{name} {release}"), "attrs": _host_values(host) | running, "parents": []}
                )
        self._ask = cedarpy.is_authorized_batch
        self._policies = cedarpy.PolicySet.from_str((HERE / "decision.cedar").read_text())
        self._entities = cedarpy.Entities.from_json_str(as_text(entities))
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
