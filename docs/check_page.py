"""The page of all checks that an update meets, in their order, with the answer to each, as Markdown."""

from __future__ import annotations

from typing import NamedTuple

from rule_pages import GENERATED, every_rule, page, paragraph, table
from seamstep.image.verify import CHECKS

#: What the executor reads or compares itself, by the names that the page uses.
PREFLIGHT = {
    "preflight": "all facts are read again before each hop and compared with the plan's",
    "read back": "the staged bytes are read back from the kernel and compared",
    "recheck": "online CPUs, remaining updates, running TDs and the version are read again directly before the commit",
}


class Row(NamedTuple):
    """One check: who makes it, what it is, what a failure leads to, and what answers it before anything is written.

    ``rules`` are names of rules, ``image`` names of checks of ``image verify``, ``preflight`` names of PREFLIGHT;
    ``unknowable`` says why the check, or a part of it, can't be answered beforehand.
    """

    who: str
    check: str
    failure: str
    rules: tuple[str, ...] = ()
    image: tuple[str, ...] = ()
    preflight: tuple[str, ...] = ()
    unknowable: str = ""

    @property
    def answers(self) -> tuple[str, ...]:
        """The answers as they stand on the page."""
        return (
            *(f"rule [{name}](rules/{name}.md)" for name in self.rules),
            *(f"image check `{name}`" for name in self.image),
            *(f"executor: {name}" for name in self.preflight),
            *((f"can't be known beforehand, because {self.unknowable}",) if self.unknowable else ()),
        )


_KERNEL, _SEAMLDR, _MODULE = "kernel", "P-SEAMLDR", "new module"
_HARMLESS, _LOST = "`firmware-invalid`, nothing changed", "TDX and every TD are lost"


def _seamldr(check: str, error: str, rules: tuple[str, ...] = (), **answers: tuple[str, ...] | str) -> Row:
    return Row(_SEAMLDR, check, f"{error}: {_LOST}", rules, **answers)  # type: ignore[arg-type]


ROWS = (
    Row(
        _KERNEL,
        "the upload node is there and idle",
        "no upload begins",
        ("upload-interface",),
        preflight=("preflight",),
    ),
    Row(_KERNEL, "writing the image takes CAP_SYS_RAWIO", "EPERM, nothing changed", preflight=("read back",)),
    Row(_KERNEL, "the length is that of the header's pages", _HARMLESS, image=("length",), preflight=("read back",)),
    Row(_KERNEL, "format 0x200 (legacy kernels: 0x100)", _HARMLESS, image=("format",)),
    Row(_KERNEL, "at most 1 sigstruct page and 496 module pages", _HARMLESS, image=("limits",)),
    Row(_KERNEL, "the magic TDX-BLOB, reserved bytes zero", _HARMLESS, image=("format", "reserved")),
    Row(
        *(_KERNEL, "TDH.SYS.SHUTDOWN with the module's own handoff version", "`firmware-invalid`, nothing changed"),
        unknowable="the module may hold a lock at that instant; some kernels report `device-busy`",
    ),
    _seamldr(
        *("SEAMLDR.INSTALL was called on all logical processors", "nothing is installed", ("cpus-online",)),
        preflight=("recheck",),
    ),
    _seamldr("1 sigstruct page, 1 to 496 module pages", "EBADPARAM", image=("limits",)),
    _seamldr("the sigstruct's header, sizes, vendor, type bits and attributes", "EBADSIG", image=("sigstruct",)),
    _seamldr(
        *("reserved fields of the sigstruct are zero", "EBADSIG"),
        unknowable="which bytes are reserved depends on P-SEAMLDR's version; Intel signed what stands there",
    ),
    _seamldr("min_update_hv is not above module_hv", "EBADSIG", image=("sigstruct",)),
    _seamldr("gdt_idt_offset and fault_wrapper_offset fit each other", "EBADSIG", image=("sigstruct",)),
    _seamldr("the signer's key is Intel's", "EBADSIG", ("image-authentic",), image=("signer",)),
    _seamldr("a debug-signed module on a debug-unlocked platform only", "EBADSIG", ("debug-module",)),
    _seamldr("the SVN's major byte is the running module's and not 0", "EUNSUPPORTED", ("svn",)),
    _seamldr("the SVN's minor byte is not lower than the running module's", "EBADSIG", ("svn",)),
    _seamldr("GDT, IDT and fault wrappers lie inside the module", "EBADSIG", image=("sigstruct",)),
    _seamldr("every socket's CPU is in the CPUID table; a production module has one", "EUNSUPCPU", ("cpu-supported",)),
    _seamldr("the RSA-3072 signature", "EBADSIG", ("image-authentic",), image=("signature",)),
    _seamldr(
        *("the module's memory fits the SEAM range", "ENOMEM", ("seam-memory",)),
        unknowable="the size of the range can't be read; a target that needs no more than the running module fits",
    ),
    _seamldr("updates remain", "EBADCALL", ("updates-remaining",), preflight=("recheck",)),
    _seamldr("the handoff versions fit", "EBADHANDOFF", ("handoff",)),
    _seamldr(
        *("the handed-over data is valid and within the source's handoff pages", "EBADHANDOFF"),
        unknowable="the running module writes it when it is shut down",
    ),
    _seamldr("SHA-384 of the module is seamhash", "EBADHASH", ("image-authentic",), image=("module-hash",)),
    _seamldr("the module's ELF relocations", "EBADPARAM", unknowable="Intel signed the module as it is"),
    _seamldr("entropy for the layout and the log", "ENOENTROPY", unknowable="it is drawn at that instant"),
    _seamldr(
        *("the platform's minimum P-SEAMLDR, as Intel lists it", "not supported", ("seamldr-minimum",)),
    ),
    Row(_MODULE, "TDH.SYS.UPDATE: room for what is handed over", _LOST, ("handoff",)),
    Row(
        *(
            _MODULE,
            "TDH.SYS.UPDATE: all processors, the handoff version",
            _LOST,
            ("handoff", "cpus-online"),
        ),
    ),
    Row(
        *(
            _MODULE,
            "the hashing context of a TD in the making",
            "its attestation report is corrupted",
            ("td-build",),
        ),
        preflight=("preflight", "recheck"),
    ),
    Row(
        _MODULE,
        "the oldest module it takes over from, as Intel lists it",
        _LOST,
        ("minimum-module", "same-series"),
    ),
    Row(_KERNEL, "NO_RBP_MOD to use the module, TD_PRESERVING to update again", _LOST, ("kernel-features",)),
)


def check_page() -> str:
    """The page."""
    unknown = [row for row in ROWS if not row.answers]
    unknown += [row for row in ROWS if {*row.rules} - {*every_rule()} or {*row.image} - {*CHECKS}]
    unknown += [row for row in ROWS if {*row.preflight} - {*PREFLIGHT}]
    if unknown:
        raise ValueError(f"rows without an answer that exists: {[row.check for row in unknown]}")
    body = table(
        ("who", "check", "a failure leads to", "answered before anything is written by"),
        ((row.who, row.check, row.failure, "; ".join(row.answers)) for row in ROWS),
    )
    told = "\n".join(paragraph(f"- {name}: {text}.") for name, text in PREFLIGHT.items())
    return page(
        GENERATED,
        "# Checks that an update meets",
        paragraph(
            "The mainline kernel looks at little before it shuts the running module down, and P-SEAMLDR at the rest "
            "after that. Each check stands here in its order, with what answers it before anything is written. "
            "Sources: "
            "Linux arch/x86/virt/vmx/tdx/seamldr.c; Intel's published P-SEAMLDR source, seamldr_install() and below."
        ),
        body,
        "Of the executor:",
        told,
    )
