"""Completion in real shells: what is typed, and what is offered when Tab is pressed.

bash has to be installed. zsh and fish are needed by the slow tests; CI installs them.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from terminals import open_terminal
from test_startup import modules_of

from conftest import Run
from seamstep import cli

#: What is typed after ``seamstep``, something that has to be offered, and something that must not be.
OFFERED = [
    ("", "plan", "--version"),
    ("pl", "plan", "explain"),
    ("plan ", "--policy", "a-policy.yaml"),
    ("lint ", "a-folder", "--format"),
    ("lint -", "--format", "a-folder"),
    ("policy ", "check", "plan"),
    ("policy check ", "fewest-hops", "check"),
    ("policy check a-", "a-policy.yaml", "fewest-hops"),
    ("plan --pol", "--policy", "--yes"),
    ("plan --policy ", "shortest-path", "--policy"),
    ("plan --policy a", "a-policy.yaml", "shortest-path"),
    ("plan --policy=sho", "shortest-path", "fewest-hops"),
    ("plan --policy check --", "--catalog", "show"),
    ("plan --facts x --", "--catalog", "--sysroot"),
    ("plan --catalog ", "a-folder", "a-policy.yaml"),
    ("plan --catalog=", "a-folder", "a-policy.yaml"),
    ("plan --catalog=a-folder/", "inner", "a-folder"),
    ("plan --catalog ~/", "home-folder", "a-folder"),
    ("status --format ", "prometheus", "sarif"),
    ("lint --format ", "sarif", "prometheus"),
    ("lint --format=sa", "sarif", "text"),
    ("lint --format=sarif --fail-on ", "never", "sarif"),
    ("apply a", "a-policy.yaml", "--yes"),
    ("image convert --to ", "2.0", "a-folder"),
    ("policy schema ", "scenario", "fewest-hops"),
    ("completion ", "zsh", "plan"),
]
#: What may stand before ``seamstep`` on the line. bash has no completion of its own for commands such as sudo.
BEFORE = [
    ("bash", "true; "),
    ("bash", "A=1 "),
    ("zsh", "true; "),
    ("zsh", "A=1 "),
    ("zsh", "sudo -u root "),
    ("fish", "true; "),
    ("fish", "A=1 "),
    ("fish", "env "),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files and folders to complete, beside a home, and beside a folder that has seamstep in it."""
    (tmp_path / "here" / "a-folder" / "inner").mkdir(parents=True)
    (tmp_path / "here" / "a-policy.yaml").touch()
    (tmp_path / "here" / "x: it's one").touch()
    (tmp_path / "home" / "home-folder").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "seamstep"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m seamstep "$@"\n')
    program.chmod(0o755)
    return tmp_path / "here"


@pytest.fixture
def scripts(run: Run, tmp_path: Path) -> dict[str, Path]:
    """The script for each shell; that for zsh in a folder and by the name that zsh needs to find it."""
    files = {"bash": tmp_path / "seamstep.bash", "zsh": tmp_path / "fpath" / "_seamstep", "fish": tmp_path / "s.fish"}
    for shell, file in files.items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(run("completion", shell).out)
    return files


def shell_of(name: str) -> str:
    """The path of the shell. The test is skipped where there is none, except in CI, where it fails."""
    found = shutil.which(name)
    if not found:
        assert not os.environ.get("SEAMSTEP_REQUIRE_SHELLS"), f"{name} is not installed"
        pytest.skip(f"{name} is not installed")
    return found


def environment(folder: Path) -> dict[str, str]:
    path = f"{folder.parent / 'bin'}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(folder.parent / "home"), "TERM": "xterm", "LC_ALL": "C.UTF-8"}


def words(offered: str) -> list[str]:
    """The candidates, one a line, without what shells put before and after the part that is completed."""
    return [line.rstrip("/ ").rpartition("=")[2].rpartition("/")[2] for line in offered.splitlines() if line]


def fish(script: Path, line: str, folder: Path) -> list[str]:
    """What fish offers."""
    program = f"source {shlex.quote(str(script))}; complete -C {shlex.quote(line)}"
    done = subprocess.run(
        [shell_of("fish"), "-c", program],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return words("\n".join(candidate.partition("\t")[0] for candidate in done.stdout.splitlines()))


def bash(script: Path, line: str, folder: Path) -> list[str]:
    """What bash offers: the words that readline is given."""
    setup = f"""
        PS1=
        source {shlex.quote(str(script))}
        registered=$(complete -p seamstep) registered=${{registered##*-F }} registered=${{registered%% *}}
        asked() {{
            "$registered" "$@"
            printf '%s\\n' "${{COMPREPLY[@]}}" >> "$OFFERED"
        }}
        complete -F asked seamstep
        finished() {{ mv "$OFFERED" "$DONE"; }}
        bind -x '"\\C-t": finished'
    """
    return on_terminal([shell_of("bash"), "--norc", "--noprofile", "-i"], setup, line, folder)


def zsh(script: Path, line: str, folder: Path) -> list[str]:
    """What zsh offers: everything that is handed to compadd."""
    setup = f"""
        PS1=
        fpath=({shlex.quote(str(script.parent))} $fpath)
        autoload -Uz compinit && compinit -u -D
        zstyle ':completion:*' list-prompt ''
        unsetopt always_last_prompt list_beep
        LISTMAX=0
        compadd() {{
            local -a offered
            builtin compadd -O offered "$@"
            print -rl -- $offered >> $OFFERED
            builtin compadd "$@"
        }}
        finished() {{ mv $OFFERED $DONE }}
        zle -N finished; bindkey '^T' finished
    """
    return on_terminal([shell_of("zsh"), "-f", "-i"], setup, line, folder)


def on_terminal(command: list[str], setup: str, line: str, folder: Path) -> list[str]:
    """What a shell on a terminal offers for ``line``. After ``setup``, candidates go to the file ``$OFFERED``, and
    Ctrl-T renames that to ``$DONE``."""
    offered, done, prepared = (folder.parent / name for name in ("offered", "done", "setup"))
    offered.write_text("")
    done.unlink(missing_ok=True)
    prepared.write_text(f"{setup}\necho RE''ADY\n")
    variables = environment(folder) | {"OFFERED": str(offered), "DONE": str(done)}
    ours, theirs = open_terminal(200)
    with subprocess.Popen(
        command, cwd=folder, env=variables, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        os.write(ours, f"source {prepared}\n".encode())
        seen = b""
        while b"READY" not in seen:
            seen += os.read(ours, 1 << 16)
        os.write(ours, f"{line}\t\x14".encode())
        until = time.monotonic() + 30
        while not done.exists() and time.monotonic() < until:
            time.sleep(0.01)
        process.kill()
    os.close(ours)
    assert done.exists(), "the shell did not answer"
    return words(done.read_text())


SHELLS: dict[str, Callable[[Path, str, Path], list[str]]] = {"bash": bash, "zsh": zsh, "fish": fish}


@pytest.mark.parametrize(("typed", "offered", "not_offered"), OFFERED)
def test_bash_completes(scripts: dict[str, Path], folder: Path, typed: str, offered: str, not_offered: str) -> None:
    answer = bash(scripts["bash"], f"seamstep {typed}", folder)
    assert offered in answer
    assert not_offered not in answer


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["fish", "zsh"])
@pytest.mark.parametrize(("typed", "offered", "not_offered"), OFFERED)
def test_other_shells_complete(
    scripts: dict[str, Path], folder: Path, shell: str, typed: str, offered: str, not_offered: str
) -> None:
    answer = SHELLS[shell](scripts[shell], f"seamstep {typed}", folder)
    assert offered in answer
    assert not_offered not in answer


@pytest.mark.slow
@pytest.mark.parametrize(("shell", "before"), BEFORE)
def test_it_is_the_command_that_is_completed_wherever_it_stands(
    scripts: dict[str, Path], folder: Path, shell: str, before: str
) -> None:
    answer = SHELLS[shell](scripts[shell], f"{before}seamstep plan --policy=ca", folder)
    assert set(answer) == {"canary", "cautious"}


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_a_file_with_any_name_is_offered(scripts: dict[str, Path], folder: Path, shell: str) -> None:
    answer = SHELLS[shell](scripts[shell], "seamstep lint x", folder)
    assert {word.replace("\\", "") for word in answer} == {"x: it's one"}


@pytest.mark.slow
def test_zsh_takes_the_script_from_a_startup_file_too(scripts: dict[str, Path], folder: Path) -> None:
    sourced = scripts["zsh"].rename(scripts["zsh"].with_name("completion.zsh"))
    program = f"autoload -Uz compinit && compinit -u -D; source {sourced}; print -r -- $_comps[seamstep]"
    done = subprocess.run(
        [shell_of("zsh"), "-f", "-c", program], env=environment(folder), capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("_seamstep\n", "")


def candidates(typed: str) -> Iterator[str]:
    """What completes ``typed``, in this process; each as the whole line."""
    from seamstep.cli.completion import Finder, Values

    finder, state = Finder(cli.parser(), default_completer=Values()), 0
    while (line := finder.rl_complete(typed, state)) is not None:
        yield line
        state += 1


@pytest.mark.parametrize(("typed", "offered", "not_offered"), [row for row in OFFERED if "=" not in row[0]])
def test_candidates(folder: Path, monkeypatch: pytest.MonkeyPatch, typed: str, offered: str, not_offered: str) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder.parent / "home"))
    answer = words("\n".join(line.rpartition(" ")[2] for line in map(str.rstrip, candidates(typed))))
    assert offered in answer
    assert not_offered not in answer


def commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that takes options, with the words that lead to it."""
    yield parser.prog.partition(" ")[2], parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from commands(below)


def test_every_option_of_every_command_is_completed() -> None:
    for typed, parser in commands(cli.parser()):
        answer = {line.split()[-1] for line in candidates(f"{typed} -".lstrip())}
        assert answer == {flag for action in parser._actions for flag in action.option_strings}


@pytest.mark.parametrize("typed", ["plan --catalog $HOME/", "plan --target ", "completion bash "])
def test_without_candidates_it_is_left_to_the_shell(folder: Path, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    monkeypatch.setenv("HOME", str(folder.parent / "home"))
    assert list(candidates(typed)) == []


def test_only_completion_imports_the_library() -> None:
    assert "argcomplete" in modules_of("completion", "bash")
    assert "argcomplete" not in modules_of("facts")
