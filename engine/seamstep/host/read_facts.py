"""Reading the facts of a host. A fact that can't be read is unknown, with the reason; no value is guessed."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from seamstep.base import cpus
from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.domain.facts import HostFacts, UploadNode
from seamstep.host.base import (
    BOOT_ID,
    DOUBLE,
    INTERIM,
    LEGACY,
    MAINLINE,
    MISC_CURRENT,
    MODULE_VERSION,
    PAGE,
    Host,
    Profile,
    read_whole,
)

T = TypeVar("T")

CPUS_ONLINE = "/sys/devices/system/cpu/online"
#: Files of /proc and of cgroups have no bound of a page as attributes of sysfs have.
_TEXT_LIMIT = 64 << 10
_CPUINFO_LIMIT = 64 << 20
_FIELDS = re.compile(r"^(processor|cpu family|model|stepping|bugs)[ \t]*:(.*)$", re.MULTILINE)


def read_facts(host: Host) -> HostFacts:
    """Read all facts of ``host``.

    A fact whose file can't be read is None. Its reason in ``unknown`` starts with ``missing``, ``permission``,
    ``ENXIO``, ``invalid`` or the name of another errno, such as ``EFBIG`` for a file that was cut off.
    """
    return _Reader(host).facts()


def running_tds(host: Host) -> int | None:
    """The present number of TDs, including those under construction; None if it can't be read."""
    try:
        return _running_tds(_text(read_whole(host, MISC_CURRENT, _TEXT_LIMIT)))
    except (OSError, ValueError):
        return None


def cpus_online(host: Host) -> str | None:
    """The present list of online CPUs, as the kernel prints it; None if it can't be read."""
    try:
        return _cpu_list(_text(read_whole(host, CPUS_ONLINE)))
    except (OSError, ValueError):
        return None


def module_version(host: Host) -> ModuleVersion:
    """The version of the running module.

    Raises:
        OSError: the version can't be read; ENXIO means that TDX is lost.
        ValueError: the file's content is not a version.
    """
    return ModuleVersion(_text(read_whole(host, MODULE_VERSION)))


def remaining_updates(host: Host, profile: Profile) -> int | None:
    """The present number of remaining updates; None if it can't be read. Each read calls the P-SEAMLDR, which is slow:
    don't poll."""
    try:
        return _count(_text(read_whole(host, profile.remaining_updates)))
    except (OSError, ValueError):
        return None


class _Reader:
    def __init__(self, host: Host) -> None:
        self.host = host
        self.unknown: dict[str, str] = {}

    def facts(self) -> HostFacts:
        profile = self.profile()
        online = self.fact("cpus_online", CPUS_ONLINE, _cpu_list)
        signatures, bugs = self.cpuinfo(online)
        return HostFacts(
            hostname=self.fact("hostname", "/proc/sys/kernel/hostname", str),
            boot_id=self.fact("boot_id", BOOT_ID, str),
            kernel=self.fact("kernel", "/proc/sys/kernel/osrelease", str),
            profile=profile.name if profile else None,
            module_version=self.fact("module_version", MODULE_VERSION, ModuleVersion),
            seamldr_version=self.profile_fact("seamldr_version", profile, SeamldrVersion),
            remaining_updates=self.profile_fact("remaining_updates", profile, _count),
            cpu_signatures=signatures,
            cpus_online=online,
            cpus_present=self.fact("cpus_present", "/sys/devices/system/cpu/present", _cpu_list),
            cpu_limits=self.fact("cpu_limits", "/proc/cmdline", _cpu_limits, _TEXT_LIMIT),
            running_tds=self.fact("running_tds", MISC_CURRENT, _running_tds, _TEXT_LIMIT),
            upload=self.upload(profile),
            cpu_bugs=bugs,
            simulated=self.simulated(),
            unknown=self.unknown,
        )

    def fact(self, name: str, path: str, parse: Callable[[str], T], limit: int = PAGE) -> T | None:
        try:
            return parse(_text(read_whole(self.host, path, limit)))
        except OSError as error:
            self.unknown[name] = _reason(error, path)
        except ValueError as error:
            self.unknown[name] = f"invalid: {path}: {error}"
        return None

    def profile(self) -> Profile | None:
        """The sysfs layout, identified by the upload node, or by the P-SEAMLDR's attributes if there is no node."""
        signs = (
            *((INTERIM, (INTERIM.upload_path, INTERIM.seamldr_version)), (MAINLINE, (MAINLINE.upload_path,))),
            *((LEGACY, (LEGACY.upload_path,)), (MAINLINE, (MAINLINE.seamldr_version,))),
            (LEGACY, (LEGACY.seamldr_version,)),
        )
        path = ""
        try:
            for profile, paths in signs:
                if all(self.host.exists(path := one) for one in paths):
                    return profile
        except OSError as error:
            self.unknown["profile"] = _reason(error, path)
            return None
        self.unknown["profile"] = f"missing: neither {MAINLINE.upload_path} nor {LEGACY.upload_path} exists"
        return None

    def simulated(self) -> bool:
        """Whether the host identifies itself as simulated; false if that can't be determined."""
        try:
            return self.host.exists(DOUBLE)
        except OSError:
            return False

    def profile_fact(self, name: str, profile: Profile | None, parse: Callable[[str], T]) -> T | None:
        if profile is None:
            self.unknown[name] = "missing: the kernel offers no interface for TDX module updates"
            return None
        return self.fact(name, getattr(profile, name), parse)

    def upload(self, profile: Profile | None) -> UploadNode | None:
        if profile is None:
            self.unknown["upload"] = self.unknown["profile"]
            return None
        try:
            found = self.host.exists(profile.upload_path)
        except OSError as error:
            self.unknown["upload"] = _reason(error, profile.upload_path)
            return None
        if not found:
            self.unknown["upload"] = f"missing: {profile.upload_path} does not exist"
            return None
        status = self.fact("upload.status", f"{profile.upload_path}/status", str)
        return UploadNode(profile.upload_node, status)

    def cpuinfo(self, online: str | None) -> tuple[tuple[int, ...] | None, tuple[str, ...] | None]:
        """The signatures and the bugs of the online CPUs. Both are unknown unless each of them is listed."""

        def listed(text: str) -> _Cpus:
            found = _cpuinfo(text)
            if online is not None and found.numbers != cpus.parse_list(online):
                raise ValueError(f"it lists CPUs {cpus.format_list(found.numbers)}, and {online} are online")
            return found

        found = self.fact("cpu_signatures", "/proc/cpuinfo", listed, _CPUINFO_LIMIT)
        if found is None:
            self.unknown["cpu_bugs"] = self.unknown["cpu_signatures"]
            return None, None
        return found.signatures, found.bugs


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise ValueError("it is not text") from None
    if not text:
        raise ValueError("it is empty")
    return text


def _reason(error: OSError, path: str) -> str:
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"permission: {path} can't be read by this user; run as root"
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return f"missing: {path} does not exist"
    if error.errno == errno.ENXIO:
        return f"ENXIO: {path}: TDX is lost; its TDs are dead, and only a reboot brings it back"
    return f"{errno.errorcode.get(error.errno or 0, 'error')}: {path}: {error.strerror}"


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text, re.ASCII):
        raise ValueError(f"{text!r} is not a number")
    return int(text)


def _cpu_limits(text: str) -> tuple[str, ...]:
    """The words of the kernel's command line that hide CPUs from Linux. The kernel accepts ``-`` in place of ``_`` in
    names, and quotes around words (parameq() in kernel/params.c, next_arg() in lib/cmdline.c)."""
    names = {word: word.strip('"').partition("=")[0].replace("-", "_") for word in text.split() if "=" in word}
    return tuple(word for word, name in names.items() if name in {"nr_cpus", "maxcpus", "possible_cpus"})


def _running_tds(text: str) -> int:
    """The number of TDX key ids in use, one for each TD, from the lines of misc.current."""
    for line in text.splitlines():
        name, _, charge = line.strip().partition(" ")
        if name == "tdx":
            return _count(charge.strip())
    raise ValueError("it has no line 'tdx'")


def _cpu_list(text: str) -> str:
    cpus.parse_list(text)
    return text


class _Cpus(NamedTuple):
    """The CPUs in /proc/cpuinfo: their ``numbers``, and their distinct ``signatures`` and ``bugs`` in order."""

    numbers: frozenset[int]
    signatures: tuple[int, ...]
    bugs: tuple[str, ...]


def _cpuinfo(text: str) -> _Cpus:
    """All CPUs. The kernel prints each field once for each online CPU; see show_cpuinfo() in
    arch/x86/kernel/cpu/proc.c.

    Raises:
        ValueError: a CPU lacks a field, has it twice, or is listed twice.
    """
    listed: list[dict[str, str]] = []
    for match in _FIELDS.finditer(text):
        key, value = match[1], match[2].strip()
        if key == "processor":
            listed.append({})
        if not listed or key in listed[-1]:
            raise ValueError(f"the line '{key}: {value}' is that of no CPU")
        listed[-1][key] = value
    if not listed:
        raise ValueError("it lists no CPU")
    found = [_cpu(fields) for fields in listed]
    numbers = frozenset(number for number, _ in found)
    if len(numbers) != len(found):
        raise ValueError("it lists a CPU twice")
    bugs = {bug for fields in listed for bug in fields["bugs"].split()}
    return _Cpus(numbers, tuple(sorted({signature for _, signature in found})), tuple(sorted(bugs)))


def _cpu(fields: Mapping[str, str]) -> tuple[int, int]:
    """Number and signature of a CPU. Raises ValueError if one of its fields is missing."""
    lacking = [name for name in ("cpu family", "model", "stepping", "bugs") if name not in fields]
    if lacking:
        errata = ", so its errata are not known" if "bugs" in lacking else ""
        raise ValueError(f"CPU {fields['processor']} has no line {' and none '.join(map(repr, lacking))}{errata}")
    family, model, stepping = (_count(fields[name]) for name in ("cpu family", "model", "stepping"))
    return _count(fields["processor"]), cpus.signature(family, model, stepping)
