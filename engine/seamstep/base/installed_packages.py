"""What installed packages may bring, without the library that knows.

``importlib.metadata`` finds entry points, but to import it, and to let it parse everything that is installed, takes
longer than a plan; most hosts have no plug-in at all.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder

_FILE = "entry_points.txt"
_METADATA = (".dist-info", ".egg-info", ".egg")


def may_name(group: str) -> bool:
    """Whether an installed package may have entry points of a group; False only if none has."""
    others = [finder for finder in sys.meta_path if finder is not PathFinder and hasattr(finder, "find_distributions")]
    return bool(others) or any(_names(folder, group.encode()) for folder in sys.path)


def _names(folder: str, group: bytes) -> bool:
    if folder.lower().endswith(".egg"):
        return True
    try:
        with os.scandir(folder or ".") as entries:
            found = [entry.path for entry in entries if entry.name.lower().endswith(_METADATA)]
    except FileNotFoundError:
        return False
    except OSError:
        return True  # an archive, say
    return any(path.lower().endswith(".egg") or _mentions(f"{path}/{_FILE}", group) for path in found)


def _mentions(path: str, group: bytes) -> bool:
    try:
        with open(path, "rb") as file:  # many are asked, and most are missing
            return group in file.read()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
