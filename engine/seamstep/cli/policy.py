"""``seamstep policy``."""

from __future__ import annotations

from typing import Any

from seamstep.cli import policy_test, policy_tools


def add(commands: Any) -> None:
    """Add the commands."""
    parser = commands.add_parser("policy")
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=type(parser))
    policy_tools.add(actions)
    policy_test.add(actions)
