"""Completion for fish 3.0 and later."""

from __future__ import annotations

from collections.abc import Iterator

from seamstep.cli.completion_scripts import Command, Kind, Values

_FUNCTION = """\
# fish completion for {name}
function __{name}_path -d 'the command typed so far'
    set -l path {name}
    for word in (commandline -opc)[2..-1]
        switch "$path $word"
            case {commands}
                set path "$path $word"
        end
    end
    echo $path
end
function __{name}_at
    test (__{name}_path) = "$argv"
end
complete -c {name} -f
"""


def script(root: Command) -> str:
    """The script for all of ``root``."""
    below = [_quoted(command.path) for command in root.all() if command is not root]
    head = _FUNCTION.format(name=root.path, commands=" ".join(below))
    return head + "".join(f"{line}\n" for command in root.all() for line in _lines(command, root.path))


def _lines(command: Command, name: str) -> Iterator[str]:
    start = f"complete -c {name} -n {_quoted(f'__{name}_at {command.path}')}"
    for below in command.commands:
        yield f"{start} -a {_quoted(below.words[-1])} -d {_quoted(below.help)}"
    for argument in command.arguments:
        yield f"{start}{_value(argument.value)} -d {_quoted(argument.help or argument.value.placeholder)}"
    for option in command.options:
        flags = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags)
        value = f" -r{_value(option.value)}" if option.value else ""
        yield f"{start} {flags}{value} -d {_quoted(option.help)}"


def _value(value: Values) -> str:
    words = [*value.words, *(["(__fish_complete_directories)"] if value.kind is Kind.FOLDERS else [])]
    files = " -F" if value.kind is Kind.FILES else " -f"
    return f"{files} -a {_quoted(' '.join(words))}" if words else files


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
