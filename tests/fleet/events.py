"""What happened in a lab, as JSON Lines: boots, uploads, sshd. Tests hold it against what a rollout says."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

NAME = "events.jsonl"


class Events:
    """Appends to the file; several processes may."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def add(self, host: str, event: str, **others: Any) -> None:
        """One event of a host, with the time on the wall."""
        line = json.dumps({"time": time.time(), "host": host, "event": event, **others})
        os.write(self._file, f"{line}\n".encode())


def read(folder: Path) -> list[dict[str, Any]]:
    """All events so far."""
    return [json.loads(line) for line in (folder / NAME).read_text().splitlines()]
