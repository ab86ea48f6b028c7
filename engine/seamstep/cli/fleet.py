"""``seamstep fleet``."""

from __future__ import annotations

from typing import Any

from seamstep.cli import fleet_people, fleet_plan, fleet_record, fleet_rollout


def add(commands: Any) -> None:
    """Add the commands."""
    parser = commands.add_parser("fleet")
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=type(parser))
    fleet_plan.add(actions)
    fleet_rollout.add(actions)
    fleet_record.add(actions)
    fleet_people.add(actions)
