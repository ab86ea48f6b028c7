"""docs/benchmarks.md: every figure in it comes from one run. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import figures
from figures import BARE, LENGTHS, Budget, Figure, Process, Speed, shown, table

_HEAD = """# How fast it is

Written by `python tests/benchmarks/run.py`; no figure here was typed. Needs `pip install -e '.[test,bench]'`.
CI holds the same figures against [a budget of ratios](../tests/benchmarks/budget.toml) (`run.py --check`).
"""
_PROCESSES = """## Whole processes

What a user waits for: the console script in an isolated interpreter (`python -I`), modules compiled before. A bare
start is `python -I -c pass`. Wall times are medians of interleaved rounds. *Outside imports* is a run after everything
that the command imports was imported (median of runs, each in a process of its own). Memory is the peak (`VmHWM`). The
mapping file is Intel's, with twenty releases; `plan --catalog` and `image verify` read twenty images of published
sizes; `apply PLAN` performs two hops on the simulated host (`--simulate`), with a journal that is synced to the disk.
"""
_SPEEDS = """## In the process

The least of many rounds. A decision judges one step by all thirteen hard rules, with verdicts and reasons; the graph it
is asked of has judged nothing before the round. *One plan* is from releases, facts and policy to the sealed document.
Verification adds up the checksum while SHA-384 is under way, on a second core if there is one that is idle.
"""
_PEERS = """## Side by side

What one would take instead, in the same run. Cedar and Rego answer yes or no, without reasons, to the same questions
(`decision.cedar`, `decision.rego` in `tests/benchmarks`): every step to a newer release, on a mainline and on a legacy
host. That all three answer alike is checked in the same run: on every step from anywhere to anywhere, on hosts of
eleven kinds, with sound images and with flawed ones. Cedar runs in its fastest mode: policies and entities parsed
before, one batch, no contexts, names that need no parsing. Rego runs a bundle compiled before, with inputs made before.
With networkx every step is decided on (our decision, without reasons), those permitted are added, and it is asked for
the shortest path from the oldest to the newest release; seamstep decides only on what its search asks for.
"""
_COLUMNS = (("seamstep", "decision"), ("Cedar (cedarpy)", "decision_cedar"), ("Rego (regopy)", "decision_rego"))
_SINGLE = (("one rule (mean of the hard ones)", "rule"), ("one decision", "decision"), ("one plan", "plan"))


def page(
    processes: Mapping[str, Process],
    speeds: Mapping[str, Speed],
    found: Sequence[Figure],
    allowed: Mapping[str, Budget],
    about: Mapping[str, str],
) -> str:
    """The whole page."""
    parts = [
        _HEAD,
        "\n".join(f"- {name}: {text}" for name, text in about.items()) + "\n",
        "## What is promised\n",
        promises(found, allowed) + "\n",
        _PROCESSES,
        _process_table(processes) + "\n",
        _SPEEDS,
        _speed_table(speeds) + "\n",
        _PEERS,
        _peer_table(speeds) + "\n",
        _growth_table(speeds) + "\n",
        "![How the time grows with the number of releases](images/growth.svg)\n",
        _slopes(speeds) + "\n",
    ]
    return "\n".join(parts)


def promises(found: Sequence[Figure], allowed: Mapping[str, Budget]) -> str:
    """What is promised, what was measured, and whether it was kept."""
    rows = []
    for figure in found:
        budget = allowed[figure.name]
        kept = budget.kept(figure)
        if kept is not None:
            bound = f"at most {budget.at_most:,g}" if budget.at_most is not None else f"at least {budget.at_least:,g}"
            rows.append([figure.name, f"{bound} {figure.unit}", shown(figure.value), "yes" if kept else "**no**"])
    return table(["figure", "promised", "measured", "kept"], rows)


def budget_table(found: Sequence[Figure], allowed: Mapping[str, Budget]) -> str:
    """What CI compares: ratios and their limits."""
    rows = [
        [figure.name, f"{shown(figure.value)} {figure.unit}", shown(figure.ratio), shown(allowed[figure.name].limit)]
        for figure in found
    ]
    return table(["figure", "measured", "as a ratio", "limit"], rows)


def growths(speeds: Mapping[str, Speed]) -> dict[str, dict[int, float]]:
    """The series of the plot."""
    return {"seamstep": figures.growth(speeds, "graph"), "networkx, eager": figures.growth(speeds, "graph_networkx")}


def _process_table(found: Mapping[str, Process]) -> str:
    bare = found[BARE]
    rows = [
        [
            f"`seamstep {name}`" if name != BARE else name,
            shown(one.wall * 1e3),
            shown(one.wall / bare.wall),
            shown(one.outside * 1e3) if name != BARE else "",
            shown(one.peak / 1e6),
            shown(one.peak / bare.peak),
        ]
        for name, one in found.items()
    ]
    return table(["command", "ms", "× bare", "outside imports, ms", "MB", "× bare"], rows)


def _speed_table(found: Mapping[str, Speed]) -> str:
    rows = [[name, f"{shown(found[key].seconds * 1e6)} µs", _rate(found[key])] for name, key in _SINGLE]
    rows += [
        [name, f"{shown(found[key].seconds * 1e6)} µs an image", f"{shown(found[key].rate / 1e6)} MB/s"]
        for name, key in (
            ("verification of an image, all checks", "verify"),
            ("the same where there is but one core", "verify_one_core"),
            ("SHA-384 of the same bytes alone", "sha384"),
        )
    ]
    return table(["what", "takes", "comes to"], rows)


def _rate(speed: Speed) -> str:
    return f"{shown(1 / speed.seconds)} a second"


def _peer_table(found: Mapping[str, Speed]) -> str:
    ours = found["decision"].seconds
    rows = []
    for name, key in _COLUMNS:
        if key in found:
            one = found[key]
            rows.append([name, f"{shown(one.seconds * 1e6)} µs", _rate(one), shown(one.seconds / ours)])
        else:
            rows.append([name, "not measured: not installed", "", ""])
    return table(["one decision", "takes", "comes to", "× seamstep"], rows)


def _growth_table(found: Mapping[str, Speed]) -> str:
    series = growths(found)
    rows = [
        [name, *(f"{shown(points[length] * 1e3)} ms" if length in points else "" for length in LENGTHS)]
        for name, points in series.items()
    ]
    return table(["graph and best path", *(f"{length:,} releases" for length in LENGTHS)], rows)


def _slopes(found: Mapping[str, Speed]) -> str:
    parts = [f"{name} {figures.slope(points):.2f}" for name, points in growths(found).items() if len(points) > 1]
    return (
        "The slope, by least squares of the logarithms, is the exponent of the growth: "
        + ", ".join(parts)
        + ". There are n²/2 candidate steps between n releases."
    )
