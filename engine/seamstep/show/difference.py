"""The difference between two catalogs as JSON-able data, ``seamstep/diff/v1``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seamstep.analysis.diff import releases
from seamstep.analysis.diff.difference import Difference
from seamstep.analysis.diff.hosts import HostsDiff, Way
from seamstep.analysis.diff.releases import FieldChange
from seamstep.analysis.diff.ways import WaysDiff
from seamstep.analysis.environments import Environment
from seamstep.base import cpus
from seamstep.domain.model import Release


def difference_document(difference: Difference, old: str, new: str, policy: str) -> dict[str, Any]:
    """All changes, ungrouped; each ``where`` lists positions in ``environments``."""
    found = difference.releases
    return {
        "schema": "seamstep/diff/v1",
        "old": old,
        "new": new,
        "policy": policy,
        "images": difference.images,
        "changed": bool(difference),
        "file": _fields(difference.file),
        "releases": {
            "added": [_release(release) for release in found.added],
            "removed": [_release(release) for release in found.removed],
            "changed": [
                {
                    "version": str(change.version),
                    "fields": _fields(change.fields),
                    "features": {"gained": list(change.gained), "lost": list(change.lost)},
                    "image": _fields(change.image),
                }
                for change in found.changed
            ],
        },
        **_ways(difference.ways),
        "hosts": None if difference.hosts is None else _hosts(difference.hosts),
    }


def _fields(changes: Iterable[FieldChange]) -> list[dict[str, Any]]:
    return [{"field": change.field, "old": change.old, "new": change.new} for change in changes]


def _release(release: Release) -> dict[str, Any]:
    return {
        "version": str(release.version),
        "fields": releases.fields(release),
        "features": list(releases.feature_names(release.features0 or 0)),
        "mrseam": release.image.sigstruct.mrseam if release.image else None,
    }


def _ways(ways: WaysDiff) -> dict[str, Any]:
    numbers = {environment: number for number, environment in enumerate(ways.environments)}

    def where(found: Iterable[Environment]) -> list[int]:
        return [numbers[environment] for environment in found]

    return {
        "environments": [
            {
                "profile": kind.profile,
                "seamldr": str(kind.seamldr),
                "platform": None if kind.platform is None else cpus.format_signature(kind.platform),
                "name": str(kind),
            }
            for kind in ways.environments
        ],
        "steps": [
            {
                "from": str(change.source),
                "to": str(change.target),
                "change": "opened" if change.opened else "closed",
                "rules": list(change.rules),
                "where": where(change.environments),
            }
            for change in ways.steps
        ],
        "paths": [
            {
                "path": choice.value,
                "from": str(change.source),
                "old": [str(version) for version in change.old],
                "new": [str(version) for version in change.new],
                "where": where(change.environments),
            }
            for choice, changes in ways.paths.items()
            for change in changes
        ],
        "paths_left_out": [{"series": series, "path": "shortest-path"} for series in ways.left_out],
        "stranded": [
            {"version": str(one.version), "stranded": one.stranded, "where": where(one.environments)}
            for one in ways.strandings
        ],
    }


def _hosts(hosts: HostsDiff) -> dict[str, Any]:
    return {
        "total": hosts.total,
        "affected": hosts.affected,
        "changes": [
            {
                "from": str(change.source),
                "old": _way(change.old),
                "new": _way(change.new),
                "count": len(change.names),
                "hosts": list(change.names),
            }
            for change in hosts.changes
        ],
        "unplannable": [
            {"reason": reason, "count": len(names), "hosts": list(names)} for reason, names in hosts.unplannable.items()
        ],
    }


def _way(way: Way) -> dict[str, Any]:
    return {"outcome": way.outcome, "versions": [str(version) for version in way.versions]}
