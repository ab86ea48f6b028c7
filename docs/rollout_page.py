"""The reference page of the rollout document, as Markdown."""

from __future__ import annotations

from pathlib import Path

from policy_page import HEAD, has_parts, section, top_row
from rule_pages import GENERATED, page, paragraph, table
from seamstep.base import resources

#: A rollout that says everything; a test reads it.
COMPLETE = Path(__file__).parents[1] / "tests" / "cases" / "accept" / "rollout" / "complete.yaml"


def rollout_page() -> str:
    """The rollout document, key by key."""
    schema = resources.schema("rollout")
    keys = schema["properties"]
    return page(
        "# The rollout document",
        GENERATED,
        paragraph(
            f"{schema['description']} A rollout is a YAML mapping with the keys below; any other key is an error."
            " `key[]` stands for each item of a list. The schema is"
            " [rollout.schema.json](../../schemas/rollout.schema.json); what comes of it is on the page"
            " [Rollouts](../rollout.md)."
        ),
        "## An example of everything",
        f"```yaml\n{COMPLETE.read_text('utf-8').rstrip()}\n```",
        "## Keys",
        table(HEAD, (top_row(key, schema) for key in keys)),
        *(block for key in keys if has_parts(keys[key]) for block in section(key, keys[key])),
    )
