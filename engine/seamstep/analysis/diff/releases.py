"""What two catalogs say differently of releases: fields of the mapping file, feature bits, and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from seamstep.base import cpus, features
from seamstep.base.versions import ModuleVersion
from seamstep.domain import mapping
from seamstep.domain.model import Image, Release, Sigstruct

ABSENT = "absent"
_HEX_FIELDS = {"module_type", "vendor", "seamsvn", "attributes"}
_BITS = 64


class FieldChange(NamedTuple):
    """A value that differs, JSON-able; ``absent`` where there is none."""

    field: str
    old: Any
    new: Any


class ReleaseChange(NamedTuple):
    """What differs in a release that both catalogs have: keys of the mapping file, names of the feature bits that it
    gained and lost, and what its image says. The bits are empty where a side does not tell them."""

    version: ModuleVersion
    fields: tuple[FieldChange, ...]
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    image: tuple[FieldChange, ...]


class ReleasesDiff(NamedTuple):
    """Releases that only one catalog has, and those that changed, ascending."""

    added: tuple[Release, ...]
    removed: tuple[Release, ...]
    changed: tuple[ReleaseChange, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def compare(old: Sequence[Release], new: Sequence[Release]) -> ReleasesDiff:
    """What differs between the releases of two catalogs."""
    before, after = ({release.version: release for release in side} for side in (old, new))
    changes = (_change(before[version], after[version]) for version in sorted(before.keys() & after.keys()))
    return ReleasesDiff(
        added=tuple(after[version] for version in sorted(after.keys() - before.keys())),
        removed=tuple(before[version] for version in sorted(before.keys() - after.keys())),
        changed=tuple(change for change in changes if change.fields or change.image),
    )


def alike(old: Release, new: Release) -> bool:
    """Whether no rule can tell two releases apart: only where the files of their images lie may differ."""
    if old._replace(image=None) != new._replace(image=None):
        return False
    if old.image is None or new.image is None:
        return old.image is new.image
    of_old = {name: getattr(old.image, name) for name in ("path", "sigstruct_path", "content")}
    return old.image == new.image._replace(**of_old) and _doubts(old.image) == _doubts(new.image)


def values(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> tuple[FieldChange, ...]:
    """The keys whose values differ, those of ``old`` first."""
    keys = dict.fromkeys((*old, *new))
    pairs = ((key, old.get(key, ABSENT), new.get(key, ABSENT)) for key in keys)
    return tuple(FieldChange(f"{prefix}{key}", before, after) for key, before, after in pairs if before != after)


def feature_names(bits: int) -> tuple[str, ...]:
    """The names of the bits that are set, lowest first."""
    return tuple(features.name(bit) for bit in range(_BITS) if features.has(bits, bit))


def fields(release: Release) -> dict[str, Any]:
    """What the mapping file says of a release, by its keys, in one spelling; unknown keys at the end."""
    strict = release.strict_compat
    known = {
        mapping.MINIMUM_MODULE: None if release.minimum_module is None else str(release.minimum_module),
        mapping.STRICT_COMPAT: None if strict is None else sorted({str(version) for version in strict}),
        mapping.MINIMUM_SEAMLDRS: sorted({str(minimum) for minimum in release.minimum_seamldrs}),
        mapping.FEATURES: None if release.features0 is None else f"0x{release.features0:x}",
    }
    return {key: value for key, value in known.items() if value is not None} | dict(release.extra)


def _change(old: Release, new: Release) -> ReleaseChange:
    gained = lost = 0
    if old.features0 is not None and new.features0 is not None:
        gained, lost = new.features0 & ~old.features0, old.features0 & ~new.features0
    return ReleaseChange(
        version=old.version,
        fields=values(fields(old), fields(new)),
        gained=feature_names(gained),
        lost=feature_names(lost),
        image=values(_image(old), _image(new)),
    )


def _image(release: Release) -> dict[str, Any]:
    """What is to be known of a release's image; nothing of what it says if there is none."""
    if release.image is None:
        return {"image": release.image_problem}
    doubts = _doubts(release.image)
    return {"image": "; ".join(doubts) or "ok", "format": release.image.format} | _says(release.image.sigstruct)


def _doubts(image: Image) -> tuple[str, ...]:
    return image.content.verification().problems


def _says(sigstruct: Sigstruct) -> dict[str, Any]:
    found = sigstruct._asdict()
    found["cpuid"] = [cpus.format_signature(signature) for signature in sigstruct.cpuid]
    return {key: f"0x{value:x}" if key in _HEX_FIELDS else value for key, value in found.items()}
