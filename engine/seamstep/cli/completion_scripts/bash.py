"""Completion for bash 4.0 and later. Needs nothing of the package bash-completion."""

from __future__ import annotations

from collections.abc import Iterator

from seamstep.cli.completion_scripts import Command, Kind, Values

_FUNCTION = """\
_{name}() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} path={name} word i
    local values='' flags='' kind=''
    # bash takes --option=value apart into three words
    if [[ $cur == '=' ]]; then
        cur=''
    elif [[ $prev == '=' ]]; then
        prev=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        case "$path $word" in
{commands} path="$path $word" ;;
        esac
    done
    case "$path $prev" in
{after}
        *)
            case "$path" in
{within}
            esac
            [[ $cur == -* || -z $values$kind ]] && values=$flags kind=''
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur")
    if [[ $kind ]]; then
        compopt -o filenames
        mapfile -t -O "${{#COMPREPLY[@]}}" COMPREPLY < <(compgen "$kind" -- "$cur")
    fi
}}
complete -F _{name} {name}
"""
_KINDS = {Kind.NOTHING: "", Kind.FILES: "-f", Kind.FOLDERS: "-d"}


def script(root: Command) -> str:
    """The script for all of ``root``."""
    below = [f'"{command.path}"' for command in root.all() if command is not root]
    return f"# bash completion for {root.path}\n" + _FUNCTION.format(
        name=root.path,
        commands="            " + " | \\\n            ".join(below) + ")",
        after="\n".join(_after(root)),
        within="\n".join(_within(root)),
    )


def _after(root: Command) -> Iterator[str]:
    """What completes the value of each option."""
    for command in root.all():
        for option in command.options:
            if option.value:
                flags = " | ".join(f'"{command.path} {flag}"' for flag in option.flags)
                yield f"        {flags}) {_assigned([option.value], [])} ;;"


def _within(root: Command) -> Iterator[str]:
    """What completes any other word of each command."""
    for command in root.all():
        flags = [flag for option in command.options for flag in option.flags]
        names = [below.words[-1] for below in command.commands]
        values = _assigned([argument.value for argument in command.arguments], names)
        yield f"""                "{command.path}") {values} flags='{" ".join(flags)}' ;;"""


def _assigned(values: list[Values], more: list[str]) -> str:
    words = [*(word for value in values for word in value.words), *more]
    kinds = {value.kind for value in values} - {Kind.NOTHING}
    kind = _KINDS[Kind.FILES if Kind.FILES in kinds else Kind.FOLDERS if kinds else Kind.NOTHING]
    return f"values='{' '.join(dict.fromkeys(words))}' kind='{kind}'"
