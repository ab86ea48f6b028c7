"""The facts of a host, and the reasons why some could not be read.

A fact that could not be read is None, never a guess, and ``unknown`` has the reason. A reason starts with a word that
programs can test: ``missing``, ``permission``, ``ENXIO``, ``invalid`` or the name of another errno.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from seamstep.base import cpus
from seamstep.base.documents import Document, read_json
from seamstep.base.errors import InputError, Problem
from seamstep.base.validation import require
from seamstep.base.versions import ModuleVersion, SeamldrVersion

T = TypeVar("T")

SCHEMA = "seamstep/facts/v1"
PROFILES = ("mainline", "legacy")
#: The image format that each profile's kernel takes. Sources: Linux arch/x86/virt/vmx/tdx/seamldr.c; the third version
#: of the out-of-tree series "Runtime TDX Module update support".
#: 1.0 for the interim layout is inferred, and has no effect: no update is permitted there.
IMAGE_FORMATS = {"mainline": "2.0", "legacy": "1.0", "interim": "1.0"}
#: The name of a facts file in messages.
WHAT = "facts document"
#: The largest size of a facts file in bytes.
SIZE_LIMIT = 1 << 20


#: Facts that documents of earlier versions of seamstep lack.
_NEWER = ("cpu_limits", "running_tds")
_OLDER = "missing: these facts were taken by an older version; take them again"


class UploadNode(NamedTuple):
    """The firmware-upload node: its ``name`` in sysfs, and its ``status``, None if it could not be read."""

    name: str
    status: str | None


class HostFacts(NamedTuple):
    """The facts of one host at one moment. Each is None if it could not be read.

    Attributes:
        hostname: the host's name.
        boot_id: identifies the boot, as /proc/sys/kernel/random/boot_id has it.
        kernel: the kernel's release, as ``uname -r`` prints it.
        profile: the sysfs layout: mainline, legacy or interim.
        module_version: the running TDX module.
        seamldr_version: the P-SEAMLDR.
        remaining_updates: the number of updates left until the next reboot.
        cpu_signatures: the distinct CPUID.1.EAX values of the CPUs, ascending.
        cpus_online: the online CPUs, as a list that the kernel prints.
        cpus_present: the present CPUs, as a list that the kernel prints.
        cpu_limits: the words of the kernel's command line that hide CPUs from Linux.
        running_tds: the number of TDs, including those being built, by their key ids in the misc cgroup.
        upload: the firmware-upload node.
        cpu_bugs: the CPU bugs that /proc/cpuinfo lists.
        simulated: whether the host declares itself simulated.
        unknown: the reason for each fact that is None.
    """

    hostname: str | None = None
    boot_id: str | None = None
    kernel: str | None = None
    profile: str | None = None
    module_version: ModuleVersion | None = None
    seamldr_version: SeamldrVersion | None = None
    remaining_updates: int | None = None
    cpu_signatures: tuple[int, ...] | None = None
    cpus_online: str | None = None
    cpus_present: str | None = None
    cpu_limits: tuple[str, ...] | None = None
    running_tds: int | None = None
    upload: UploadNode | None = None
    cpu_bugs: tuple[str, ...] | None = None
    simulated: bool = False
    unknown: Mapping[str, str] = MappingProxyType({})

    def __hash__(self) -> int:
        return hash(self[:-1])  # a mapping, such as the reasons, has no hash

    def why_unknown(self, fact: str) -> str:
        """The reason why ``fact`` is not known."""
        return self.unknown.get(fact, "missing: not in the facts document")

    def after(self, version: ModuleVersion, updates: int) -> HostFacts:
        """The facts as predicted after ``updates`` updates that led to ``version``."""
        left = None if self.remaining_updates is None else self.remaining_updates - updates
        return self._replace(module_version=version, remaining_updates=left)

    def differences(self, other: HostFacts) -> list[str]:
        """The facts with another value in ``other``, one sentence for each. The number of TDs is left out, since it
        changes all the time."""
        mine, theirs = self.to_document(), other.to_document()
        return [
            f"{fact} was {_show(mine[fact])}, is {_show(theirs[fact])}"
            for fact in mine
            if fact not in {"unknown", "running_tds"} and mine[fact] != theirs[fact]
        ]

    def to_document(self) -> dict[str, Any]:
        """The facts as a document, ``seamstep/facts/v1``."""
        signatures = self.cpu_signatures
        return {
            "schema": SCHEMA,
            "hostname": self.hostname,
            "boot_id": self.boot_id,
            "kernel": self.kernel,
            "profile": self.profile,
            "module_version": _text(self.module_version),
            "seamldr_version": _text(self.seamldr_version),
            "remaining_updates": self.remaining_updates,
            "cpu_signatures": None if signatures is None else [cpus.format_signature(s) for s in signatures],
            "cpus_online": self.cpus_online,
            "cpus_present": self.cpus_present,
            "cpu_limits": None if self.cpu_limits is None else list(self.cpu_limits),
            "running_tds": self.running_tds,
            "upload": self.upload and {"name": self.upload.name, "status": self.upload.status},
            "cpu_bugs": None if self.cpu_bugs is None else list(self.cpu_bugs),
            "simulated": self.simulated,
            "unknown": dict(sorted(self.unknown.items())),
        }


def load(path: str) -> HostFacts:
    """Read a facts file written by ``seamstep facts --json``.

    Raises:
        InputError: unreadable or invalid; lists all problems.
    """
    return read(read_json(path, SIZE_LIMIT, WHAT, standard_input=True))


def read(document: Document) -> HostFacts:
    """The facts in a document.

    Raises:
        InputError: it breaks the schema of facts, or a value is impossible; lists all problems.
    """
    require(document, "facts")
    problems: list[Problem] = []

    def parsed(fact: str, parse: Callable[[Any], T]) -> T | None:
        return document.parsed((fact,), parse, problems)

    facts = HostFacts(
        hostname=parsed("hostname", str),
        boot_id=parsed("boot_id", str),
        kernel=parsed("kernel", str),
        profile=parsed("profile", str),
        module_version=parsed("module_version", ModuleVersion),
        seamldr_version=parsed("seamldr_version", SeamldrVersion),
        remaining_updates=parsed("remaining_updates", int),
        cpu_signatures=parsed("cpu_signatures", _signatures),
        cpus_online=parsed("cpus_online", _cpu_list),
        cpus_present=parsed("cpus_present", _cpu_list),
        cpu_limits=parsed("cpu_limits", tuple),
        running_tds=parsed("running_tds", int),
        upload=parsed("upload", lambda node: UploadNode(**node)),
        cpu_bugs=parsed("cpu_bugs", tuple),
        simulated=document.data.get("simulated", False),
        unknown={fact: _OLDER for fact in _NEWER if fact not in document.data} | document.data.get("unknown", {}),
    )
    if problems:
        raise InputError(problems)
    return facts


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _show(value: object) -> str:
    return "unknown" if value is None else ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _signatures(texts: list[str]) -> tuple[int, ...]:
    return tuple(sorted({cpus.parse_signature(text) for text in texts}))


def _cpu_list(text: str) -> str:
    if not cpus.parse_list(text):
        raise ValueError("an empty CPU list")
    return text.strip()
