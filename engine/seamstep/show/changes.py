"""The wording of changes, common to all comparisons: paths, lists, kinds of hosts, cells of Markdown tables."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from seamstep.analysis.environments import Environment
from seamstep.base import cpus
from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.show.text import printable

_SHOWN = 6
K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


def cell(text: str) -> str:
    """Text escaped for a cell of a Markdown table."""
    safe = printable(text)
    for character in "\\`*_{}[]<>|#":
        safe = safe.replace(character, f"\\{character}")
    return safe


def versions_text(versions: Sequence[ModuleVersion]) -> str:
    """A path; of a long one, the ends and the number of the rest. An empty path is ``stays``."""
    return " → ".join(_shortened(versions)) or "stays"


def listed(items: Sequence[object]) -> str:
    """A list; of a long one, the ends and the number of the rest."""
    return ", ".join(_shortened(items))


def _shortened(items: Sequence[object]) -> list[str]:
    if len(items) <= _SHOWN:
        return [str(item) for item in items]
    return [str(items[0]), str(items[1]), f"({len(items) - 3} more)", str(items[-1])]


class _Hosts(NamedTuple):
    """Kinds of hosts that have three properties in common, each empty where all its values occur."""

    platforms: Sequence[str]
    seamldrs: Sequence[SeamldrVersion]
    profiles: Sequence[str]


def where_text(found: Collection[Environment], kinds: Sequence[Environment]) -> str:
    """The kinds of hosts in ``found`` for a column, grouped by platform, P-SEAMLDR and kernel interface. A property is
    left out where all its values in ``kinds`` occur."""
    if len(found) == len(kinds):
        return "everywhere"
    terms = []
    for hosts in _grouped(found, kinds):
        loader = f"P-SEAMLDR {', '.join(map(str, hosts.seamldrs))}" if hosts.seamldrs else ""
        interface = f"{' or '.join(hosts.profiles)} kernels" if hosts.profiles else ""
        terms.append(", ".join(filter(None, (", ".join(hosts.platforms), loader, interface))))
    return "; ".join(terms)


def hosts_text(found: Collection[Environment], kinds: Sequence[Environment]) -> str:
    """The same in a sentence: ``on every host``, ``on mainline with P-SEAMLDR 1.5.x``."""
    if len(found) == len(kinds):
        return "on every host"
    known = {kind.seamldr for kind in kinds}
    terms = []
    for hosts in _grouped(found, kinds):
        named = ", ".join(filter(None, (" or ".join(hosts.profiles), *hosts.platforms))) or "hosts"
        loader = f" with P-SEAMLDR {_seamldrs(hosts.seamldrs, known)}" if hosts.seamldrs else ""
        terms.append(f"on {named}{loader}")
    return "; ".join(terms)


def _grouped(found: Collection[Environment], kinds: Sequence[Environment]) -> Iterator[_Hosts]:
    profiles, seamldrs, platforms = (
        len({getattr(kind, part) for kind in kinds}) for part in ("profile", "seamldr", "platform")
    )
    by_platform = _inverted((kind.platform, (kind.seamldr, kind.profile)) for kind in found)
    for hosts, software in by_platform:
        names = [] if len(hosts) == platforms else [_platform(host) for host in hosts]
        for loaders, interfaces in _inverted(software):
            own = interfaces if len(interfaces) < profiles else []
            yield _Hosts(names, loaders if len(loaders) < seamldrs else [], own)


def _seamldrs(found: Collection[SeamldrVersion], all_of_them: Collection[SeamldrVersion]) -> str:
    """P-SEAMLDR versions; a series of which all occur as ``1.5.x``."""
    terms = []
    for seamldr in found:
        alike = {one for one in all_of_them if one.series == seamldr.series}
        terms.append(f"{seamldr.series}.x" if alike <= set(found) else str(seamldr))
    return ", ".join(dict.fromkeys(terms))


def _inverted(pairs: Iterable[tuple[K, V]]) -> list[tuple[list[K], list[V]]]:
    """Groups of keys that have the same values, with those values; both in order of first appearance."""
    values: dict[K, dict[V, None]] = {}
    for key, value in pairs:
        values.setdefault(key, {})[value] = None
    keys: dict[frozenset[V], list[K]] = {}
    for key, own in values.items():
        keys.setdefault(frozenset(own), []).append(key)
    return [(alike, list(values[alike[0]])) for alike in keys.values()]


def _platform(signature: int | None) -> str:
    return "any CPU" if signature is None else cpus.platform(signature) or f"CPU 0x{signature:X}"
