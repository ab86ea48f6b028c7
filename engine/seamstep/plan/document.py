"""The plan document, ``seamstep/plan/v1``, and the part of it that the executor needs.

Reading one back needs no schema library, no YAML and no graph: it is checked by its own digest and field by field.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple, Self

from seamstep.base.documents import Fields, canonical, read_json
from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import IMAGE_FORMATS, HostFacts
from seamstep.plan import checks as plan_checks
from seamstep.plan.settings import ApplySettings

SCHEMA = "seamstep/plan/v1"
_SIZE_LIMIT = 64 << 20
_VALUES_MAX = 8_000_000


class PlanOutcome(StrEnum):
    """What a plan comes to."""

    UPDATE = "update"
    UP_TO_DATE = "up-to-date"
    NO_PATH = "no-path"


class PlannedImage(NamedTuple):
    """The image of a hop: its file with its SHA-256 in hex, its sigstruct's file where that is separate, its MRSEAM and
    seamsvn, and the format (``2.0`` or ``1.0``) and SHA-256 of what is uploaded."""

    path: str
    sigstruct: str | None
    sha256: str
    mrseam: str
    seamsvn: int
    upload_format: str
    upload_sha256: str


class Hop(NamedTuple):
    """One update of a plan. ``image`` is None in a provisional plan."""

    source: ModuleVersion
    target: ModuleVersion
    image: PlannedImage | None

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


class Plan(NamedTuple):
    """A plan: the whole ``document``, and typed what the executor acts on. ``signers`` are the fingerprints that were
    trusted besides Intel's; ``running_image`` is the file that told what the running module is, with its SHA-256."""

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

    @classmethod
    def seal(cls, document: Mapping[str, Any]) -> Self:
        """A plan from a complete document that the planner made, without its ``id``, which is computed here."""
        sealed = {"schema": SCHEMA, "id": digest(document), **document}
        return cls._typed(Fields(sealed, "plan"))

    @classmethod
    def from_document(cls, document: Mapping[str, Any], source: str) -> Self:
        """Read a plan document; ``source`` names it in errors.

        Raises:
            InputError: not a plan, changed after it was made, or inconsistent in itself.
        """
        fields = Fields(document, source)
        if fields.text("schema") != SCHEMA:
            raise fields.error("schema", f"expected {SCHEMA!r}")
        if fields.text("id") != digest(document):
            raise fields.error("id", "does not match the plan: it was changed after it was made; plan again")
        plan = cls._typed(fields)
        plan_checks.check_shape(fields)
        if (plan.outcome is PlanOutcome.UPDATE) != bool(plan.hops):
            raise fields.error("hops", f"don't fit the outcome {plan.outcome.value!r}")
        found = plan_checks.contradictions(fields, plan.source, plan.hops, plan.host) if plan.hops else iter(())
        problem = next(found, None)
        if problem:
            raise fields.error("hops", problem)
        return plan

    @classmethod
    def _typed(cls, fields: Fields) -> Self:
        return cls(
            document=fields.data,
            id=fields.text("id"),
            outcome=fields.parsed("outcome", PlanOutcome),
            provisional=fields.boolean("provisional"),
            host=HostFacts.from_document(fields.sub("host")),
            source=fields.parsed("source", ModuleVersion),
            hops=tuple(_hop(hop) for hop in fields.items("hops")),
            signers=frozenset(fields.texts("signers")),
            running_image=fields.optional("source_image", lambda key: _file(fields.sub(key))),
            settings=ApplySettings.from_fields(fields.sub("apply")),
        )


def load(path: str) -> Plan:
    """Read a saved plan. Raises InputError for anything that is not one."""
    return Plan.from_document(read_json(path, _SIZE_LIMIT, "plan", values_max=_VALUES_MAX).data, path)


def digest(document: Mapping[str, Any]) -> str:
    """The plan's id: SHA-256 over the canonical document without the key ``id``, in hex."""
    body = {"schema": SCHEMA, **{key: value for key, value in document.items() if key != "id"}}
    return hashlib.sha256(canonical(body)).hexdigest()


def _hop(fields: Fields) -> Hop:
    return Hop(
        source=fields.parsed("from", ModuleVersion),
        target=fields.parsed("to", ModuleVersion),
        image=fields.optional("image", lambda key: _image(fields.sub(key))),
    )


def _image(fields: Fields) -> PlannedImage:
    upload = fields.sub("upload")
    return PlannedImage(
        path=fields.text("path"),
        sigstruct=fields.optional("sigstruct", fields.text),
        sha256=fields.parsed("sha256", plan_checks.sha256),
        mrseam=fields.parsed("mrseam", plan_checks.mrseam),
        seamsvn=plan_checks.seamsvn(fields, "seamsvn"),
        upload_format=upload.parsed("format", _upload_format),
        upload_sha256=upload.parsed("sha256", plan_checks.sha256),
    )


def _upload_format(text: str) -> str:
    if text not in IMAGE_FORMATS.values():
        raise ValueError(f"{text!r} is not an image format that a kernel takes")
    return text


def _file(fields: Fields) -> tuple[str, str]:
    return fields.text("path"), fields.parsed("sha256", plan_checks.sha256)
