"""Images, their checks and measurements as text, images as JSON-able data, and measurements as CSV."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from seamstep.base import cpus
from seamstep.domain.model import Check, Image
from seamstep.domain.tcb import TcbView, summary
from seamstep.show.causes import short
from seamstep.show.tcb import tcb_text
from seamstep.show.text import printable

#: The phases of a plan, each with its heading, an instruction to verifiers.
PHASES = {
    "before": "before the update, accept",
    "during": "during the update, accept",
    "after": "after it, as long as TDs run that were launched before, accept",
    "settled": "once all of those are gone, accept",
}
#: The kind of quotes that have TEE_TCB_SVN_2.
SVN_2_QUOTES = "Only TDX 1.5 quote bodies (quote version 5, body type 3) have TEE_TCB_SVN_2."
#: Fields of a sigstruct that count words of 4 bytes.
_WORDS = ("header_length", "sigstruct_size", "key_size", "modulus_size", "exponent_size")
#: Fields of a sigstruct that hold a number of pages minus one, each with the unit that has so many pages.
_PAGES = {
    "handoff_pages": "",
    "num_stack_pages": " a processor",
    "num_tls_pages": " a processor",
    "num_keyhole_pages": " a processor",
    "num_global_data_pages": "",
}
_OK = {True: "ok", False: "FAIL", None: "--"}


class Verified(NamedTuple):
    """An image at ``path`` with the results of its ``checks``; ``debug`` says that it is a debug module."""

    path: str
    checks: Sequence[Check]
    debug: bool


def image_document(image: Image, tcb: TcbView | None = None) -> dict[str, Any]:
    """The fields of an image and its sigstruct as JSON-able data; none of them is verified. With TCB Info, ``tcb`` is
    what it says of the SVN."""
    says = image.sigstruct
    return {
        **({"tcb": summary(tcb.standings(says.seamsvn))} if tcb else {}),
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
        "header_type": f"0x{says.header_type:x}",
        "header_length": says.header_length,
        "header_version": f"0x{says.header_version:x}",
        "sigstruct_size": says.size,
        "key_size": says.key_size,
        "modulus_size": says.modulus_size,
        "exponent_size": says.exponent_size,
        "exponent": says.exponent,
        "rip_offset": says.rip_offset,
        "num_stack_pages": says.num_stack_pages,
        "num_tls_pages": says.num_tls_pages,
        "num_keyhole_pages": says.num_keyhole_pages,
        "num_global_data_pages": says.num_global_data_pages,
        "max_tdmrs": says.max_tdmrs,
        "max_rsvd_per_tdmr": says.max_rsvd_per_tdmr,
        "pamt_entry_size_4k": says.pamt_entry_size_4k,
        "pamt_entry_size_2m": says.pamt_entry_size_2m,
        "pamt_entry_size_1g": says.pamt_entry_size_1g,
        "gdt_idt_offset": says.gdt_idt_offset,
        "fault_wrapper_offset": says.fault_wrapper_offset,
        "reserved_1000": says.reserved,
    }


def image_text(image: Image, tcb: TcbView | None = None) -> str:
    """The fields of an image and its sigstruct, a line each, the TCB status last."""
    document = image_document(image, tcb)
    if tcb:
        document["tcb"] = tcb_text(document.pop("tcb"))
    document["build_date"] = _date(document["build_date"])
    document["cpuid"] = ", ".join(cpus.describe(signature) for signature in image.sigstruct.cpuid) or "none"
    document["debug"] = "YES, a debug module" if document["debug"] else "no"
    for key in _WORDS:
        document[key] = f"{document[key]} ({document[key] * 4} bytes)"
    for key, each in _PAGES.items():
        document[key] = f"{document[key]} ({document[key] + 1} pages{each})"
    lines = (
        f"  {key:<21} {printable(value)}" for key, value in document.items() if key != "path" and value is not None
    )
    return "\n".join([printable(image.path), *lines])


def checks_text(image: Verified, meanings: Mapping[str, str]) -> str:
    """A line for each check of an image: outcome, name, and the check's message or else its meaning."""
    lines = [printable(image.path)]
    for check in image.checks:
        lines.append(f"  {_OK[check.ok]:<5} {check.name:<12} {printable(check.message or meanings[check.name])}")
    if image.debug:
        lines.append("  note  this is a debug module")
    return "\n".join(lines)


def verified_text(images: Sequence[Verified]) -> str:
    """A line for each image, with the checks that it does not pass; then each fault once, with the images that have
    it."""
    lines = []
    faults: dict[tuple[str, str], list[str]] = {}
    for image in images:
        failed = [check for check in image.checks if check.ok is False] or [one for one in image.checks if not one.ok]
        names = ", ".join(check.name for check in failed)
        lines.append(f"{'FAIL' if failed else 'ok':<5} {printable(image.path)}{f': {names}' if failed else ''}")
        lines += ["      note  this is a debug module"] if image.debug else []
        for check in failed:
            faults.setdefault((check.name, check.message), []).append(image.path)
    for (name, message), paths in faults.items():
        where = paths[0] if len(paths) == 1 else f"{len(paths)} images"
        lines.append(f"{name} ({printable(where)}): {short(printable(message))}")
    return "\n".join(lines)


def measurements_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """A short block for each measurement, since an MRSEAM is too long for a table's cell."""
    return "\n".join(line for row in rows for line in _measurement_lines(row))


def phases_text(phases: Mapping[str, Iterable[Mapping[str, Any]]]) -> str:
    """The phases of a plan. Each has a block for each module that TDs were launched on, with a line for each module
    that can run while those TDs exist."""
    parts = []
    for phase, rows in phases.items():
        lines = [PHASES[phase]]
        for _, group in itertools.groupby(rows, key=itemgetter("launched_on")):
            same = list(group)
            lines += _measurement_lines(same[0])
            lines += (f"  while {row['running']} runs, TEE_TCB_SVN_2 {svn_2_text(row)}{_status_2(row)}" for row in same)
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, SVN_2_QUOTES])


def svn_2_text(row: Mapping[str, Any]) -> str:
    """TEE_TCB_SVN_2 of a measurement in hex, with its minor and major part."""
    return f"0x{row['tee_tcb_svn_2']:x} (minor {row['svn_2_minor']}, major {row['svn_2_major']})"


def _status_2(row: Mapping[str, Any]) -> str:
    if not row.get("tcb_2"):
        return ""
    return printable(f", {tcb_text(row['tcb_2'])}; a quote is called {row['quote_status'] or 'unknown'}")


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV with a header line. The items of a list are joined by semicolons, and unprintable characters are
    escaped."""
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
    yield f"{row['version']}  {svn}" + (f", built {_date(row['build_date'])}" if row.get("build_date") else "")
    yield f"  MRSEAM     {printable(row['mrseam'])}"
    if row.get("tcb"):
        yield f"  TCB        {printable(tcb_text(row['tcb']))}"
    if row.get("signature") == "given":
        yield "  named by the user, no image of it was verified"
    elif "platforms" in row:
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
