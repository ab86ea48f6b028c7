"""The order in which the hosts of a class take a step, and how many may have begun at each stage.

A stage is open to its quota of hosts: stage 0 to the canaries, each later one to the hosts of one more wave, the last
one to all. The order depends on the names of hosts alone, so that it is the same whatever the inventory's order and
whatever other classes there are. A host that drops out is replaced by the next in order.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from seamstep.fleet.settings import Rollout


def rank(host: str) -> bytes:
    """The place of a host in its class: hosts are taken in ascending order."""
    name = host.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(name, digest_size=8).digest() + name


def stages(rollout: Rollout, hosts: int) -> tuple[int, ...]:
    """How many hosts of a class of ``hosts`` may have begun a step at each stage. Percentages are of the class, and at
    least one host."""
    sizes = (rollout.canaries, *(max(1, size.of(hosts)) for size in rollout.waves), hosts)
    return tuple(min(hosts, quota) for quota in itertools.accumulate(sizes))


def group(platform: Sequence[str], module: str | None, seamldr: str | None, kernel: str | None) -> str:
    """The name of what canaries stand for: hosts of the same platform, module, P-SEAMLDR and kernel."""
    shown = ("unknown" if value is None else value for value in (module, seamldr, kernel))
    return f"{'+'.join(platform) or 'unknown platform'}, module {{}}, P-SEAMLDR {{}}, kernel {{}}".format(*shown)


def assign(rollout: Rollout, hosts: Iterable[tuple[str, str, Mapping[str, str]]]) -> Iterator[int]:
    """The wave of each of ``hosts`` (name, class, labels), in their order: 0 for canaries.

    Classes that share canaries have to be given under the same name (see :func:`group`).
    """
    listed = [(name, class_) for name, class_, _ in hosts]
    ranks: defaultdict[str, list[tuple[bytes, int]]] = defaultdict(list)
    for index, (name, class_) in enumerate(listed):
        ranks[class_].append((rank(name), index))
    waves = [0] * len(listed)
    for members in ranks.values():
        members.sort()
        begun = 0
        for wave, quota in enumerate(stages(rollout, len(members))):
            for _, index in members[begun:quota]:
                waves[index] = wave
            begun = max(begun, quota)
    return iter(waves)
