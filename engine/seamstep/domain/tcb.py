"""Intel's TDX TCB Info as values: what it says of a module by its SVN. Pure.

A document is for one FMSPC, a kind of platform. It has an identity for each major SVN of TDX modules (``TDX_01`` for
series 1.5, ``TDX_03`` for series 2.0), and each identity has levels: the first one whose isvsvn is not above the
module's minor SVN applies. Source: Intel PCS API version 4, Get TDX TCB Info; Intel's quote verification library.

The levels of the whole platform (microcode, BIOS) are not read: no module update changes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple


class TcbStatus(StrEnum):
    """The status of a TDX module in TCB Info."""

    UP_TO_DATE = "UpToDate"
    OUT_OF_DATE = "OutOfDate"
    REVOKED = "Revoked"


class TcbLevel(NamedTuple):
    """A level of an identity.

    Attributes:
        isvsvn: the lowest minor SVN that the level is for.
        day: ``tcbDate``; advisories up to this day are taken into account.
        status: the status of modules at this level.
        advisories: the ids that the level lists, such as INTEL-SA-01099.
    """

    isvsvn: int
    day: date
    status: TcbStatus
    advisories: tuple[str, ...] = ()


class Standing(NamedTuple):
    """What one document says of one SVN.

    Attributes:
        fmspc: the document's FMSPC.
        evaluation: its ``tcbEvaluationDataNumber``.
        identity: the id of the module's identity, such as TDX_01.
        status: the status; None if it is unknown.
        day: the ``tcbDate`` of the level that applies.
        since: where a higher level exists, the ``tcbDate`` of the lowest of these: from then on the module is behind.
        advisories: the advisories that are open, sorted.
        closed: the other advisories of the document, sorted. One that the document lists for modules of other
            identities alone was never open in this one.
        reason: why the status is unknown.
    """

    fmspc: str
    evaluation: int
    identity: str
    status: TcbStatus | None = None
    day: date | None = None
    since: date | None = None
    advisories: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    reason: str = ""

    @property
    def badness(self) -> int:
        """Greater for a worse status. Unknown is worse than UpToDate and better than what is known to be bad."""
        return _BADNESS.index(self.status)

    def to_document(self) -> dict[str, Any]:
        """The standing as JSON-able data."""
        return {
            "fmspc": self.fmspc,
            "evaluation": self.evaluation,
            "identity": self.identity,
            "status": self.status and self.status.value,
            "date": self.day and self.day.isoformat(),
            "since": self.since and self.since.isoformat(),
            "advisories": list(self.advisories),
            "reason": self.reason or None,
        }


_BADNESS = (TcbStatus.UP_TO_DATE, None, TcbStatus.OUT_OF_DATE, TcbStatus.REVOKED)


class TcbInfo(NamedTuple):
    """A verified TCB Info document of id TDX.

    Attributes:
        path: its file.
        sha256: the digest of that file in hex.
        fmspc: the FMSPC in upper-case hex.
        evaluation: ``tcbEvaluationDataNumber``, greater for a later TCB recovery.
        issued: ``issueDate``.
        next_update: ``nextUpdate``.
        identities: the levels of each identity, in descending order of isvsvn, by the identity's id.
    """

    path: str
    sha256: str
    fmspc: str
    evaluation: int
    issued: datetime
    next_update: datetime
    identities: tuple[tuple[str, tuple[TcbLevel, ...]], ...]

    def why_unusable(self, as_of: date, stale_until: date | None = None) -> str:
        """Why the document decides nothing on a day; empty if it does. It counts through the day of its ``nextUpdate``,
        and through ``stale_until`` if that is later."""
        if as_of < self.issued.date():
            return f"the document was issued on {self.issued.date()}, after {as_of}"
        if as_of > self.last_day(stale_until):
            return f"the document has expired: its nextUpdate was {self.next_update.date()}"
        return ""

    def last_day(self, stale_until: date | None = None) -> date:
        """The last day on which the document decides."""
        day = self.next_update.date()
        return max(day, stale_until or day)

    def standing(self, seamsvn: int, as_of: date, stale_until: date | None = None) -> Standing:
        """What the document says on a day of the module with a raw ``seamsvn``."""
        major, minor = seamsvn >> 8, seamsvn & 0xFF
        identity = f"TDX_{major:02X}"
        unknown = Standing(self.fmspc, self.evaluation, identity)
        if reason := self.why_unusable(as_of, stale_until):
            return unknown._replace(reason=reason)
        levels = dict(self.identities).get(identity)
        if levels is None:
            return unknown._replace(reason=f"the document has no identity {identity}")
        place = next((place for place, level in enumerate(levels) if level.isvsvn <= minor), None)
        if place is None:
            return unknown._replace(reason=f"isvsvn {minor} is below every level of {identity}")
        return self._at_level(unknown, levels, place)

    def _at_level(self, unknown: Standing, levels: tuple[TcbLevel, ...], place: int) -> Standing:
        """The standing at a level. An advisory is open if this level or a higher one lists it, so that none counts as
        closed below a level that has it open."""
        applies = levels[place]
        open_here = {advisory for level in levels[: place + 1] for advisory in level.advisories}
        known = {advisory for _, each in self.identities for level in each for advisory in level.advisories}
        return unknown._replace(
            status=applies.status,
            day=applies.day,
            since=levels[place - 1].day if place else None,
            advisories=tuple(sorted(open_here)),
            closed=tuple(sorted(known - open_here)),
        )


#: What verifiers call a quote of a TD that was launched on a module that is out of date, and runs on one that is not.
RELAUNCH_ADVISED = "TDRelaunchAdvised"
_CALLED = (TcbStatus.UP_TO_DATE, None, RELAUNCH_ADVISED, TcbStatus.OUT_OF_DATE, TcbStatus.REVOKED)


def quote_status(launched: Iterable[Standing], running: Iterable[Standing]) -> str | None:
    """What a verifier calls a quote, as far as modules decide: the worst by all documents, None if it is unknown.

    A TD that was launched on a module that is OutOfDate has TDRelaunchAdvised while a module of the highest level runs.
    Source: Intel's quote verification library, ``checkForRelaunch``. It holds for quotes with TEE_TCB_SVN_2, on
    platforms that are not out of date otherwise.

    Args:
        launched: the standings of the module that the TD was launched on, by TEE_TCB_SVN.
        running: those of the module that runs while the quote is made, by TEE_TCB_SVN_2, document by document.
    """
    found = [
        RELAUNCH_ADVISED
        if first.status is TcbStatus.OUT_OF_DATE and second.status and second.since is None
        else first.status
        for first, second in zip(launched, running, strict=True)
    ]
    called = max(found, key=_CALLED.index)
    return called and str(called)


class TcbView(NamedTuple):
    """The documents that decide, and the day on which they do.

    Attributes:
        documents: the newest document of each FMSPC that counts, ascending by FMSPC.
        as_of: the day.
        stale_until: the last day on which an expired document is still used; None for none.
        left_out: the FMSPCs of which there are documents, but none of the evaluation number that was asked for.
    """

    documents: tuple[TcbInfo, ...]
    as_of: date
    stale_until: date | None = None
    left_out: tuple[str, ...] = ()

    def standings(self, seamsvn: int) -> tuple[Standing, ...]:
        """What each document says of a raw ``seamsvn``."""
        return tuple(document.standing(seamsvn, self.as_of, self.stale_until) for document in self.documents)

    @property
    def valid_until(self) -> date | None:
        """The last day, from ``as_of`` on, until which all documents decide alike; None if they do so for ever."""
        ends = [one.last_day(self.stale_until) for one in self.documents]
        begun = [one.issued.date() for one in self.documents]
        days = [day for day in ends if day >= self.as_of]
        days += [day - timedelta(days=1) for day in begun if day > self.as_of]
        return min(days, default=None)


def newest(documents: Iterable[TcbInfo]) -> tuple[TcbInfo, ...]:
    """The newest document of each FMSPC, ascending by FMSPC. A greater evaluation number is newer, then a later
    ``issueDate``; expired or not, since an older document knows less. The order in which they come does not matter."""
    found: dict[str, TcbInfo] = {}
    for document in sorted(documents, key=lambda one: (one.fmspc, one.evaluation, one.issued, one.sha256)):
        found[document.fmspc] = document
    return tuple(found.values())


def closes(standings: Iterable[Standing] | None, advisory: str) -> bool:
    """Whether an advisory is closed in a module: no document has it open, at least one knows it, and none answers
    unknown or Revoked, since verifiers refuse a revoked module whatever it has fixed. ``standings`` are those of the
    module; None if there is no TCB Info."""
    found = tuple(standings or ())
    known = any(advisory in standing.closed for standing in found)
    usable = all(standing.status not in {None, TcbStatus.REVOKED} for standing in found)
    return known and usable and all(advisory not in standing.advisories for standing in found)


def summary(standings: Iterable[Standing]) -> dict[str, Any]:
    """What documents say of one module together, as JSON-able data: the worst status, all open advisories, and under
    ``documents`` what each says."""
    found = tuple(standings)
    whole = worst(found).to_document()
    return {
        **{key: whole[key] for key in ("status", "date", "since", "reason")},
        "advisories": sorted({advisory for standing in found for advisory in standing.advisories}),
        "documents": [standing.to_document() for standing in found],
    }


def worst(standings: Iterable[Standing]) -> Standing:
    """The standing that counts where the host's FMSPC is not known: the worst; of several, the first."""
    return max(standings, key=lambda standing: standing.badness)
