"""Is it a mapping file? Keys and values, by the schema that every mapping file is read with."""

from __future__ import annotations

from collections.abc import Iterator

from seamstep.analysis.lint.findings import Code, Finding, Severity
from seamstep.analysis.lint.source import Source, known_keys
from seamstep.base.errors import KeyPath
from seamstep.base.validation import Breach, breaches, did_you_mean, shown
from seamstep.domain.mapping import FEATURES, MINIMUM_SEAMLDRS, RELEASES

_KEY_SHOWN = 60  # characters: the keys above a duplicate one are repeated with each
_NOT_READ = "seamstep refuses the whole file, and so will other readers, or they will take it for something else."

VERSION_MALFORMED = Code(
    "version-malformed",
    Severity.ERROR,
    "A version of a TDX module is not three numbers.",
    f"Versions are compared number by number. {_NOT_READ}",
    "Write it as major.minor.update, such as 1.5.06, each number at most 65535.",
)
SEAMLDR_MALFORMED = Code(
    "seamldr-malformed",
    Severity.ERROR,
    "A version of a P-SEAMLDR is not three numbers.",
    f"Whether a host's P-SEAMLDR can load the release is decided by these numbers. {_NOT_READ}",
    "Write it as major.minor.update, such as 1.5.00, each number at most 65535.",
)
HEX_MALFORMED = Code(
    "hex-malformed",
    Severity.ERROR,
    "tdx_feature0 is not a hex number of at most 64 bits.",
    f"Each bit is a feature that steps depend on. {_NOT_READ}",
    "Write it as 0x and up to 16 hex digits, such as 0x1F0FBF.",
)
KEY_MISSING = Code(
    "key-missing",
    Severity.ERROR,
    "A key that every mapping file or release has is missing.",
    f"A constraint that is not written down can't be kept. {_NOT_READ}",
    "Add the key. An empty list says that there is nothing to list; leaving the key out does not.",
)
WRONG_TYPE = Code(
    "wrong-type",
    Severity.ERROR,
    "A value is of another type than its key asks for.",
    _NOT_READ,
    "Write what the message says was expected; `seamstep policy schema mapping` prints the schema.",
)
DUPLICATE_KEY = Code(
    "duplicate-key",
    Severity.ERROR,
    "A key stands twice in one object.",
    "Most readers take the last of the two without a word, some the first: two machines may read two different files.",
    "Keep the one that is right.",
)
UNKNOWN_KEY = Code(
    "unknown-key",
    Severity.NOTE,
    "A key that seamstep does not know.",
    "Nothing that it says is heeded. It may be new in the format, or a misspelling of a key that then is missing.",
    "Correct the spelling, or see whether a newer seamstep knows the key.",
)
NO_RELEASES = Code(
    "no-releases",
    Severity.ERROR,
    "The file lists no release.",
    "There is nothing to plan with; the file may have been cut off by whatever made it.",
    "Restore the list, or remove the file.",
)

CODES = (
    VERSION_MALFORMED,
    SEAMLDR_MALFORMED,
    HEX_MALFORMED,
    KEY_MISSING,
    WRONG_TYPE,
    DUPLICATE_KEY,
    UNKNOWN_KEY,
    NO_RELEASES,
)


def check(source: Source) -> Iterator[Finding]:
    """What stands in the way of reading the file."""
    for path, offset in source.places.duplicates:
        message = f"the key {shown(path[-1])} stands twice in its object"
        short = tuple(key[:_KEY_SHOWN] if isinstance(key, str) else key for key in path)
        yield source.at(offset, DUPLICATE_KEY, short, message, source.release_at(path), key=str(path[-1]))
    told: dict[Breach, None] = dict.fromkeys(breaches(source.data, "mapping"))
    for breach in told:
        code = _code(breach)
        yield source.finding(
            code, breach.path, breach.message, source.release_at(breach.path), where=_where(breach.path)
        )
    places = {breach.path for breach in told}
    for entry in source.entries:
        for fault in entry.faults:
            path = (RELEASES, entry.position, *fault.path)
            if path not in places:
                breach = Breach(path, fault.message, "pattern")
                release = source.release_at(path)
                yield source.finding(_code(breach), path, fault.message, release, where=_where(path))
    yield from _unknown_keys(source)
    if source.data.get(RELEASES) == []:
        yield source.finding(NO_RELEASES, (RELEASES,), "the list of releases is empty")


def _code(breach: Breach) -> Code:
    if breach.keyword == "required":
        return KEY_MISSING
    if breach.keyword != "pattern":
        return WRONG_TYPE
    if FEATURES in breach.path:
        return HEX_MALFORMED
    return SEAMLDR_MALFORMED if MINIMUM_SEAMLDRS in breach.path else VERSION_MALFORMED


def _where(path: KeyPath) -> list[str]:
    """The keys on the way, without positions, which change when a release is added before."""
    return [key for key in path if isinstance(key, str)]


def _unknown_keys(source: Source) -> Iterator[Finding]:
    known = known_keys()
    objects: list[tuple[KeyPath, object, frozenset[str]]] = [((), source.data, known[()])]
    listed = source.data.get(RELEASES)
    for index, entry in enumerate(listed if isinstance(listed, list) else []):
        objects.append(((RELEASES, index), entry, known[RELEASES,]))
    for path, value, keys in objects:
        for key in value if isinstance(value, dict) else ():
            if key not in keys:
                message = f"unknown key {shown(key)}{did_you_mean(key, keys)}"
                yield source.finding(UNKNOWN_KEY, (*path, key), message, source.release_at((*path, key)), key=key)
