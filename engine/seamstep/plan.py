"""The plan document, ``seamstep/plan/v1``, and the part of it that the executor needs.

Reading one back needs no schema library, no YAML and no graph: it is checked by its own digest and field by field.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from seamstep.documents import Fields, canonical, read_json
from seamstep.facts import HostFacts
from seamstep.versions import ModuleVersion

SCHEMA = "seamstep/plan/v1"
_SIZE_LIMIT = 64 << 20


class PlanOutcome(StrEnum):
    """What a plan comes to."""

    UPDATE = "update"
    UP_TO_DATE = "up-to-date"
    NO_PATH = "no-path"


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """The image of a hop: the file, its SHA-256 in hex, and its format (0x200)."""

    path: str
    sha256: str
    format: int


@dataclass(frozen=True, slots=True)
class Hop:
    """One update of a plan. ``image`` is None in a provisional plan."""

    source: ModuleVersion
    target: ModuleVersion
    image: PlannedImage | None

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan: the whole ``document``, and typed what the executor acts on."""

    document: Mapping[str, Any]
    id: str
    outcome: PlanOutcome
    provisional: bool
    host: HostFacts
    source: ModuleVersion
    hops: tuple[Hop, ...]

    @classmethod
    def seal(cls, document: Mapping[str, Any]) -> Self:
        """A plan from a complete document without its ``id``, which is computed here."""
        sealed = {"schema": SCHEMA, "id": digest(document), **document}
        return cls.from_document(sealed, "plan")

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
        plan = cls(
            document=document,
            id=fields.text("id"),
            outcome=fields.parsed("outcome", PlanOutcome),
            provisional=fields.boolean("provisional"),
            host=HostFacts.from_document(fields.sub("host")),
            source=fields.parsed("source", ModuleVersion),
            hops=tuple(_hop(hop) for hop in fields.items("hops")),
        )
        versions = [plan.source, *(hop.target for hop in plan.hops)]
        linked = all(hop.source == before for hop, before in zip(plan.hops, versions, strict=False))
        if not linked or plan.host.module_version != plan.source:
            raise fields.error("hops", "don't lead on from the running module")
        if (plan.outcome is PlanOutcome.UPDATE) != bool(plan.hops):
            raise fields.error("hops", f"don't fit the outcome {plan.outcome.value!r}")
        if not plan.provisional and any(hop.image is None for hop in plan.hops):
            raise fields.error("hops", "lack an image though the plan is not provisional")
        return plan


def load(path: str) -> Plan:
    """Read a saved plan. Raises InputError for anything that is not one."""
    return Plan.from_document(read_json(path, _SIZE_LIMIT, "plan").data, path)


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
    return PlannedImage(fields.text("path"), fields.text("sha256"), fields.integer("format"))
