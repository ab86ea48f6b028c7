"""Files that only the plan names."""

from __future__ import annotations

import os

from seamstep.base.errors import RefusedError
from seamstep.base.ownership import others_can_change


def own_file(what: str, option: str, path: str) -> str:
    """The file that a path in the plan leads to, as a path without links: these could lead elsewhere by the time that
    the file is read. Raises RefusedError if another user can change the file."""
    try:
        place = os.path.realpath(path)
        why = others_can_change(place)
    except (OSError, ValueError) as error:  # a working directory that was removed, a NUL in the path
        place, why = path, str(error)
    if why:
        message = f"the plan names the {what} {path}, and {why}; if you trust it, name it yourself"
        raise RefusedError(f"{message}: {option} {path}")
    return place
