"""The plan document, ``seamstep/plan/v1``, and the part of it that the executor needs.

The JSON Schema describes the document; :func:`contradictions` checks the conditions that a schema can't express.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterator, Mapping
from datetime import date
from enum import StrEnum
from typing import Any, NamedTuple, Self

from seamstep.base import cpus
from seamstep.base.documents import Document, canonical, read_json
from seamstep.base.errors import ExitCode, InputError
from seamstep.base.validation import require
from seamstep.base.versions import ModuleVersion
from seamstep.domain import facts
from seamstep.domain.facts import IMAGE_FORMATS, HostFacts
from seamstep.domain.model import Outcome
from seamstep.plan.class_id import class_id
from seamstep.plan.settings import ApplySettings
from seamstep.rules import HARD_RULES

SCHEMA = "seamstep/plan/v1"
#: Rules that refuse the first step because of the host, whatever its target.
_HOST_RULES = {"upload-interface", "updates-remaining"}
_SIZE_LIMIT = 64 << 20
_VALUES_MAX = 8_000_000


class PlanOutcome(StrEnum):
    """The outcome of planning.

    UPDATE: there is a path. UP_TO_DATE: the mapping file lists the running version and no newer release of its series
    that the policy wants. NO_PATH: it lists one, and no permitted path leads to any. NOT_LISTED: it lists neither the
    running version nor such a release, so the answer is not known.
    """

    UPDATE = "update"
    UP_TO_DATE = "up-to-date"
    NO_PATH = "no-path"
    NOT_LISTED = "not-listed"


class PlannedImage(NamedTuple):
    """The image of a hop.

    Attributes:
        path: the file of the image or module.
        sigstruct: the file of the sigstruct, if it has one of its own.
        sha256: the SHA-256 of the file at ``path`` in hex.
        mrseam: the image's MRSEAM in hex.
        seamsvn: the image's security version.
        upload_format: the format of the bytes to upload, ``2.0`` or ``1.0``.
        upload_sha256: the SHA-256 of the bytes to upload in hex.
    """

    path: str
    sigstruct: str | None
    sha256: str
    mrseam: str
    seamsvn: int
    upload_format: str
    upload_sha256: str


class Hop(NamedTuple):
    """One update of a plan.

    Attributes:
        source: the release before the update.
        target: the release after it.
        image: the target's image; None in a provisional plan where there is none.
        safe_while_tds_are_created: whether the target lists the source in strict_compat_versions.
        needs_no_td: whether the hop is permitted only because no TD runs.
    """

    source: ModuleVersion
    target: ModuleVersion
    image: PlannedImage | None
    safe_while_tds_are_created: bool = False
    needs_no_td: bool = False

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


class Plan(NamedTuple):
    """A plan: its whole document, and typed values of the parts that the executor uses.

    Attributes:
        document: the document, with ``schema`` and ``id``.
        id: the digest of the document.
        outcome: an update, nothing to do, or no path.
        provisional: whether rules were left open because images are missing.
        host: the facts for which the plan was made.
        source: the running module.
        hops: the updates in their order; empty unless the outcome is an update.
        signers: fingerprints that were trusted besides Intel's; empty for a real host.
        running_image: path and SHA-256 of the running module's image that the rules read; None if there was none.
        settings: the executor's settings.
        creation_held: whether the policy says that no TD is created while hops are performed.
        as_of: the day for which the policy was read.
        valid_until: the last day on which the policy decides as on that day; None if it does so for ever.
        hypothetical: whether the plan was made as of another day than its own.
    """

    document: Mapping[str, Any]
    id: str
    outcome: PlanOutcome
    provisional: bool
    host: HostFacts
    source: ModuleVersion
    hops: tuple[Hop, ...]
    signers: frozenset[str]
    running_image: tuple[str, str] | None
    settings: ApplySettings
    creation_held: bool
    as_of: date
    valid_until: date | None
    hypothetical: bool

    def decides(self, day: date) -> bool:
        """Whether the policy decides on ``day`` as on the day for which the plan was made."""
        return self.as_of <= day and (self.valid_until is None or day <= self.valid_until)

    @property
    def class_id(self) -> str:
        """The digest of what the plan decides, which all hosts of a class share."""
        return class_id(self.document)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of planning: DONE for an update or nothing to do, NO where the running version is not listed.
        Without a path, BUSY while another update is under way, NOT_UPDATABLE where the host can't be updated to any
        release at run time, else NO."""
        if self.outcome is not PlanOutcome.NO_PATH:
            return ExitCode.NO if self.outcome is PlanOutcome.NOT_LISTED else ExitCode.DONE
        first = [step["verdicts"] for step in self.document["rejected"] if step["from"] == str(self.source)]
        evidence = {one["rule"]: one["evidence"] for step in first for one in step if one["outcome"] == Outcome.BLOCK}
        if "status" in evidence.get("upload-interface", {}):
            return ExitCode.BUSY
        hidden = "cpu_limits" in evidence.get("cpus-online", {})
        return ExitCode.NOT_UPDATABLE if hidden or _HOST_RULES & {*evidence} else ExitCode.NO

    @classmethod
    def of(cls, document: Mapping[str, Any], host: HostFacts) -> Self:
        """The plan in a document that fits its schema. Raises ValueError for an impossible version, day or time
        zone."""
        image, until = document["source_image"], document["valid_until"]
        return cls(
            document=document,
            id=document["id"],
            outcome=PlanOutcome(document["outcome"]),
            provisional=document["provisional"],
            host=host,
            source=ModuleVersion(document["source"]),
            hops=tuple(map(_hop, document["hops"])),
            signers=frozenset(document["signers"]),
            running_image=image and (image["path"], image["sha256"]),
            settings=ApplySettings.from_document(document["apply"]),
            creation_held=document["td_creation"] == "held",
            as_of=date.fromisoformat(document["as_of"]),
            valid_until=until and date.fromisoformat(until),
            hypothetical=document["hypothetical"],
        )


def seal(document: Mapping[str, Any], host: HostFacts) -> Plan:
    """The plan in a document that the planner made for ``host``, complete except for ``schema``, ``id`` and
    ``class_id``, which are added here."""
    return Plan.of(resealed(document), host)


def resealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A plan document with the ``schema``, ``id`` and ``class_id`` that fit its other keys."""
    body = {"class_id": class_id(document), **_without_seals(document)}
    return {"schema": SCHEMA, "id": digest(body), **body}


def load(path: str) -> Plan:
    """Read a saved plan. Raises InputError if the file can't be read, and as :func:`read` does."""
    return read(read_json(path, _SIZE_LIMIT, "plan", values_max=_VALUES_MAX))


def read(document: Document) -> Plan:
    """The plan in a document.

    Raises:
        InputError: it breaks the schema of plans, was changed after it was made, or contradicts itself.
    """
    require(document, "plan")
    if document.data["id"] != digest(document.data):
        message = "does not match the plan: it was changed after it was made; plan again"
        raise InputError(document.problem(("id",), message))
    host = facts.read(document.inner("host"))
    try:
        plan = Plan.of(document.data, host)
    except ValueError as error:
        raise InputError(document.problem((), str(error))) from None
    if "class_id" in document.data and document.data["class_id"] != plan.class_id:
        raise InputError(document.problem(("class_id",), "is not the class of this plan; plan again"))
    problem = next(contradictions(plan, 0, host), None)
    if problem:
        raise InputError(document.problem(("hops",), problem))
    return plan


def digest(document: Mapping[str, Any]) -> str:
    """The plan's id: SHA-256 over the canonical document without the key ``id``, in hex."""
    body = {"schema": SCHEMA, **{key: value for key, value in document.items() if key != "id"}}
    return hashlib.sha256(canonical(body)).hexdigest()


def _without_seals(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in {"schema", "id", "class_id"}}


def _hop(document: Mapping[str, Any]) -> Hop:
    image = document["image"]
    creation = document["td_creation"]
    return Hop(
        source=ModuleVersion(document["from"]),
        target=ModuleVersion(document["to"]),
        image=image and _image(image),
        safe_while_tds_are_created=creation["safe"],
        needs_no_td=creation["needs_no_td"],
    )


def _image(document: Mapping[str, Any]) -> PlannedImage:
    return PlannedImage(
        path=document["path"],
        sigstruct=document["sigstruct"],
        sha256=document["sha256"],
        mrseam=document["mrseam"],
        seamsvn=document["seamsvn"],
        upload_format=document["upload"]["format"],
        upload_sha256=document["upload"]["sha256"],
    )


def contradictions(plan: Plan, done: int, host: HostFacts) -> Iterator[str]:
    """The contradictions that the schema of plans can't express: between the hops after the first ``done``, the plan
    and ``host``. Each is the end of a sentence that begins with "hops". A plan that the planner made for that host has
    none."""
    if (plan.outcome is PlanOutcome.UPDATE) != bool(plan.hops):
        yield f"don't fit the outcome {plan.outcome.value!r}"
    hops = plan.hops[done:]
    if not hops:
        return
    if plan.signers and not host.simulated:
        yield "trust a signer besides Intel, and the host is real"
    starts = [host.module_version, *(hop.target for hop in hops)]
    if (not done and plan.source != hops[0].source) or any(map(operator.ne, [hop.source for hop in hops], starts)):
        yield "don't lead on from the running module"
    if any(hop.source.series != hop.target.series or not hop.source < hop.target for hop in hops):
        yield "don't lead upwards inside one series"
    if plan.document["target"] != str(hops[-1].target):
        yield "don't lead to the plan's target"
    if host.remaining_updates is None or host.remaining_updates < len(hops):
        yield f"are {len(hops)}, and the host has {host.remaining_updates} updates left"
    yield from _host_contradictions(host)
    for hop, document in zip(hops, plan.document["hops"][done:], strict=True):
        yield from _hop_contradictions(plan, hop, document, host)


def _host_contradictions(host: HostFacts) -> Iterator[str]:
    if host.profile is None or host.upload is None or host.upload.status != "idle":
        yield "need an idle upload interface, and the host has none"
    online, present = host.cpus_online, host.cpus_present
    if online is None or present is None or cpus.parse_list(online) != cpus.parse_list(present):
        yield "need all CPUs online, and the host's are not"


def _hop_contradictions(plan: Plan, hop: Hop, document: Mapping[str, Any], host: HostFacts) -> Iterator[str]:
    if hop.image is None and not plan.provisional:
        yield "lack an image though the plan is not provisional"
    if hop.image and hop.image.upload_format != IMAGE_FORMATS.get(host.profile or ""):
        yield f"upload another format than the {host.profile} interface takes"
    refusing = {one["rule"] for one in document["verdicts"] if one["outcome"] == Outcome.BLOCK} & {*HARD_RULES}
    if refusing:
        yield f"are refused by {', '.join(sorted(refusing))}"
