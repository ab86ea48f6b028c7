"""Paths of a machine whose root folder is a folder here, such as an image."""

from __future__ import annotations

import os

from seamstep.base.errors import InputError, Problem

_LINKS_MAX = 40  # as in the kernel


def below(root: str, path: str) -> str:
    """The place of the absolute ``path`` of the machine whose root folder is ``root``.

    Links are followed as that machine follows them: an absolute one, or one with too many "..", stays below ``root``,
    where the kernel would lead it to a file of this machine. What does not exist is left as it is.

    Raises:
        InputError: the links go round in a circle.
    """
    if root == "/":
        return path
    root = root.rstrip("/")
    done: list[str] = []
    rest = path.split("/")[::-1]
    links = 0
    while rest:
        part = rest.pop()
        if part == "..":
            del done[-1:]
        elif part not in {"", "."}:
            place = "/".join([root, *done, part])
            if not os.path.islink(place):
                done.append(part)
                continue
            links += 1
            if links > _LINKS_MAX:
                raise InputError(Problem(root + path, "too many symbolic links on the way to it"))
            target = os.readlink(place)
            if target.startswith("/"):
                done.clear()
            rest += target.split("/")[::-1]
    return "/".join([root, *done])


def is_there(root: str, path: str) -> bool:
    """Whether there is something at the absolute ``path`` of the machine, if only a link that leads to nothing."""
    folder, _, name = path.rpartition("/")
    return os.path.lexists(f"{below(root, folder)}/{name}")
