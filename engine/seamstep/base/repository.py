"""The repository at work, and the names of files in it.

The root is the nearest folder with ``.git``, from the working directory upwards; without one, the working directory. It
does not depend on the file: two checkouts below it (submodules, mirrors) keep different names for their files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_MARK = ".git"


def root() -> Path | None:
    """The root; None if the working directory was removed."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        return None
    return next((folder for folder in (here, *here.parents) if os.path.lexists(folder / _MARK)), here)


def path_of(file: str) -> str:
    """The name of a file wherever in the repository a command is run: its path from the root, with ``/``. The absolute
    path of a file that is not below the root; ``file`` itself if the working directory was removed. Symbolic links are
    not followed."""
    top = root()
    if top is None:
        return file
    path = Path(os.path.abspath(file))  # removes ".." without following links, unlike Path.resolve
    return path.relative_to(top).as_posix() if path.is_relative_to(top) else path.as_posix()


def folders(file: str) -> Iterator[Path]:
    """The folders whose settings may be for a file, nearest first: its own and those above it, up to the root of its
    repository, or without one of the file system; then the working directory."""
    path = Path(os.path.abspath(file))
    for folder in path.parents:
        yield folder
        if os.path.lexists(folder / _MARK):
            break
    yield Path()
