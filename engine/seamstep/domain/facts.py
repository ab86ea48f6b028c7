"""Host facts: what is known of a host, and why the rest is not.

A fact that could not be read is None and its reason stands in ``unknown``; nothing is guessed. A reason starts with
a word that programs can test: ``missing``, ``permission``, ``ENXIO``, ``invalid`` or the name of another errno.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from seamstep.base import cpus
from seamstep.base.documents import Document, Fields, read_json
from seamstep.base.errors import InputError
from seamstep.base.versions import ModuleVersion, SeamldrVersion

SCHEMA = "seamstep/facts/v1"
PROFILES = ("mainline", "legacy")
#: The image format that each profile's kernel takes. Sources: Linux arch/x86/virt/vmx/tdx/seamldr.c; the third version
#: of the out-of-tree series "Runtime TDX Module update support".
IMAGE_FORMATS = {"mainline": "2.0", "legacy": "1.0"}
#: What a facts file is called in messages, and its largest size in bytes.
WHAT = "facts document"
SIZE_LIMIT = 1 << 20


class UploadNode(NamedTuple):
    """The firmware-upload node; ``status`` is None when it could not be read."""

    name: str
    status: str | None


class HostFacts(NamedTuple):
    """The facts of one host at one moment. ``cpus_online`` and ``cpus_present`` are CPU lists as the kernel prints
    them; ``cpu_signatures`` are CPUID.1.EAX values, ascending; ``remaining_updates`` counts updates until reboot."""

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
    upload: UploadNode | None = None
    cpu_bugs: tuple[str, ...] | None = None
    unknown: Mapping[str, str] = MappingProxyType({})

    def __hash__(self) -> int:
        return hash(self[:-1])  # the reasons have no hash

    def why_unknown(self, fact: str) -> str:
        """The reason why ``fact`` is not known."""
        return self.unknown.get(fact, "missing: the facts don't tell it")

    def after(self, version: ModuleVersion, updates: int) -> HostFacts:
        """The host predicted to be there once ``updates`` updates have led to ``version``."""
        left = None if self.remaining_updates is None else self.remaining_updates - updates
        return self._replace(module_version=version, remaining_updates=left)

    def differences(self, other: HostFacts) -> list[str]:
        """What differs in ``other``, one sentence for each fact."""
        mine, theirs = self.to_document(), other.to_document()
        return [
            f"{fact} was {_show(mine[fact])}, is {_show(theirs[fact])}"
            for fact in mine
            if fact != "unknown" and mine[fact] != theirs[fact]
        ]

    def to_document(self) -> dict[str, Any]:
        """The facts document, ``seamstep/facts/v1``."""
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
            "upload": self.upload and {"name": self.upload.name, "status": self.upload.status},
            "cpu_bugs": None if self.cpu_bugs is None else list(self.cpu_bugs),
            "unknown": dict(sorted(self.unknown.items())),
        }

    @classmethod
    def from_document(cls, fields: Fields) -> Self:
        """Read a facts document.

        Raises:
            InputError: a fact has the wrong type or form.
        """
        if fields.text("schema") != SCHEMA:
            raise fields.error("schema", f"expected {SCHEMA!r}")
        return cls(
            hostname=fields.optional("hostname", fields.text),
            boot_id=fields.optional("boot_id", fields.text),
            kernel=fields.optional("kernel", fields.text),
            profile=fields.optional("profile", functools.partial(fields.parsed, parse=_profile)),
            module_version=fields.optional("module_version", lambda key: fields.parsed(key, ModuleVersion)),
            seamldr_version=fields.optional("seamldr_version", lambda key: fields.parsed(key, SeamldrVersion)),
            remaining_updates=fields.optional("remaining_updates", fields.integer),
            cpu_signatures=fields.optional("cpu_signatures", lambda key: _signatures(fields, key)),
            cpus_online=fields.optional("cpus_online", lambda key: fields.parsed(key, _cpu_list)),
            cpus_present=fields.optional("cpus_present", lambda key: fields.parsed(key, _cpu_list)),
            upload=fields.optional("upload", lambda key: _upload(fields.sub(key))),
            cpu_bugs=fields.optional("cpu_bugs", fields.texts),
            unknown=fields.optional("unknown", lambda key: _reasons(fields.sub(key))) or {},
        )


def load(path: str) -> HostFacts:
    """Read a facts file written by ``seamstep facts --json``.

    Raises:
        InputError: unreadable or invalid; lists all problems.
    """
    return read(read_json(path, SIZE_LIMIT, WHAT, standard_input=True))


def read(document: Document) -> HostFacts:
    """Read a facts document. Raises InputError if it is invalid; lists all problems."""
    try:
        facts = HostFacts.from_document(Fields(document.data, document.source))
        problems = []
    except InputError as error:
        facts = None
        problems = [document.problem(problem.path, problem.message) for problem in error.problems]
    if facts is not None and facts.to_document() == document.data:
        return facts  # as seamstep wrote it; whatever else it may be, the schema has to say
    from seamstep.base.validation import check

    problems = check(document, "facts") or problems
    if facts is None or problems:
        raise InputError(problems)
    return facts


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _show(value: object) -> str:
    return "unknown" if value is None else ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _profile(text: str) -> str:
    if text not in PROFILES:
        raise ValueError(f"{text!r} is not one of {', '.join(PROFILES)}")
    return text


def _signatures(fields: Fields, key: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({cpus.parse_signature(text) for text in fields.texts(key)}))
    except ValueError as error:
        raise fields.error(key, str(error)) from None


def _cpu_list(text: str) -> str:
    if not cpus.parse_list(text):
        raise ValueError("an empty CPU list")
    return text.strip()


def _upload(fields: Fields) -> UploadNode:
    return UploadNode(fields.text("name"), fields.optional("status", fields.text))


def _reasons(fields: Fields) -> dict[str, str]:
    return {str(fact): fields.text(fact) for fact in fields.data}
