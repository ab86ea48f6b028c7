"""The values of a rollout document, ``seamstep/rollout/v1``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

FLEET, CLASS = "fleet", "class"
LOST, UNKNOWN, FAILED, UNREACHABLE = "lost", "unknown", "failed", "unreachable"


class Amount(NamedTuple):
    """A number of hosts, or a percentage of some.

    Attributes:
        number: the number, or the percentage.
        percent: whether ``number`` is a percentage.
    """

    number: int
    percent: bool = False

    @classmethod
    def parse(cls, value: int | str) -> Amount:
        """The amount in a document: ``3``, or ``10%``."""
        return cls(value) if isinstance(value, int) else cls(int(value.rstrip("%")), percent=True)

    def of(self, hosts: int) -> int:
        """The number of hosts, out of ``hosts``. A percentage is rounded down, so that it is never exceeded."""
        return hosts * self.number // 100 if self.percent else self.number

    def __str__(self) -> str:
        return f"{self.number}%" if self.percent else str(self.number)


class Threshold(NamedTuple):
    """How many hosts halt how much: ``hosts`` of one class halt the class, or of the fleet the fleet (``of``)."""

    hosts: int
    of: str


#: What halts where a rollout does not say otherwise. An unreachable host halts nothing by itself: it is unavailable,
#: and unknown once its lease expires.
DEFAULT_HALTS: Mapping[str, Threshold] = {
    LOST: Threshold(1, FLEET),
    UNKNOWN: Threshold(1, FLEET),
    FAILED: Threshold(1, CLASS),
}


class Rollout(NamedTuple):
    """How a fleet is updated. Durations are in seconds.

    Attributes:
        name: the name of the rollout.
        sha256: the digest of its document.
        domain: the label that names a host's failure domain; empty if the fleet is one domain.
        unavailable_in_domain: the most hosts of a domain that may be unavailable at once.
        unavailable_in_all: the most hosts of the fleet that may be unavailable at once.
        canaries: how many hosts of a class take a step first.
        canary_soak: how long these have to run well before others of the class begin.
        waves: how many hosts of a class follow in each wave; all others are the last one.
        wave_soak: how long the hosts of a wave have to run well before the next wave begins.
        halts: what halts, by kind.
        reserve: the updates that each host has to keep.
        allow_list: whether the verifier's allow-list has to hold the measurements before a host begins.
        lease: how long a host has from its lease to its report.
        retry: how long a busy host waits before it is tried again.
        operators: who may halt and resume; empty if anybody may.
    """

    name: str
    sha256: str
    unavailable_in_domain: Amount
    unavailable_in_all: Amount
    canaries: int
    canary_soak: int
    domain: str = ""
    waves: tuple[Amount, ...] = ()
    wave_soak: int = 0
    halts: Mapping[str, Threshold] = DEFAULT_HALTS
    reserve: int = 0
    allow_list: bool = False
    lease: int = 3600
    retry: int = 600
    operators: tuple[str, ...] = ()

    def limit(self, hosts: int, *, domain: bool) -> int:
        """The most unavailable hosts of ``hosts``: those of a domain, or of the fleet."""
        return (self.unavailable_in_domain if domain else self.unavailable_in_all).of(hosts)

    def to_document(self) -> dict[str, Any]:
        """The values as JSON-able data, for :meth:`from_document`."""
        amounts = {name: str(getattr(self, name)) for name in ("unavailable_in_domain", "unavailable_in_all")}
        return {**self._asdict(), **amounts, "waves": [str(size) for size in self.waves], "halts": dict(self.halts)}

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> Rollout:
        """The values from what :meth:`to_document` returned."""
        values = dict(data)
        for name in ("unavailable_in_domain", "unavailable_in_all"):
            values[name] = _amount(values[name])
        values["waves"] = tuple(map(_amount, values["waves"]))
        values["halts"] = {kind: Threshold(*threshold) for kind, threshold in values["halts"].items()}
        values["operators"] = tuple(values["operators"])
        return cls(**values)


def _amount(text: str) -> Amount:
    return Amount.parse(text if text.endswith("%") else int(text))
