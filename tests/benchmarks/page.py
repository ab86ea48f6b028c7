"""docs/benchmarks.md: every figure in it comes from one run. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import figures
from figures import BARE, FLEETS, LENGTHS, Budget, Figure, Fleet, Process

_HEAD = """# Speed

Written by `python tests/benchmarks/run.py`; no figure here was typed. Needs `pip install -e '.[test,bench]'`.
CI holds the figures to [a budget](../tests/benchmarks/budget.toml) (`run.py --check`).
"""
_PROMISES = """## Promises

Times are processor times, user and system. A bare start is `python -I -c pass`. Milliseconds are those of this machine;
CI compares them with a bare start in the same run. A series of more than 500 releases is refused.
"""
FLEETS_BEGIN, FLEETS_END = "<!-- fleets -->", "<!-- end of fleets -->"
#: The command that plans for one host, as a fleet's would be planned one by one.
ONE_BY_ONE = ("plan --catalog",)
_FLEETS = """## Fleets

Written by `run.py --fleets` too, at another time than the rest of the page. `seamstep fleet plan -o OUT` as a whole
process: facts as JSON Lines with labels, 500 bytes a host; images from a catalog; the hosts written out, 170 bytes
each. Medians of three. One by one is the processor time of `seamstep plan --catalog` times the number of hosts.
"""
_PROCESSES = """## Whole processes

The console script in an isolated interpreter (`python -I`), modules compiled before; medians of interleaved rounds. The
wall time is longer on a machine that does other things too. Memory is the peak (`VmHWM`). The mapping file is Intel's,
with twenty releases; `plan` does without images; `plan --catalog` reads twenty images of published sizes; `apply PLAN`
performs two hops on the simulated host (`--simulate`), with a journal that is synced to the disk.
"""
_DECISIONS = """## One decision, side by side

A decision judges one step. seamstep gives a verdict with a reason for each rule; its time is that of building the
graph, divided by the number of steps. Cedar and Rego answer yes or no by a handful of the rules
(`decision.cedar`, `decision.rego` in `tests/benchmarks`), to the same questions: every step to a newer release, on a
host of each series. The promise compares all hard rules of seamstep with the handful of the others. That all
answer alike by the handful is checked in the same run, on every step from anywhere to anywhere. Cedar runs in its
fastest mode: policies and entities parsed before, one batch, no contexts, names that need no parsing. Rego runs a
bundle compiled before, with inputs made before.
"""
_GROWTH = """## Growth

A made-up series in which every step is permitted, on a host with nine updates left, under the shipped policy
`shortest-path`.
"""
_OTHER = """## Verification

The twenty images of `plan --catalog`, in memory.
"""
_DECIDING = {
    "seamstep, all hard rules": "decision",
    "seamstep, the handful": "handful",
    "Cedar (cedarpy), the handful": "cedar",
    "Rego (regopy), the handful": "rego",
}
_SERIES = {"graph": "graph", "whole plan": "series"}


def page(
    processes: Mapping[str, Process],
    speeds: Mapping[str, float],
    found: Sequence[Figure],
    allowed: Mapping[str, Budget],
    about: Mapping[str, str],
    of_fleets: str,
) -> str:
    """The whole page; ``of_fleets`` is the part that :func:`fleets` gives."""
    parts = [
        _HEAD,
        "\n".join(f"- {name}: {text}" for name, text in about.items()) + "\n",
        _PROMISES,
        _promises([one for one in found if " hosts in " not in one.name], allowed),
        of_fleets + "\n",
        _PROCESSES,
        _process_table(processes),
        _DECISIONS,
        _decision_table(speeds),
        _GROWTH,
        _growth_table(growths(speeds)),
        "![Time by the number of releases](images/growth.svg)\n",
        _OTHER,
        _verification_table(speeds),
    ]
    return "\n".join(parts)


def fleets(
    found: Mapping[Fleet, Process],
    processes: Mapping[str, Process],
    of_fleets: Sequence[Figure],
    allowed: Mapping[str, Budget],
    about: Mapping[str, str],
) -> str:
    """The part about fleets, between its marks. ``processes`` has the commands of ONE_BY_ONE, and a bare start."""
    alone = processes[ONE_BY_ONE[0]].busy
    rows = [
        [
            str(fleet),
            shown(one.wall),
            shown(one.busy),
            shown(one.peak / 1e6),
            shown(fleet.hosts * alone),
            shown(fleet.hosts * alone / one.busy),
        ]
        for fleet, one in found.items()
    ]
    head = ["fleet", "wall time, s", "processor time, s", "MB", "one by one, s", "as a ratio"]
    when = "\n".join(f"- {name}: {about[name]}" for name in ("date", "machine", "load before") if name in about)
    parts = [
        FLEETS_BEGIN,
        _FLEETS,
        f"{when}\n",
        _promises([one for one in of_fleets if " hosts in " in one.name], allowed),
        table(head, rows),
        "![Time by the number of hosts](images/fleets.svg)\n",
        FLEETS_END,
    ]
    return "\n".join(parts)


def fleet_growths(found: Mapping[Fleet, Process], processes: Mapping[str, Process]) -> dict[str, dict[int, float]]:
    """The series of the plot of fleets: by name, by number of hosts, seconds."""
    few = [fleet for fleet in FLEETS if fleet.classes == FLEETS[0].classes]
    alone = processes[ONE_BY_ONE[0]].busy
    return {
        "fleet plan": {fleet.hosts: found[fleet].busy for fleet in few},
        "one by one": {fleet.hosts: fleet.hosts * alone for fleet in few},
    }


def budget_table(found: Sequence[Figure], allowed: Mapping[str, Budget]) -> str:
    """What was measured, and whether CI lets it pass."""
    rows = [
        [one.name, f"{shown(one.value)} {one.unit}", shown(one.ratio), "yes" if allowed[one.name].passes(one) else "no"]
        for one in found
        if one.name in allowed
    ]
    return table(["figure", "measured", "as a ratio", "passes"], rows)


def growths(speeds: Mapping[str, float]) -> dict[str, dict[int, float]]:
    """The series of the plot: by name, by length, seconds."""
    return {name: {length: speeds[f"{key}[{length}]"] for length in LENGTHS} for name, key in _SERIES.items()}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the columns after the first are numbers, at the right."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---", *["---:"] * (len(head) - 1)], *rows)) + "\n"


def shown(number: float) -> str:
    """A number with three digits, and thousands told apart."""
    digits = 2 - math.floor(math.log10(number))
    return f"{round(number, digits):,.{max(digits, 0)}f}"


def _promises(found: Sequence[Figure], allowed: Mapping[str, Budget]) -> str:
    rows = [
        [
            one.name,
            f"{allowed[one.name].promise} {one.unit}",
            shown(one.value),
            "yes" if allowed[one.name].kept(one) else "**no**",
        ]
        for one in found
        if one.name in allowed
    ]
    return table(["figure", "promised", "measured", "kept"], rows)


def _process_table(found: Mapping[str, Process]) -> str:
    bare = found[BARE].busy
    rows = [
        [
            name if name == BARE else f"`seamstep {name}`",
            shown(one.wall * 1e3),
            shown(one.busy * 1e3),
            shown(one.busy / bare),
            shown(one.peak / 1e6),
        ]
        for name, one in found.items()
    ]
    return table(["command", "wall time, ms", "processor time, ms", "bare starts", "MB"], rows)


def _decision_table(found: Mapping[str, float]) -> str:
    rows = [
        [name, shown(found[key] * 1e6), shown(1 / found[key]), shown(found[key] / found["decision"])]
        for name, key in _DECIDING.items()
    ]
    return table(["one decision", "µs", "a second", "as a ratio"], rows)


def _growth_table(series: Mapping[str, Mapping[int, float]]) -> str:
    rows = [
        [name, *(shown(points[length] * 1e3) for length in LENGTHS), f"{figures.slope(points):.2f}"]
        for name, points in series.items()
    ]
    table_ = table(["ms", *(f"{length} releases" for length in LENGTHS), "exponent"], rows)
    return f"{table_}\nThe exponent is by least squares of the logarithms. There are n²/2 steps between n releases.\n"


def _verification_table(found: Mapping[str, float]) -> str:
    rows = [
        [name, shown(found[key] * 1e6), shown(found[key] / found["sha384"])]
        for name, key in (("all checks", "verify"), ("SHA-384 alone", "sha384"))
    ]
    return table(["one image", "µs", "as a ratio"], rows)
