"""Work that is done while something else is: half of what verifying an image takes is its SHA-384, and half is Python
(docs/adr/0019)."""

from __future__ import annotations

import _thread  # threading takes longer to import than an image to hash
import contextlib
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def meanwhile(work: Callable[[], T]) -> Callable[[], T]:
    """Do ``work`` on a thread of its own. Returns what waits for its end and gives what it came to.

    It gains time only while its starter works without the interpreter, as hashlib does. Where a thread can't be had, or
    the work fails on it, it is done when it is asked for.
    """
    found: list[T] = []
    ended = _thread.allocate_lock()

    def run() -> None:
        with contextlib.suppress(BaseException):  # whoever asks meets it again
            found.append(work())
        ended.release()

    def result() -> T:
        with ended:
            return found[0] if found else work()

    ended.acquire()
    try:
        _thread.start_new_thread(run, ())
    except RuntimeError:  # a service's limit of tasks, say
        ended.release()
    return result
