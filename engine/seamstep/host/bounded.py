"""A host whose files can't hang a run: a read or write that does not return in time is an error."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TypeVar

from seamstep.host.base import Host

T = TypeVar("T")

#: Seconds. The kernel serializes reads of the P-SEAMLDR's attributes with an update, which takes less than one.
LIMIT = 30.0


class BoundedHost:
    """``host`` with a time limit on each access to its files.

    An access that exceeds the limit raises TimeoutError. Its thread is left behind: the system call can't be cancelled,
    and a write may still take effect. The process exits with such a thread unless the kernel blocks it beyond signals.

    Args:
        host: the host.
        limit: seconds.
    """

    def __init__(self, host: Host, limit: float = LIMIT) -> None:
        self._host = host
        self._limit = limit

    @property
    def sysroot(self) -> str | None:
        return self._host.sysroot

    def read(self, path: str, limit: int) -> bytes:
        return self._bounded(lambda: self._host.read(path, limit), path)

    def write(self, path: str, data: bytes, offset: int = 0) -> int:
        return self._bounded(lambda: self._host.write(path, data, offset), path)

    def exists(self, path: str) -> bool:
        return self._bounded(lambda: self._host.exists(path), path)

    def monotonic(self) -> float:
        return self._host.monotonic()

    def wall(self) -> float:
        return self._host.wall()

    def sleep(self, seconds: float) -> None:
        self._host.sleep(seconds)

    def _bounded(self, call: Callable[[], T], path: str) -> T:
        import threading  # imported late, because light commands read no host

        answers: list[T] = []
        errors: list[BaseException] = []

        def access() -> None:
            try:
                answers.append(call())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=access, daemon=True)
        thread.start()
        thread.join(self._limit)
        if errors:
            raise errors[0]
        if not answers:
            raise TimeoutError(errno.ETIMEDOUT, f"no answer within {self._limit:g} s", path)
        return answers[0]
