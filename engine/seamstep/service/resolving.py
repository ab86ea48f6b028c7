"""What a configuration comes to: the policy of all its layers, and the releases of its catalog."""

from __future__ import annotations

import os
from datetime import date
from typing import Any, NamedTuple

from seamstep.base.errors import InputError, Problem
from seamstep.base.rooted import below
from seamstep.image import catalog as catalogs
from seamstep.image.catalog import Catalog
from seamstep.image.files import TRUSTED
from seamstep.policy import layers, policy_file
from seamstep.policy.policy import Policy
from seamstep.service.configuration import Configuration


class Resolved(NamedTuple):
    """What a configuration comes to.

    Attributes:
        policy: the merged policy; None if a policy can't be read or is invalid.
        catalog: the catalog; None if it can't be read or is invalid.
        problems: why the policy or the catalog is None, under ``policies`` and ``catalog``.
    """

    policy: Policy | None
    catalog: Catalog | None
    problems: dict[str, tuple[Problem, ...]]


def resolved(config: Configuration, root: str, as_of: date) -> Resolved:
    """Read the policies and the catalog of a configuration. ``root`` is the root folder of the machine that the paths
    in the configuration are of."""
    problems: dict[str, tuple[Problem, ...]] = {}
    policy: Policy | None = None
    found: list[layers.Layer] = []
    faults: list[Problem] = []
    for name in config.policies:
        try:
            found.append(policy_file.layer(below(root, name) if policy_file.is_file(name) else name, as_of))
        except InputError as error:
            faults += error.problems
    try:
        policy = None if faults else layers.merge(found)
    except InputError as error:
        faults += error.problems
    loaded: Catalog | None = None
    folder = below(root, config.catalog)
    try:
        trusted = TRUSTED | (policy.signers if policy else frozenset())
        loaded = catalogs.load(os.path.join(folder, catalogs.MAPPING_FILE), folder, trusted, found=True)
    except InputError as error:
        problems["catalog"] = error.problems
    if faults:
        problems["policies"] = tuple(faults)
    return Resolved(policy, loaded, problems)


def facts_of(loaded: Catalog) -> dict[str, Any]:
    """How many releases a catalog has, how many of them with an image that can be used, and the newest of each."""
    usable = [release.version for release in loaded.releases if release.usable_image()]
    return {
        "mapping": loaded.mapping.path,
        "releases": len(loaded.releases),
        "newest": str(max(release.version for release in loaded.releases)) if loaded.releases else None,
        "usable_images": len(usable),
        "newest_usable": str(max(usable)) if usable else None,
    }
