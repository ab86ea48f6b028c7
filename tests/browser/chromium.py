"""A headless Chromium for tests: pages are opened, scripts run in them, and what the browser says of them is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SCHEMES = ("light", "dark")
#: Where screenshots go, if anywhere.
SCREENSHOTS = os.environ.get("SEAMSTEP_SCREENSHOTS")


@dataclass(frozen=True)
class Visit:
    """What became of a page: the script's answer, console messages and dialogs, requests, and what is inaccessible,
    each as impact, rule, text and places."""

    value: Any
    told: list[str]
    requests: list[str]
    violations: list[list[Any]]


class Browser:
    """A browser that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def visit(
        self,
        page: Path,
        script: str = "",
        *,
        scheme: str = "light",
        media: str = "screen",
        width: int = 1280,
        audit: bool = False,
        fragment: str = "",
        name: str = "",
    ) -> Visit:
        """Open a file, and run a script that drives ``page`` (a page of playwright)."""
        assert self._process.stdin
        assert self._process.stdout
        shot = str(Path(SCREENSHOTS) / f"{name}-{scheme}.png") if SCREENSHOTS and name else None
        asked = {"url": page.as_uri() + fragment, "script": script, "scheme": scheme, "media": media, "width": width}
        self._process.stdin.write(json.dumps({**asked, "audit": audit, "screenshot": shot}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return Visit(**answer)


#: A script: what is cut off or reaches out of the window, but for the picture, which scrolls in its own box.
CUT_OFF = """
    return page.evaluate(`(() => {
      const found = [];
      const apart = ".drawing, .drawing *, .hidden, thead, thead *, script";
      for (const one of document.body.querySelectorAll("*")) {
        if (one.matches(apart) || !one.getClientRects().length) continue;
        const box = one.getBoundingClientRect();
        const cut = getComputedStyle(one).overflowX !== "visible" && one.scrollWidth > one.clientWidth;
        if (cut || box.right > innerWidth + 0.5 || box.left < 0) found.push(one.outerHTML.slice(0, 120));
      }
      if (document.documentElement.scrollWidth > innerWidth) found.push("the page scrolls sideways");
      return found;
    })()`);
"""


def check_quiet(visit: Visit, page: Path) -> None:
    """The page made no request but for itself, and the console has nothing to say."""
    assert {request.partition("#")[0] for request in visit.requests} == {page.as_uri()}
    assert visit.told == []


def missing() -> str:
    """What is not there for these tests, empty if all is."""
    lacking = [name for name in ("chromium", "node") if not shutil.which(name)]
    if not all((HERE / "node_modules" / name).is_dir() for name in ("playwright-core", "mermaid")):
        lacking.append("tests/browser/node_modules (npm install --prefix tests/browser)")
    return f"there is no {' and no '.join(lacking)}" if lacking else ""


@contextmanager
def running() -> Iterator[Browser]:
    """A browser. Fails where there is none: then only those get here who require it."""
    lacking = missing()
    assert not lacking, lacking
    chromium = shutil.which("chromium")
    command = ["node", "drive.mjs", str(chromium)]
    with subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield Browser(process)
        assert process.stdin
        process.stdin.close()
        assert process.wait(timeout=30) == 0
