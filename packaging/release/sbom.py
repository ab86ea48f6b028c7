#!/usr/bin/env python3
"""Write the SBOM of a release: CycloneDX 1.6, JSON.

    SOURCE_DATE_EPOCH=... python packaging/release/sbom.py WHEELS FILE

WHEELS is a folder with the wheel of seamstep and those of all that it depends on, as the one-file build holds them.
Each is a component with its version, licence and SHA-256, and names what requires it. A dependency of seamstep itself
says what it is for and why seamstep does not do without it, in the words of docs/adr/0002. The document is validated
against the official schema before it is written; the same wheels give the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import uuid
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_REASONS = Path(__file__).parents[2] / "docs" / "adr" / "0002-runtime-dependencies.md"
_OURS = "seamstep"


class Reason(NamedTuple):
    """Why seamstep depends on a package."""

    purpose: str
    why: str


class Wheel(NamedTuple):
    """A wheel: its canonical ``name``, its metadata, its SHA-256, and the requirements that hold for this interpreter,
    by canonical name."""

    name: str
    meta: metadata.PackageMetadata
    sha256: str
    requires: dict[str, Requirement]


def reasons() -> dict[str, Reason]:
    """Why seamstep depends on each package, from the table of the decision record."""
    rows = re.findall(r"^\| ([\w-]+) \| (.+?) \| (.+?) \|$", _REASONS.read_text(), re.MULTILINE)
    plain = [[re.sub(r" ?\(?\[[^]]*\]\([^)]*\)\)?", "", cell) for cell in row] for row in rows]
    return {canonicalize_name(name): Reason(purpose, why) for name, purpose, why in plain if name != "package"}


def read(path: Path) -> Wheel:
    """Read a wheel."""
    with zipfile.ZipFile(path) as archive:
        folder = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA")).rpartition("/")[0]
        found = metadata.PathDistribution(zipfile.Path(archive, f"{folder}/"))
        wanted = [Requirement(line) for line in found.requires or ()]
        here = [one for one in wanted if not one.marker or one.marker.evaluate({"extra": ""})]
        requires: dict[str, Requirement] = {canonicalize_name(one.name): one for one in here}
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return Wheel(canonicalize_name(found.metadata["Name"]), found.metadata, digest, requires)


def component(wheel: Wheel, properties: Iterable[Property]) -> Component:
    """The component of a wheel. seamstep's own has no address of a package index: none has it."""
    version = wheel.meta["Version"]
    ours = wheel.name == _OURS
    return Component(
        type=ComponentType.APPLICATION if ours else ComponentType.LIBRARY,
        name=wheel.meta["Name"],
        version=version,
        bom_ref=f"{wheel.name}@{version}",
        description=wheel.meta["Summary"],
        purl=PackageURL("generic" if ours else "pypi", None, wheel.name, version),
        licenses=[_licence(wheel.meta)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=wheel.sha256)],
        properties=properties,
    )


def _licence(meta: metadata.PackageMetadata) -> License:
    """The licence of a package: an SPDX expression where it gives one, or the name that it uses."""
    classifiers = [line for line in meta.get_all("Classifier") or () if line.startswith("License :: ")]
    named = [line for line in meta.get_all("License") or () if len(line) < 40]  # some packages put the whole text there
    named += [line.rpartition(" :: ")[2] for line in classifiers]
    found = [*(meta.get_all("License-Expression") or ()), *named]
    if not found:
        raise SystemExit(f"{meta['Name']}: the wheel names no licence")
    return LicenseFactory().make_from_string(found[0])


def bill(wheels: Iterable[Wheel], why: dict[str, Reason], made: datetime) -> Bom:
    """The bill of materials. Raises SystemExit for a dependency without a reason, or without a wheel."""
    known = {wheel.name: wheel for wheel in wheels}
    if lacking := sorted({name for wheel in known.values() for name in wheel.requires} - set(known)):
        raise SystemExit(f"there is no wheel of {', '.join(lacking)}")
    if lacking := sorted(set(known[_OURS].requires) - set(why)):
        raise SystemExit(f"{_REASONS.name} does not say why seamstep needs {', '.join(lacking)}")
    components = {name: component(wheel, _properties(wheel, known, why)) for name, wheel in known.items()}
    result = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_OID, " ".join(sorted(one.sha256 for one in known.values()))))
    result.metadata.timestamp = made
    result.metadata.component = components[_OURS]
    for name in sorted(known):
        if name != _OURS:
            result.components.add(components[name])
        result.register_dependency(components[name], [components[other] for other in known[name].requires])
    return result


def _properties(wheel: Wheel, known: dict[str, Wheel], why: dict[str, Reason]) -> list[Property]:
    found = [
        Property(name="seamstep:required-by", value=f"{other.name} ({other.requires[wheel.name]})")
        for other in known.values()
        if wheel.name in other.requires
    ]
    if wheel.name in known[_OURS].requires:
        found += [
            Property(name="seamstep:purpose", value=why[wheel.name].purpose),
            Property(name="seamstep:why-not-without", value=why[wheel.name].why),
        ]
    return found


def main(folder: Path, out: Path) -> None:
    """Write the SBOM."""
    made = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    found = bill([read(path) for path in sorted(folder.glob("*.whl"))], reasons(), made)
    text = JsonV1Dot6(found).output_as_string(indent=2) + "\n"
    if problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise SystemExit(f"the SBOM does not follow its schema: {problem}")
    out.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
