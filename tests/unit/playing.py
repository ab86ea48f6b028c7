"""Pages as sessions: their commands, files and settings in order, and mount namespaces to play them in."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest
from terminals import open_terminal

#: A block of commands and their output, of a shell script, of a file to save, or of settings to change in a file.
BLOCK = re.compile(
    r"(?:Save this as `(?P<saved>[^`]+)`:\n\n|In `(?P<changed>[^`]+)` set:\n\n)?"
    r"^```(?P<kind>console|sh|yaml|ini)\n(?P<block>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
_COMMAND = re.compile(r"^([$#]) (.*)\n((?:(?![$#] ).*\n)*)", re.MULTILINE)
#: Folders of the machine that a session may write to. They have to exist: nothing is made on the machine itself.
_OVERLAID = ("etc", "opt", "srv", "usr/local", "var/lib")
_SECLUDED = """set -eu
names=$(cat /etc/resolv.conf 2> /dev/null || true)
mount -t tmpfs seamstep {upper}
for folder in {overlaid}; do
  mkdir -p {upper}/$folder.upper {upper}/$folder.work
  mount -t overlay -o lowerdir=/$folder,upperdir={upper}/$folder.upper,workdir={upper}/$folder.work seamstep /$folder
done
mount -t tmpfs seamstep /run
rm -f /etc/resolv.conf  # it may be a link into /run, or a mount that the overlay hides
echo "$names" > /etc/resolv.conf
"""


class Step(NamedTuple):
    """One step of a page.

    Attributes:
        section: the heading above it.
        prompt: ``$`` or ``#`` of a command, empty in a shell script; ``>`` for a file to save, ``=`` for settings.
        text: the command line, or the file's content.
        shown: the output that the page shows, or the file's name.
    """

    section: str
    prompt: str
    text: str
    shown: str


class Played(NamedTuple):
    """The result of a command: its exit code, and its output on both streams."""

    code: int
    out: str


def steps(page: str) -> Iterator[Step]:
    """All steps of a page in order. A block of another kind, or a file without a name, is none."""
    section = ""
    for part in re.split(r"^(?=## )", page, flags=re.MULTILINE):
        section = part.partition("\n")[0].removeprefix("## ") if part.startswith("## ") else ""
        for match in BLOCK.finditer(part):
            block = match["block"]
            if match["kind"] == "console":
                for prompt, command, printed in _COMMAND.findall(block):
                    yield Step(section, prompt, command, printed)
            elif match["kind"] == "sh":
                yield from (Step(section, "", line, "") for line in re.sub(r"\\\n\s*", "", block).splitlines())
            elif match["saved"]:
                yield Step(section, ">", block, match["saved"])
            elif match["changed"]:
                yield Step(section, "=", block, match["changed"])


def script(step: Step) -> str:
    """The step for bash. To set a name that a file does not have fails."""
    name = shlex.quote(step.shown)
    if step.prompt == ">":
        return f"mkdir -p $(dirname {name}) && cat > {name} << 'END'\n{step.text}END"
    if step.prompt == "=":
        pairs = [line.partition("=") for line in step.text.splitlines()]
        return " && ".join(
            f"grep -q '^{key}=' {name} && sed -i 's|^{key}=.*|{key}={to}|' {name}" for key, _, to in pairs
        )
    return step.text


def _line_pattern(line: str) -> str:
    """A line as it is shown: ``...`` alone stands for any lines, and inside a line for any text."""
    return "(?:.*\\n)*?" if line == "..." else re.escape(line).replace(re.escape("..."), ".*") + "\\n"


def is_shown(printed: str, out: str) -> bool:
    """Whether ``out`` is the output that a page shows."""
    return bool(re.fullmatch("".join(map(_line_pattern, printed.splitlines())), out))


def secluded(
    commands: Sequence[str], folder: Path, *, before: str = "", typed: bytes = b"", path: Sequence[str] = ()
) -> list[Played]:
    """Run commands as root in one shell, in a mount namespace of their own, with a terminal to answer on.

    Writes to /etc, /opt, /srv, /usr/local and /var/lib are lost with the namespace, and /run is empty, so that no
    service of the machine is reached. The test is skipped where that is not permitted, except in CI, where it fails.

    Args:
        commands: the commands; a failed one stops none.
        folder: the working directory, and the place of the namespace's own files.
        before: a script to run first; an error in it is one of the test.
        typed: the answers, ready on the terminal.
        path: folders before those of ``PATH``.
    """
    upper = folder / "upper"
    upper.mkdir()
    prepared = _SECLUDED.format(upper=shlex.quote(str(upper)), overlaid=" ".join(_OVERLAID))
    if not shutil.which("unshare"):
        _without("unshare is not installed")
    tried = subprocess.run(["unshare", "--mount", "bash", "-c", prepared], capture_output=True, text=True, check=False)
    if tried.returncode:
        _without(tried.stderr.strip())
    ended = "printf '\\n@@%s\\n' $?"
    whole = "\n".join([prepared, before, "set +eu", "exec 2>&1", *(f"{command}\n{ended}" for command in commands)])
    outside = {name: value for name, value in os.environ.items() if name != "STATE_DIRECTORY"}  # that of other tests
    here = outside | {"PATH": ":".join([*path, os.environ["PATH"]]), "LC_ALL": "C.UTF-8"}
    ours, theirs = open_terminal(120)
    os.write(ours, typed)
    try:
        done = subprocess.run(
            ["unshare", "--mount", "bash", "-c", whole],
            cwd=folder,
            env=here,
            stdin=theirs,
            capture_output=True,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0, done.stderr.decode()
    parts = re.split(r"\n@@(\d+)\n", done.stdout.decode())
    assert len(parts) == 2 * len(commands) + 1, done.stdout.decode()
    return [Played(int(code), out) for out, code in zip(parts[:-1:2], parts[1::2], strict=True)]


def _without(why: str) -> NoReturn:
    assert not os.environ.get("SEAMSTEP_REQUIRE_NAMESPACES"), why
    pytest.skip(f"needs root and a mount namespace: {why}")
