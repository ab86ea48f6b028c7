"""CPU signatures and CPU lists."""

from __future__ import annotations

import re

# Source: the CPUID tables in the sigstructs of Intel's published TDX modules.
PLATFORMS = {
    0x806F0: "Sapphire Rapids",
    0xC06F0: "Emerald Rapids",
    0xA06F0: "Sierra Forest",
    0xA06D0: "Granite Rapids",
    0xA06E0: "Granite Rapids-D",
    0xD06D0: "Clearwater Forest",
}

#: Intel's abbreviations of these platforms.
ABBREVIATIONS = {
    "SPR": 0x806F0,
    "EMR": 0xC06F0,
    "SRF": 0xA06F0,
    "GNR": 0xA06D0,
    "GNR-D": 0xA06E0,
    "CWF": 0xD06D0,
}

_STEPPING = 0xF
_FAMILY_EXTENDED = 0xF
_FAMILY_MAX = 0xF + 0xFF
_MODEL_MAX = 0xFF
_CPU_MAX = 1 << 16
_LIST_MAX = 4096


def signature(family: int, model: int, stepping: int) -> int:
    """CPUID.1.EAX from the family, model and stepping that Linux shows in /proc/cpuinfo.

    Source: Intel SDM, CPUID leaf 1; the reverse of x86_family() and x86_model() in arch/x86/lib/cpu.c.

    Raises:
        ValueError: a number is outside the range that a signature can hold.
    """
    if not (0 <= family <= _FAMILY_MAX and 0 <= model <= _MODEL_MAX and 0 <= stepping <= _STEPPING):
        raise ValueError(f"family {family}, model {model}, stepping {stepping} is no CPU")
    extended = max(family - _FAMILY_EXTENDED, 0)
    base = min(family, _FAMILY_EXTENDED)
    return extended << 20 | (model >> 4) << 16 | base << 8 | (model & 0xF) << 4 | stepping


def split_signature(value: int) -> tuple[int, int, int]:
    """Family, model and stepping; the reverse of :func:`signature`."""
    base = value >> 8 & 0xF
    family = base + (value >> 20 & 0xFF) if base == _FAMILY_EXTENDED else base
    return family, (value >> 16 & 0xF) << 4 | value >> 4 & 0xF, value & _STEPPING


def without_stepping(value: int) -> int:
    """The signature with its stepping bits cleared: how P-SEAMLDR compares a CPU with an image's table."""
    return value & ~_STEPPING


def platform(value: int) -> str | None:
    """The name of a CPU's platform; None for a CPU that no published TDX module supports."""
    return PLATFORMS.get(without_stepping(value))


def format_signature(value: int) -> str:
    """A signature as Intel writes it: ``0x806F8``."""
    return f"0x{value:X}"


def describe(value: int) -> str:
    """A signature with the platform's name where it has one: ``0x806F8 (Sapphire Rapids)``."""
    name = platform(value)
    return f"{format_signature(value)} ({name})" if name else format_signature(value)


def parse_signature(text: str) -> int:
    """The reverse of :func:`format_signature`. Raises ValueError unless ``text`` is a 32-bit hex number."""
    if not re.fullmatch(r"0x[0-9A-Fa-f]{1,8}", text, re.ASCII):
        raise ValueError(f"{text!r} is not a CPU signature such as 0x806F8")
    return int(text, 16)


def parse_platform(text: str) -> int:
    """The signature for an abbreviation such as ``SPR`` or a number such as ``0x806F8``. Raises ValueError for another
    text."""
    if text.upper() in ABBREVIATIONS:
        return ABBREVIATIONS[text.upper()]
    try:
        return parse_signature(text)
    except ValueError:
        known = ", ".join(ABBREVIATIONS)
        raise ValueError(f"{text!r} is neither one of {known} nor a CPU signature such as 0x806F8") from None


def parse_list(text: str) -> frozenset[int]:
    """The CPUs in a list as the kernel prints it, such as ``0-11,16,20-31``; no CPUs for an empty text.

    Raises:
        ValueError: malformed, a range that runs backwards, or a CPU number of 65536 or more.
    """
    if len(text) > _LIST_MAX:
        raise ValueError(f"a CPU list of {len(text)} characters; at most {_LIST_MAX} are believable")
    numbers: set[int] = set()
    for part in text.strip().split(",") if text.strip() else ():
        match = re.fullmatch(r"([0-9]{1,6})(?:-([0-9]{1,6}))?", part, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last or last >= _CPU_MAX:
            raise ValueError(f"{text!r} is not a CPU list such as 0-11,16")
        numbers.update(range(first, last + 1))
    return frozenset(numbers)


def format_list(numbers: frozenset[int]) -> str:
    """The CPUs as a list; the reverse of :func:`parse_list`."""
    parts: list[str] = []
    ordered = sorted(numbers)
    start = 0
    for index, number in enumerate(ordered):
        if index + 1 == len(ordered) or ordered[index + 1] != number + 1:
            first = ordered[start]
            parts.append(str(number) if first == number else f"{first}-{number}")
            start = index + 1
    return ",".join(parts)
