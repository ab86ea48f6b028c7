"""Maintenance windows, in which updates may begin. Pure: the caller gives the time in seconds since the epoch.

An update may begin while at least one window of each layer of policies is open. Layers without windows permit any time.

A window is one stretch of time. It begins at the first instant at which the clocks of its zone read ``from`` or later
on a day that it names, and ends at the first instant after that at which they read ``to`` or later. A time that the
clocks skip in spring stands for the moment of the jump, a time that they show twice in autumn for the first of the two.
So a window never opens twice in one night and never stays open past its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)
#: How far ahead the next opening is looked for: two weeks, since a clock change can swallow a weekly window once.
_AHEAD = 16
_Stretch = tuple[float, float]


class Window(NamedTuple):
    """One window of a policy.

    Attributes:
        start: the local time at which it begins.
        end: the local time at which it ends; on the next day if it is not after ``start``.
        days: the days on which it begins; Monday is 0.
        zone: the time zone of ``start`` and ``end``.
        layer: the position, among the layers of policies, of the policy that has the window.
    """

    start: time
    end: time
    days: frozenset[int]
    zone: ZoneInfo
    layer: int = 0

    def stretch(self, day: date) -> _Stretch | None:
        """Begin and end of the window on ``day``, in seconds since the epoch; None if it does not begin on that day."""
        if day.weekday() not in self.days:
            return None
        last = day if self.start < self.end else day + _DAY
        begins, ends = _instant(day, self.start, self.zone), _instant(last, self.end, self.zone)
        return (begins, ends) if begins < ends else None

    def around(self, now: float, days: int) -> Iterator[_Stretch]:
        """The stretches that begin from two days before ``now`` until ``days`` days after it, ascending."""
        today = datetime.fromtimestamp(now, self.zone).date()
        found = (self.stretch(today + offset * _DAY) for offset in range(-2, days))
        return (stretch for stretch in found if stretch)

    def is_open(self, now: float) -> bool:
        """Whether ``now`` is inside the window."""
        return any(begins <= now < ends for begins, ends in self.around(now, 1))

    def opens(self, now: float) -> float | None:
        """The time at which the window next opens after ``now``; None if it never does."""
        return min((begins for begins, _ in self.around(now, _AHEAD) if begins > now), default=None)


def is_open(windows: Iterable[Window], now: float) -> bool:
    """Whether an update may begin ``now``. Without windows one always may."""
    return all(any(window.is_open(now) for window in layer) for layer in _by_layer(windows))


def opens(windows: Iterable[Window], now: float) -> float | None:
    """The first time after ``now`` at which an update may begin, where none may now; None if there is none in the next
    weeks."""
    found = _next_opening(_by_layer(windows), now)
    return found and found[0]


def closed(windows: Iterable[Window], now: float) -> str:
    """The reason why no update may begin ``now``, with the next opening; empty if one may."""
    listed = tuple(windows)
    if is_open(listed, now):
        return ""
    layers = _by_layer(listed)
    several = len(layers) > 1
    outside = f"outside the maintenance windows of the {'policies' if several else 'policy'}"
    found = _next_opening(layers, now)
    if found is None:
        never = (
            f"no time in the next {_AHEAD - 1} days is in the windows of all" if several else "none of them ever opens"
        )
        return f"{outside}, and {never}"
    opening, zone = found
    when = datetime.fromtimestamp(opening, zone).strftime("%Y-%m-%d %H:%M")
    return f"{outside}; the next {'time in all of them is' if several else 'opens'} {when} ({zone.key})"


def _by_layer(windows: Iterable[Window]) -> list[list[Window]]:
    layers: dict[int, list[Window]] = {}
    for window in windows:
        layers.setdefault(window.layer, []).append(window)
    return list(layers.values())


def _next_opening(layers: Sequence[Sequence[Window]], now: float) -> tuple[float, ZoneInfo] | None:
    """The first time after ``now`` at which every layer has an open window, and the zone of the window that opens then;
    None if there is none in the days looked at."""
    stretches = [[(*one, window.zone) for window in layer for one in window.around(now, _AHEAD)] for layer in layers]
    openings = ((begins, zone) for layer in stretches for begins, _, zone in layer if begins > now)
    for opening, zone in sorted(openings, key=lambda pair: pair[0]):
        if all(any(begins <= opening < ends for begins, ends, _ in layer) for layer in stretches):
            return opening, zone
    return None


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
