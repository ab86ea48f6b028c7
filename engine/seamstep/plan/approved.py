"""A plan that was approved for hosts of a class, and is made again on each of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from seamstep.base.errors import StalePlanError
from seamstep.plan import document
from seamstep.plan.class_id import differences
from seamstep.plan.document import Plan

_TOLD_MAX = 10


class Approved(NamedTuple):
    """The class that was approved, and the plan document if there is one."""

    class_id: str
    document: Mapping[str, Any] | None

    @classmethod
    def of(cls, text: str) -> Self:
        """A class_id, or else the path of a saved plan. Raises InputError as :func:`document.load`."""
        if re.fullmatch(r"[0-9a-f]{64}", text):
            return cls(text, None)
        plan = document.load(text)
        return cls(plan.class_id, plan.document)

    def require(self, plan: Plan) -> None:
        """Raise StalePlanError, with the differences, unless ``plan`` is what was approved."""
        found = plan.class_id
        if found == self.class_id:
            return
        message = f"stale plan: this host's plan has the class_id {found}, and {self.class_id} was approved"
        if self.document is None:
            raise StalePlanError(
                f"{message}; this plan: {plan.document['reason']} (--approved with the file of the approved plan tells"
                " the difference)"
            )
        told = differences(self.document, plan.document)
        more = f"; and {len(told) - _TOLD_MAX} differences more" if len(told) > _TOLD_MAX else ""
        raise StalePlanError(f"{message}: {'; '.join(told[:_TOLD_MAX])}{more}")
