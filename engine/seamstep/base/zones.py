"""Time zones by name. UTC is always known; the others are the host's (package tzdata)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

#: UTC as a file of the time zone database, RFC 9636: one local time type, with offset 0 and the name UTC.
_UTC = b"TZif" + bytes(16) + b"".join(n.to_bytes(4, "big") for n in (0, 0, 0, 0, 1, 4)) + bytes(6) + b"UTC\0"


def zone(name: str) -> ZoneInfo:
    """The time zone of a name such as Europe/Berlin. Raises ValueError if this host does not know it."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        if name != "UTC":
            raise ValueError(f"{name!r} is not a time zone that this host knows (is tzdata installed?)") from None
    import io

    return ZoneInfo.from_file(io.BytesIO(_UTC), key=name)
