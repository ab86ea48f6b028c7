"""Who can change a file."""

from __future__ import annotations

import os
import stat
from pathlib import PurePath


def others_can_change(place: str) -> str:
    """The reason why somebody besides root and the user of this process can change what ``place`` leads to, as a
    clause; empty if nobody can.

    The file and all folders above it count; in a folder with the sticky bit only owners replace files. An unreadable
    path counts as one that others can change, and so does a symbolic link: whoever owns a link leads to another file
    after the answer. So ``place`` has to be what os.path.realpath() says, and is the path to open afterwards.
    """
    mine = {0, os.geteuid()}
    path = PurePath(place)
    try:
        for part in reversed((path, *path.parents)):  # what lies in a folder that nobody else can change stays there
            found = os.lstat(part)
            if stat.S_ISLNK(found.st_mode):
                return f"{part} is a symbolic link"
            if found.st_uid not in mine:
                return f"{part} belongs to the user {found.st_uid}"
            group = found.st_mode & stat.S_IWGRP and (found.st_gid != 0 or _has_acl(part))
            if (group or found.st_mode & stat.S_IWOTH) and not (
                stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
            ):
                return f"{part} can be written by others"
    except OSError as error:
        return f"{place}: {error.strerror}"
    return ""


def _has_acl(path: PurePath) -> bool:
    """Whether an access control list names users or groups besides the owner's; the mode's bits for the group are then
    the most that it grants to any of them."""
    try:
        return "system.posix_acl_access" in os.listxattr(path, follow_symlinks=False)
    except OSError:
        return False
