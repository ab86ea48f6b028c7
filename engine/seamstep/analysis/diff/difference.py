"""The whole difference between two catalogs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from seamstep.analysis.diff import hosts, releases, ways
from seamstep.analysis.environments import check_size
from seamstep.domain.mapping import HEADER, MappingFile
from seamstep.domain.model import NO_IMAGE, Release
from seamstep.policy.policy import Policy


class Side(NamedTuple):
    """One side: a mapping file, and its releases; ``images`` is false where none were looked for."""

    mapping: MappingFile
    releases: Sequence[Release]
    images: bool

    def bare(self) -> Side:
        """The same without images."""
        return self._replace(
            releases=tuple(release._replace(image=None, image_problem=NO_IMAGE) for release in self.releases),
            images=False,
        )


class Difference(NamedTuple):
    """What changes. ``file`` are values of the mapping file beside the releases; ``images`` says whether images were
    compared, ``hosts`` is None where none were given."""

    images: bool
    file: tuple[releases.FieldChange, ...]
    releases: releases.ReleasesDiff
    ways: ways.WaysDiff
    hosts: hosts.HostsDiff | None

    def __bool__(self) -> bool:
        return bool(self.file or self.releases or self.ways)


#: What ``--fail-on`` can name, and when that is met.
CONDITIONS: dict[str, Callable[[Difference], bool]] = {
    "opened": lambda found: any(change.opened for change in found.ways.steps),
    "closed": lambda found: any(not change.opened for change in found.ways.steps),
    "removed": lambda found: bool(found.releases.removed),
    "stranded": lambda found: any(stranding.stranded for stranding in found.ways.strandings),
    "any": bool,
}


def compare(old: Side, new: Side, policy: Policy, inventory: Sequence[hosts.Hosts] | None = None) -> Difference:
    """What changes from one catalog to the other for hosts under a policy.

    Images count where both sides were to have them and one has any; else rules that need an image are left open.

    Raises:
        InputError: no release names a P-SEAMLDR, or there is more to compare than can be judged.
    """
    images = old.images and new.images and any(release.image for side in (old, new) for release in side.releases)
    if not images:
        old, new = old.bare(), new.bare()
    sides = old.releases, new.releases
    groups = inventory or ()
    on = "all kinds of hosts" + (f" and {len(groups):,} hosts of --facts that differ" if groups else "")
    work = ways.work(*sides, policy) + hosts.work(*sides, groups)
    check_size(work, "OLD and NEW", on, "compare fewer releases, P-SEAMLDRs or hosts at a time")
    head = releases.values(old.mapping.header, new.mapping.header, f"{HEADER}.")
    return Difference(
        images=images,
        file=head + releases.values(old.mapping.extra, new.mapping.extra),
        releases=releases.compare(*sides),
        ways=ways.compare(*sides, policy, without_images=not images),
        hosts=None if inventory is None else hosts.compare(*sides, policy, inventory, without_images=not images),
    )
