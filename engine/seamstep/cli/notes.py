"""Notes on standard error about the inputs of a command."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seamstep.image.catalog import Catalog

_TOLD_MAX = 10


def tell_of_age(path: str) -> None:
    """Print on standard error when a mapping file that lacks the running version was last changed."""
    import contextlib
    import os
    import sys

    from seamstep.show.text import printable

    with contextlib.suppress(OSError, ValueError, OverflowError):
        changed = datetime.fromtimestamp(os.stat(path).st_mtime, UTC).date()
        told = f"the mapping file {path} was last changed on {changed}; a newer one may list the running module"
        print(f"seamstep: note: {printable(told)}", file=sys.stderr)


def tell_of_images(loaded: Catalog) -> None:
    """Print the problems of images on standard error. A release without an image is not a problem."""
    import sys

    from seamstep.image.catalog import Kind
    from seamstep.show.text import printable

    worth = [finding.problem for finding in loaded.findings if finding.kind is not Kind.MISSING]
    worth += loaded.unreadable
    for problem in worth[:_TOLD_MAX]:
        print(f"seamstep: note: {printable(problem)}", file=sys.stderr)
    if len(worth) > _TOLD_MAX:
        print(f"seamstep: note: and {len(worth) - _TOLD_MAX} more; see seamstep image verify", file=sys.stderr)
