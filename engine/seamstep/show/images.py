"""Images and measurements for people, and measurements as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seamstep.base import cpus
from seamstep.domain.model import Check, Image
from seamstep.show.text import printable

#: What a verifier has to do at each phase of a plan.
PHASES = {
    "before": "before the update, accept",
    "during": "during the update, accept",
    "after": "after it, as long as TDs run that were launched before, accept",
    "settled": "once all of those are gone, accept",
}
_OK = {True: "ok", False: "FAIL", None: "--"}


def image_document(image: Image) -> dict[str, Any]:
    """What an image says of itself, as JSON-able data; nothing in it has been verified."""
    says = image.sigstruct
    return {
        "path": image.path,
        "sigstruct": image.sigstruct_path,
        "format": image.format,
        "size": image.size,
        "module_size": image.module_size,
        "sha256": image.content.verification().sha256,
        "module_type": f"0x{says.module_type:x}",
        "debug": says.debug,
        "vendor": f"0x{says.vendor:x}",
        "build_date": says.build_date,
        "mrseam": says.mrseam,
        "seamsvn": f"0x{says.seamsvn:x}",
        "svn_minor": says.svn_minor,
        "svn_major": says.svn_major,
        "identity": says.identity,
        "attributes": f"0x{says.attributes:x}",
        "module_hv": says.module_hv,
        "min_update_hv": says.min_update_hv,
        "no_downgrade": says.no_downgrade,
        "handoff_pages": says.handoff_pages,
        "cpuid": [cpus.format_signature(signature) for signature in says.cpuid],
        "signer": says.signer,
    }


def image_text(image: Image) -> str:
    """What an image says of itself, a line each."""
    document = image_document(image)
    document["build_date"] = _date(document["build_date"])
    document["cpuid"] = ", ".join(cpus.describe(signature) for signature in image.sigstruct.cpuid) or "none"
    document["debug"] = "YES, a debug module" if document["debug"] else "no"
    lines = (
        f"  {key:<14} {printable(value)}" for key, value in document.items() if key != "path" and value is not None
    )
    return "\n".join([printable(image.path), *lines])


def checks_text(path: str, checks: Iterable[Check], meanings: Mapping[str, str], *, debug: bool) -> str:
    """Every check of an image with its outcome."""
    lines = [printable(path)]
    for check in checks:
        lines.append(f"  {_OK[check.ok]:<5} {check.name:<12} {printable(check.message or meanings[check.name])}")
    if debug:
        lines.append("  note  this is a debug module")
    return "\n".join(lines)


def measurements_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Measurements, a short block for each: MRSEAMs are too long for a table's cell."""
    return "\n".join(line for row in rows for line in _measurement_lines(row))


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV with a header line; the items of a list are joined by semicolons, and what could steer a terminal is
    spelled out."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])
    return out.getvalue()


def _measurement_lines(row: Mapping[str, Any]) -> Iterable[str]:
    if row["mrseam"] is None:
        yield f"{row['version']}  {printable(row['signature'])}"
        return
    svn = f"seamsvn 0x{row['seamsvn']:x} (minor {row['svn_minor']}, major {row['svn_major']}), {row['identity']}"
    yield f"{row['version']}  {svn}" + (f", built {_date(row['build_date'])}" if "build_date" in row else "")
    yield f"  MRSEAM     {printable(row['mrseam'])}"
    if "platforms" in row:
        if row["debug"]:
            yield "  DEBUG      this is a debug module"
        yield f"  platforms  {', '.join(row['platforms'])}"
        yield f"  SHA-256    {row['sha256']}"
        yield f"  signature  {printable(row['signature'])}"


def _date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return "" if value is None else printable(value)
