"""The rules, asked again about the hops of a plan by the run that performs it.

A plan is a proposal. Its digest shows damage and not forgery, so neither its verdicts nor its word that a hop is safe
while TDs are created decide: the rules do, about the releases at hand and the facts of the moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from seamstep.base.errors import InputError
from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Outcome, Release, Step
from seamstep.plan.document import Hop, PlannedImage
from seamstep.rules import AppliedRule, Level
from seamstep.rules.asking import ask
from seamstep.rules.td_build import safe_while_tds_are_created


class Judge(NamedTuple):
    """The rules and releases that decide whether a hop may be performed.

    Attributes:
        rules: every rule in force, the hard rules among them, with level and waivers.
        releases: the releases of the mapping file at hand, with the images that hops upload.
    """

    rules: tuple[AppliedRule, ...]
    releases: Mapping[ModuleVersion, Release]

    def refusals(self, hop: Hop, host: HostFacts) -> Iterator[str]:
        """The reasons why ``hop`` may not be performed on a host with the facts ``host``, a clause each.

        A required rule has to answer ``pass``, unless the policy waives what it blocks. Rules that look ahead are left
        out: they judge what can be reached later, and lose no TDs.
        """
        source, target = self._release(hop.source), self._release(hop.target)
        if hop.image:
            yield from _differs(target, hop.image)
        if hop.safe_while_tds_are_created and not safe_while_tds_are_created(source, target):
            yield f"the mapping file does not list {hop.source} in strict_compat_versions of {hop.target}"
        for applied in self.rules:
            if applied.level is Level.REQUIRE and not applied.rule.looks_ahead:
                verdict = ask(applied.rule, Step(source, target), host)
                waived = verdict.outcome is Outcome.BLOCK and applied.waivers_for(hop.target)
                if verdict.outcome is not Outcome.PASS and not waived:
                    yield f"{verdict.rule}: {verdict.reason}"

    def _release(self, version: ModuleVersion) -> Release:
        return self.releases.get(version) or Release(version)


def _differs(release: Release, planned: PlannedImage) -> Iterator[str]:
    """Whether the image that is judged is another than the one that is uploaded; a clause if so."""
    image = release.usable_image()
    try:
        same = image and image.content.verification().sha256 == planned.sha256
        same = same and image and image.content.sha256_as(planned.upload_format) == planned.upload_sha256
    except InputError as error:
        yield str(error)
        return
    if not same:
        yield f"the image {planned.path} is not the one the plan was made with"
