"""Completion for zsh 5.0 and later."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seamstep.cli.completion_scripts import Argument, Command, Kind, Option, Values

_HEAD = "#compdef {name}\n# zsh completion for {name}\n"
_TAIL = """\
if [[ $funcstack[1] == _{name} ]]; then
    _{name} "$@"
else
    compdef _{name} {name}
fi
"""
_KINDS = {Kind.FILES: "_files", Kind.FOLDERS: "_files -/"}


def script(root: Command) -> str:
    """The script for all of ``root``: a file ``_seamstep`` in fpath, or something to source after compinit."""
    functions = "".join(_function(command) for command in root.all())
    return _HEAD.format(name=root.path) + functions + _TAIL.format(name=root.path)


def _function(command: Command) -> str:
    specs = [spec for option in command.options for spec in _option(option)]
    specs += [_argument(argument) for argument in command.arguments]
    if not command.commands:
        lines = " \\\n".join(f"        {spec}" for spec in specs)
        return f"{_name(command)}() {{\n    _arguments -s -S : \\\n{lines}\n}}\n"
    specs += ["': :->command'", "'*:: :->below'"]
    lines = " \\\n".join(f"        {spec}" for spec in specs)
    names = "\n".join(f"            {_quoted(_told(below))}" for below in command.commands)
    cases = "\n".join(f"                {below.words[-1]}) {_name(below)} ;;" for below in command.commands)
    return f"""\
{_name(command)}() {{
    local context state state_descr line curcontext=$curcontext
    local -A opt_args
    local -a commands
    _arguments -C : \\
{lines}
    case $state in
        command)
            commands=(
{names}
            )
            _describe -t commands command commands
            ;;
        below)
            curcontext="${{curcontext%:*}}-$line[1]:"
            case $line[1] in
{cases}
            esac
            ;;
    esac
}}
"""


def _name(command: Command) -> str:
    return "_" + "_".join(command.words).replace("-", "_")


def _told(command: Command) -> str:
    return f"{command.words[-1]}:{command.help}"


def _option(option: Option) -> Iterator[str]:
    """A spec for each spelling; what excludes itself is not offered twice."""
    others = "*" if option.repeated else f"({' '.join(option.flags)})"
    for flag in option.flags:
        equals = ("=" if flag.startswith("--") else "+") if option.value else ""
        yield _quoted(f"{others}{flag}{equals}[{_spelled(option.help)}]{_value(option.value)}")


def _argument(argument: Argument) -> str:
    return _quoted(("*" if argument.many else "") + _value(argument.value))


def _value(value: Values | None) -> str:
    """``:message:action``; the action offers words, files or both."""
    if value is None:
        return ""
    words = f"({' '.join(value.words)})" if value.words else ""
    files = _KINDS.get(value.kind, "")
    if words and files:
        action = f'_alternative "words\\:word\\:{words}" "files\\:file\\:{files}"'
    else:
        action = words or files or " "
    return f":{_spelled(value.placeholder)}:{action}"


def _spelled(text: str) -> str:
    return re.sub(r"([\[\]:\\])", r"\\\1", text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
