"""Who can change a file."""

from __future__ import annotations

import os
import stat
from pathlib import PurePath


def others_can_change(place: str, top: str = "/") -> str:
    """The reason why a user other than root and the one of this process can change the file at ``place``, as a clause;
    empty if none can.

    The file and all folders above it up to ``top`` count; in a folder with the sticky bit only owners replace files. An
    unreadable path counts as changeable, and so does a symbolic link, since its owner can make it lead to another file
    afterwards. So ``place`` has to be the result of os.path.realpath(), and is the path to open.
    """
    mine = {0, os.geteuid()}
    path = PurePath(place)
    try:
        for part in reversed((path, *path.parents)):  # from the root down: the content of a folder of ours stays
            if not part.is_relative_to(top):
                continue
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
