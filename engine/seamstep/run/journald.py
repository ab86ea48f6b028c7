"""Structured events for the systemd journal: one for each transition of a run.

The journal's native protocol (systemd, "Native Journal Protocol") is one datagram for each event, so no library is
needed. An event that can't be delivered is dropped, and the run goes on. The identifiers of the events are stable;
docs/service.md lists them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from seamstep.base.errors import ExitCode
from seamstep.plan.document import Hop
from seamstep.run.executor import Reporter, RunResult, State

SOCKET = "/run/systemd/journal/socket"
_VALUE_MAX = 2000  # characters; an event has to fit into one datagram

#: MESSAGE_ID of the event that a hop entered a state.
STATES: dict[State, str] = {
    State.PREFLIGHT: "887dda195cec445f9c8901871bd9d87b",
    State.STAGED: "804438725d6c4b7597f53716185b74a3",
    State.COMMITTED: "f9ff6f661adf4bed816c8a56707930e6",
    State.APPLIED: "07a32378ae4449838788c7434b0f527b",
    State.BUSY: "7877c151b87240faac5a6e1a1785fca6",
    State.FAILED: "c7a1dc008c8a4ec7b9345196fa5cbd32",
    State.LOST: "4cdf98794a464ecda62817996575caf6",
    State.UNKNOWN: "ed06dd2a43ae46b6bce684347a5bdbc7",
}
#: MESSAGE_ID of the event that the outcome of a killed run was determined.
RECOVERED = "38dd89c11a204ff0a3ef00679fa47364"
#: MESSAGE_ID of the event that a run ended; MESSAGE has the outcome.
ENDED = "5660a7df8bbd4d26a290ebcd9c03553e"
#: MESSAGE_ID of the event that a run waits: before a retry, or for the soak time between hops.
WAITING = "1352fdbf8e97402f91201b80dcea76ff"
#: MESSAGE_ID of a note: a remark or warning that does not change the run's outcome.
NOTE = "bfe90ea2098647909f155bc060e4d105"

_CRITICAL, _ERROR, _WARNING, _NOTICE, _INFO = 2, 3, 4, 5, 6  # syslog(3)
#: Priority of the event that a hop entered a state.
PRIORITIES: dict[State, int] = {
    State.PREFLIGHT: _INFO,
    State.STAGED: _INFO,
    State.COMMITTED: _NOTICE,
    State.APPLIED: _NOTICE,
    State.BUSY: _WARNING,
    State.FAILED: _ERROR,
    State.LOST: _CRITICAL,
    State.UNKNOWN: _CRITICAL,
}
_END_PRIORITIES = {
    ExitCode.DONE: _NOTICE,
    ExitCode.BUSY: _NOTICE,
    ExitCode.STALE: _WARNING,
    ExitCode.INTERRUPTED: _WARNING,
    ExitCode.LOST: _CRITICAL,
    ExitCode.UNKNOWN: _CRITICAL,
}


def encode(fields: Mapping[str, str]) -> bytes:
    """One event in the native protocol: a line ``NAME=value`` for each field, or name, length and value where the value
    has line breaks. Values are cut after 2000 characters."""
    event = bytearray()
    for name, value in fields.items():
        content = value[:_VALUE_MAX].encode("utf-8", "backslashreplace")
        if b"\n" in content:
            event += name.encode() + b"\n" + len(content).to_bytes(8, "little") + content + b"\n"
        else:
            event += name.encode() + b"=" + content + b"\n"
    return bytes(event)


def send(fields: Mapping[str, str], path: str = SOCKET) -> None:
    """Send one event to the socket at ``path``; dropped if the socket is missing or does not accept it at once."""
    import socket  # imported late: dry runs and rehearsals send nothing

    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as there:
        there.setblocking(False)
        there.sendto(encode(fields), path)


def stderr_is_journal() -> bool:
    """Whether standard error is connected to the journal, as in a service (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class JournalReporter(Reporter):
    """Sends an event for each state that a hop enters, for waits and notes, and for the run's end.

    An empty ``path`` disables sending, for dry runs and rehearsals.

    Attributes:
        transaction: the id of the run in seamstep's own journal, sent with each event; empty until it is known.
    """

    def __init__(self, transaction: str = "", path: str = SOCKET) -> None:
        self.transaction = transaction
        self._path = path
        self._hop: dict[str, str] = {}
        self._title = ""
        self._last: State | None = None
        if path:
            import socket  # noqa: F401 - an import error must occur here, not in :func:`send` after a commit

    def hop(self, hop: Hop, number: int, total: int) -> None:
        self._hop = {
            "SEAMSTEP_FROM": str(hop.source),
            "SEAMSTEP_TO": str(hop.target),
            "SEAMSTEP_HOP": str(number),
            "SEAMSTEP_HOPS": str(total),
        }
        self._title, self._last = f"hop {number} of {total}: {hop}", None
        self.moved(State.PREFLIGHT)

    def moved(self, state: State) -> None:
        if state is self._last:  # hop() sends preflight already; the executor may report it again
            return
        self._last = state
        message = f"{self._title}: {state.value}"
        self._send(STATES[state], PRIORITIES[state], message, {"SEAMSTEP_STATE": state.value, **self._hop})

    def waiting(self, why: str, seconds: float) -> None:
        """Send the event that the run waits for ``seconds``; ``why`` is the reason."""
        fields = {"SEAMSTEP_WAIT_SECONDS": f"{seconds:.0f}", **self._hop}
        self._send(WAITING, _NOTICE, f"waiting {seconds:.0f} s: {why}", fields)

    def note(self, text: str) -> None:
        """Send a remark or warning."""
        self._send(NOTE, _WARNING, text, self._hop)

    def recovered(self, outcome: str, transaction: str, message: str) -> None:
        """Send the outcome of the killed run ``transaction``: ``outcome`` is a state or ``not-started``."""
        fields = {"SEAMSTEP_STATE": outcome, "SEAMSTEP_RECOVERED_TRANSACTION": transaction}
        known = {state.value: priority for state, priority in PRIORITIES.items()}
        self._send(RECOVERED, known.get(outcome, _NOTICE), message, fields)

    def ended(self, result: RunResult) -> None:
        """Send the result of the run."""
        fields = {
            "SEAMSTEP_STATE": result.state.value,
            "SEAMSTEP_VERSION": str(result.version) if result.version else "",
            "SEAMSTEP_APPLIED": str(len(result.applied)),
            "SEAMSTEP_EXIT_CODE": str(int(result.exit_code)),
        }
        self._send(ENDED, _END_PRIORITIES.get(result.exit_code, _ERROR), result.message, fields)

    def _send(self, message_id: str, priority: int, message: str, fields: Mapping[str, str]) -> None:
        if not self._path:
            return
        event = {
            "MESSAGE": message,
            "MESSAGE_ID": message_id,
            "PRIORITY": str(priority),
            "SYSLOG_IDENTIFIER": "seamstep",
            "SEAMSTEP_TRANSACTION": self.transaction,
            **fields,
        }
        send({name: value for name, value in event.items() if value}, self._path)
