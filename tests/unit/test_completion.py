"""Completion in real shells: what is typed, and what becomes of it when Tab is pressed.

bash has to be there. zsh and fish are looked for by the slow tests, which CI runs where they are installed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from terminals import open_terminal

from conftest import Run
from seamstep import cli
from seamstep.cli.completion_scripts import Kind, described

#: What is typed, something that has to be offered, and something that must not be.
OFFERED = [
    ("", "plan", "--mapping"),
    ("pl", "plan", "explain"),
    ("lint ", "a-folder", "--format"),
    ("policy ", "check", "plan"),
    ("policy check ", "fewest-hops", "check"),
    ("policy check a-", "a-policy.yaml", "fewest-hops"),
    ("plan --pol", "--policy", "--yes"),
    ("plan --policy ", "shortest-path", "--policy"),
    ("plan --policy a", "a-policy.yaml", "shortest-path"),
    ("plan --policy=sho", "shortest-path", "fewest-hops"),
    ("plan --policy check --", "--catalog", "show"),
    ("plan --catalog ", "a-folder", "a-policy.yaml"),
    ("status --format ", "prometheus", "sarif"),
    ("lint --format ", "sarif", "prometheus"),
    ("lint --format=sa", "sarif", "text"),
    ("lint --format=sarif --fail-on ", "never", "sarif"),
    ("apply a", "a-policy.yaml", "--yes"),
    ("image convert --to ", "2.0", "a-folder"),
    ("policy schema ", "scenario", "fewest-hops"),
    ("completion ", "zsh", "plan"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file and a folder to complete, beside a home that is nobody's."""
    (tmp_path / "here" / "a-folder").mkdir(parents=True)
    (tmp_path / "here" / "a-policy.yaml").touch()
    return tmp_path / "here"


@pytest.fixture
def scripts(run: Run, tmp_path: Path) -> dict[str, Path]:
    """The script for each shell."""
    files = {shell: tmp_path / f"completion.{shell}" for shell in ("bash", "zsh", "fish")}
    for shell, file in files.items():
        file.write_text(run("completion", shell).out)
    return files


def shell_of(name: str) -> str:
    """The shell. One that is missing is no reason to fail, but where CI installed it."""
    found = shutil.which(name)
    if not found:
        assert not os.environ.get("SEAMSTEP_REQUIRE_SHELLS"), f"{name} is not installed"
        pytest.skip(f"{name} is not installed")
    return found


def shown(name: str, arguments: list[str], folder: Path) -> str:
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [shell_of(name), *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


def bash(script: Path, typed: str, folder: Path) -> list[str]:
    """What bash offers. Its own splitting of words at ``=`` is done here, as readline does it."""
    words = ["seamstep", *typed.replace("=", " = ").split(" ")]
    program = f"""
        compopt() {{ :; }} # works only while readline asks
        source {shlex.quote(str(script))}
        COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}
        _seamstep seamstep
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return shown("bash", ["--norc", "--noprofile", "-euc", program], folder).split()


def fish(script: Path, typed: str, folder: Path) -> list[str]:
    """What fish offers; after ``--option=`` it offers the whole word."""
    program = f"source {shlex.quote(str(script))}; complete -C {shlex.quote(f'seamstep {typed}')}"
    lines = shown("fish", ["--no-config", "-c", program], folder).splitlines()
    return [line.partition("\t")[0].rpartition("=")[2].rstrip("/") for line in lines]


def zsh(script: Path, typed: str, folder: Path) -> list[str]:
    """What zsh offers: everything it hands to compadd, in a real line editor on a real terminal."""
    there, back = folder.parent / "offered", folder.parent / "done"
    setup = folder.parent / "setup.zsh"
    setup.write_text(
        f"""
        autoload -Uz compinit && compinit -u -D
        source {shlex.quote(str(script))}
        zstyle ':completion:*' list-prompt ''
        unsetopt always_last_prompt list_beep
        LISTMAX=0
        compadd() {{
            local -a offered
            builtin compadd -O offered "$@"
            print -rl -- $offered >> {shlex.quote(str(there))}
            builtin compadd "$@"
        }}
        finished() {{ print done > {shlex.quote(str(back))} }}
        zle -N finished; bindkey '^X' finished
        print READY
        """
    )
    there.write_text("")
    ours, theirs = open_terminal(200)
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        [shell_of("zsh"), "-f", "-i"],
        cwd=folder,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        os.write(ours, f"source {setup}\n".encode())
        seen = b""
        while b"READY" not in seen.replace(b"print READY", b""):
            seen += os.read(ours, 1 << 16)
        os.write(ours, f"seamstep {typed}\t\x18".encode())
        until = time.monotonic() + 30
        while not back.exists() and time.monotonic() < until:
            time.sleep(0.01)
        process.terminate()
        process.kill()
    os.close(ours)
    assert back.exists(), "the line editor did not answer"
    back.unlink()
    return [line.rstrip("/= ") for line in there.read_text().splitlines() if line]


@pytest.mark.parametrize(("typed", "offered", "not_offered"), OFFERED)
def test_bash_completes(scripts: dict[str, Path], folder: Path, typed: str, offered: str, not_offered: str) -> None:
    answer = bash(scripts["bash"], typed, folder)
    assert offered in answer
    assert not_offered not in answer


@pytest.mark.slow
@pytest.mark.parametrize("shell", [fish, zsh])
@pytest.mark.parametrize(("typed", "offered", "not_offered"), OFFERED)
def test_other_shells_complete(
    scripts: dict[str, Path],
    folder: Path,
    shell: Callable[[Path, str, Path], list[str]],
    typed: str,
    offered: str,
    not_offered: str,
) -> None:
    answer = shell(scripts[shell.__name__], typed, folder)
    assert offered in answer
    assert not_offered not in answer


def test_bash_calls_it_for_seamstep(scripts: dict[str, Path], folder: Path) -> None:
    program = f"source {shlex.quote(str(scripts['bash']))}; complete -p seamstep"
    assert shown("bash", ["--norc", "--noprofile", "-euc", program], folder) == "complete -F _seamstep seamstep\n"


def test_every_option_of_every_command_is_completed(scripts: dict[str, Path], folder: Path) -> None:
    for command in cli.described_parser().all():
        typed = " ".join(command.words[1:])
        offered = bash(scripts["bash"], f"{typed} -".lstrip(), folder)
        assert set(offered) == {flag for option in command.options for flag in option.flags}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_option_of_every_command_is_in_each_script(scripts: dict[str, Path], shell: str) -> None:
    text = scripts[shell].read_text()
    for command in cli.described_parser().all():
        for option in command.options:
            for flag in option.flags:
                assert (f"-l {flag[2:]} " if shell == "fish" and flag.startswith("--") else flag[1:]) in text


def test_what_placeholders_stand_for() -> None:
    parser = argparse.ArgumentParser(prog="p", add_help=False)
    parser.add_argument("--a", metavar="NAME|FILE", help="50%% of [it]: 'a'", action="append")
    parser.add_argument("--b", metavar="DIR")
    parser.add_argument("--c", metavar="PROFILE")
    parser.add_argument("d", choices=("x", "y"), nargs="?")
    command = described(parser, {"NAME": ["one", "two"]})
    kinds = [(option.value.words, option.value.kind) for option in command.options if option.value]
    assert kinds == [(("one", "two"), Kind.FILES), ((), Kind.FOLDERS), ((), Kind.NOTHING)]
    assert (command.options[0].help, command.options[0].repeated) == ("50% of [it]: 'a'", True)
    assert command.arguments[0].value.words == ("x", "y")
    with pytest.raises(ValueError, match="quoted"):
        described(parser, {"NAME": ["$(reboot)"]})
