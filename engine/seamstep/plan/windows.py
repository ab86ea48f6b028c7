"""Maintenance windows, in which updates may begin. Pure: the caller gives the time in seconds since the epoch.

A window is one stretch of time. It begins at the first instant at which the clocks of its zone read ``from`` or later
on a day that it names, and ends at the first instant after that at which they read ``to`` or later. A time that the
clocks skip in spring stands for the moment of the jump, a time that they show twice in autumn for the first of the two.
So a window never opens twice in one night and never stays open past its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)


class Window(NamedTuple):
    """One window of a policy.

    Attributes:
        start: the local time at which it begins.
        end: the local time at which it ends; on the next day if it is not after ``start``.
        days: the days on which it begins; Monday is 0.
        zone: the time zone of ``start`` and ``end``.
    """

    start: time
    end: time
    days: frozenset[int]
    zone: ZoneInfo

    def stretch(self, day: date) -> tuple[float, float] | None:
        """Begin and end of the window on ``day``, in seconds since the epoch; None if it does not begin on that day."""
        if day.weekday() not in self.days:
            return None
        last = day if self.start < self.end else day + _DAY
        begins, ends = _instant(day, self.start, self.zone), _instant(last, self.end, self.zone)
        return (begins, ends) if begins < ends else None

    def _around(self, now: float, days: int) -> Iterator[tuple[float, float]]:
        today = datetime.fromtimestamp(now, self.zone).date()
        found = (self.stretch(today + offset * _DAY) for offset in range(-2, days))
        return (stretch for stretch in found if stretch)

    def is_open(self, now: float) -> bool:
        """Whether ``now`` is inside the window."""
        return any(begins <= now < ends for begins, ends in self._around(now, 1))

    def opens(self, now: float) -> float | None:
        """The time at which the window next opens after ``now``; None if it never does."""
        return min((begins for begins, _ in self._around(now, 16) if begins > now), default=None)


def closed(windows: Iterable[Window], now: float) -> str:
    """The reason why no update may begin ``now``, with the next opening; empty if one may. Without windows one always
    may."""
    listed = tuple(windows)
    if not listed or any(window.is_open(now) for window in listed):
        return ""
    openings = [(opening, window) for window in listed if (opening := window.opens(now)) is not None]
    if not openings:
        return "outside the maintenance windows of the policy, and none of them ever opens"
    opening, window = min(openings, key=lambda pair: pair[0])
    when = datetime.fromtimestamp(opening, window.zone).strftime("%Y-%m-%d %H:%M")
    return f"outside the maintenance windows of the policy; the next opens {when} ({window.zone.key})"


def _instant(day: date, at: time, zone: ZoneInfo) -> float:
    """The first instant at which the clocks of ``zone`` read ``at`` or later on ``day``."""
    local = datetime.combine(day, at, zone)
    instant = local.timestamp()
    if datetime.fromtimestamp(instant, zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return instant
    before, after = int(local.replace(fold=1).timestamp()), int(instant)  # the clocks jump between the two
    offset = datetime.fromtimestamp(before, UTC).astimezone(zone).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return float(after)
