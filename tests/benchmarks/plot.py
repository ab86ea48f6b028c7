"""The time by the length of a series, as an SVG with two logarithmic axes. Pure; the same points, the same bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape

_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 120, 44, 60
_COLOURS = ("#0b6bcb", "#b45309", "#1a7f37")


class _Axes:
    """Where a point of the data is in the picture: ``lengths`` across, ``decades`` of seconds up."""

    def __init__(self, lengths: list[int], seconds: list[float]) -> None:
        self.lengths = sorted(set(lengths))
        self.decades = range(math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds))) + 1)

    def across(self, length: float) -> float:
        first, last = math.log(self.lengths[0]), math.log(self.lengths[-1])
        return _LEFT + (math.log(length) - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    def down(self, seconds: float) -> float:
        first, last = self.decades[0], self.decades[-1]
        return _HEIGHT - _BOTTOM - (math.log10(seconds) - first) / (last - first) * (_HEIGHT - _TOP - _BOTTOM)


def svg(title: str, series: Mapping[str, Mapping[int, float]], things: str = "releases") -> str:
    """A picture of at most three ``series``: by name, by number of ``things``, seconds. Each has two points or more."""
    axes = _Axes([n for points in series.values() for n in points], [s for p in series.values() for s in p.values()])
    body = [*_frame(axes, title, things)]
    for colour, (name, points) in zip(_COLOURS[: len(series)], series.items(), strict=True):
        body += _line(axes, name, points, colour)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            'font-family="sans-serif" font-size="13" fill="#1f2328">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _frame(axes: _Axes, title: str, things: str) -> Iterator[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    yield f'<text x="{_LEFT}" y="24" font-size="15" font-weight="bold">{escape(title)}</text>'
    for decade in axes.decades:
        y = axes.down(10.0**decade)
        yield f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#d0d7de"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0 ** (decade + 3):,g} ms</text>'
    for length in axes.lengths:
        x = axes.across(length)
        yield f'<path d="M{x:.1f} {_TOP}V{bottom}" stroke="#d0d7de"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{length:,}</text>'
    yield f'<text x="{(_LEFT + right) / 2:.1f}" y="{_HEIGHT - 14}" text-anchor="middle">{things}</text>'


def _line(axes: _Axes, label: str, points: Mapping[int, float], colour: str) -> Iterator[str]:
    placed = [(axes.across(length), axes.down(seconds)) for length, seconds in sorted(points.items())]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for x, y in placed:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
    x, y = placed[-1]
    yield f'<text x="{x + 10:.1f}" y="{y + 4:.1f}" fill="{colour}">{escape(label)}</text>'
