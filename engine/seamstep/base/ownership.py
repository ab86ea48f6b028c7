"""Who can change a file."""

from __future__ import annotations

import os
import stat


def others_can_change(path: str) -> str:
    """The reason why somebody besides root and the user of this process can change what ``path`` leads to, as a clause;
    empty if nobody can. The file and all folders above it count; in a folder with the sticky bit only owners replace
    files. An unreadable path counts as one that others can change.
    """
    mine = {0, os.geteuid()}
    try:
        place = os.path.realpath(path, strict=True)
        while True:
            found = os.stat(place)
            if found.st_uid not in mine:
                return f"{place} belongs to the user {found.st_uid}"
            writable = found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and found.st_gid != 0)
            if writable and not (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX):
                return f"{place} can be written by others"
            if place == "/":
                return ""
            place = os.path.dirname(place)
    except OSError as error:
        return f"{path}: {error.strerror}"
