"""What a plan document has to look like, and what in one contradicts itself.

A plan that our planner made passes; this is about plans that somebody else sealed. No rule is asked here, but nothing
impossible gets past either, and everything that is shown to people or compared with files has its type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from seamstep.base import cpus
from seamstep.base.documents import Fields
from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import IMAGE_FORMATS, HostFacts

_SVN_MAX = 0xFFFF
#: The hard rules: a verdict of theirs that blocks can't stand in a plan that is carried out.
HARD_RULES = frozenset(
    {
        "upload-interface",
        "updates-remaining",
        "cpus-online",
        "same-series",
        "forward-only",
        "minimum-module",
        "seamldr-minimum",
        "cpu-supported",
        "update-compatibility",
        "handoff",
        "svn-major",
        "image-authentic",
        "kernel-features",
    }
)


class HopLike(Protocol):
    """What is looked at in a hop."""

    @property
    def source(self) -> ModuleVersion: ...
    @property
    def target(self) -> ModuleVersion: ...


def sha256(text: str) -> str:
    """A SHA-256 in hex. Raises ValueError for anything else."""
    if not re.fullmatch(r"[0-9a-f]{64}", text, re.ASCII):
        raise ValueError(f"{text!r} is not a SHA-256 in hex")
    return text


def mrseam(text: str) -> str:
    """An MRSEAM in hex. Raises ValueError for anything else."""
    if not re.fullmatch(r"[0-9a-f]{96}", text, re.ASCII):
        raise ValueError(f"{text!r} is not an MRSEAM in hex")
    return text


def seamsvn(fields: Fields, key: str) -> int:
    """A raw seamsvn. Raises InputError for anything but a 16-bit number."""
    svn = fields.integer(key)
    if svn > _SVN_MAX:
        raise fields.error(key, "expected a 16-bit number")
    return svn


Reader = Callable[[Fields, str], object]


def _text(fields: Fields, key: str) -> object:
    return fields.text(key)


def _integer(fields: Fields, key: str) -> object:
    return fields.integer(key)


def _texts(fields: Fields, key: str) -> object:
    return fields.texts(key)


def _version(fields: Fields, key: str) -> object:
    return fields.parsed(key, ModuleVersion)


def _sha256(fields: Fields, key: str) -> object:
    return fields.parsed(key, sha256)


def _mrseam(fields: Fields, key: str) -> object:
    return fields.parsed(key, mrseam)


def _maybe(read: Reader) -> Reader:
    return lambda fields, key: fields.optional(key, lambda name: read(fields, name))


# A dict stands for an object, a list for a list of objects.
_VERDICTS = [{"rule": _text, "outcome": _text, "reason": _text, "evidence": {}}]
_REFERENCE = {"sha256": _sha256, "path": _maybe(_text)}
_MODULE = {"version": _version, "mrseam": _maybe(_mrseam), "seamsvn": _maybe(seamsvn)}
_SHAPE: dict[str, Any] = {
    "reason": _text,
    "as_of": _text,
    "target": _maybe(_version),
    "mapping": _REFERENCE,
    "policy": {"name": _text, "target": _text, "layers": [{"name": _text, **_REFERENCE}]},
    "objective": {"path": _text, "cost": _maybe(_integer)},
    "hops": [
        {
            "from": _version,
            "to": _version,
            "verdicts": _VERDICTS,
            "waived": [{"rule": _text, "reason": _text, "by": _text, "until": _text}],
        }
    ],
    "alternatives": [{"path": _text, "versions": _texts, "cost": _integer}],
    "rejected": [{"from": _version, "to": _version, "verdicts": _VERDICTS}],
    "attestation": {"before": _MODULE, "after": _MODULE},
    "apply": {},
}


def check_shape(fields: Fields, shape: dict[str, Any] | None = None) -> None:
    """Raise InputError unless everything that is shown to people or compared with files has its type."""
    for key, wanted in (_SHAPE if shape is None else shape).items():
        if isinstance(wanted, dict):
            check_shape(fields.sub(key), wanted)
        elif isinstance(wanted, list):
            for item in fields.items(key):
                check_shape(item, wanted[0])
        else:
            wanted(fields, key)


def contradictions(fields: Fields, source: ModuleVersion, hops: Sequence[HopLike], host: HostFacts) -> Iterator[str]:
    """What in a plan of at least one hop contradicts itself, as the end of a sentence that begins with "hops"."""
    starts = [source, *(hop.target for hop in hops)]
    if host.module_version != source or any(hop.source != start for hop, start in zip(hops, starts, strict=False)):
        yield "don't lead on from the running module"
    if any(hop.source.series != hop.target.series or not hop.source < hop.target for hop in hops):
        yield "don't lead upwards inside one series"
    if fields.data.get("target") != str(hops[-1].target):
        yield "don't lead to the plan's target"
    if host.remaining_updates is None or host.remaining_updates < len(hops):
        yield f"are {len(hops)}, and the host has {host.remaining_updates} updates left"
    yield from _host_contradictions(host)
    yield from _hop_contradictions(fields, host)


def _host_contradictions(host: HostFacts) -> Iterator[str]:
    if host.profile is None or host.upload is None or host.upload.status != "idle":
        yield "need an idle upload interface, and the host has none"
    online, present = host.cpus_online, host.cpus_present
    if online is None or present is None or cpus.parse_list(online) != cpus.parse_list(present):
        yield "need all CPUs online, and the host's are not"


def _hop_contradictions(fields: Fields, host: HostFacts) -> Iterator[str]:
    for hop in fields.items("hops"):
        image = hop.optional("image", hop.sub)
        if image is None and not fields.boolean("provisional"):
            yield "lack an image though the plan is not provisional"
        if image and image.sub("upload").text("format") != IMAGE_FORMATS.get(host.profile or ""):
            yield f"upload another format than the {host.profile} interface takes"
        blocking = {verdict.text("rule") for verdict in hop.items("verdicts") if verdict.text("outcome") == "block"}
        if blocking & HARD_RULES:
            yield f"are refused by {', '.join(sorted(blocking & HARD_RULES))}"
