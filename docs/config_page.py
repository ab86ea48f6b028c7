"""The reference page of the configuration, as Markdown."""

from __future__ import annotations

from pathlib import Path

from policy_page import HEAD, has_parts, section, top_row
from rule_pages import GENERATED, page, paragraph, table
from seamstep.base import resources

#: A configuration that says everything; a test reads it.
COMPLETE = Path(__file__).parents[1] / "tests" / "cases" / "accept" / "config" / "everything.yaml"


def config_page() -> str:
    """The configuration, key by key."""
    schema = resources.schema("config")
    keys = schema["properties"]
    return page(
        "# The configuration",
        GENERATED,
        paragraph(
            f"{schema['description']} It is the file `/etc/seamstep/config.yaml`, a YAML mapping with the keys below;"
            " any other key is an error. `key[]` stands for each item of a list. The schema is"
            " [config.schema.json](../../schemas/config.schema.json); what comes of it is on the page"
            " [The service](../service.md#configuration)."
        ),
        "## An example of everything",
        f"```yaml\n{COMPLETE.read_text('utf-8').rstrip()}\n```",
        "## Keys",
        table(HEAD, (top_row(key, schema) for key in keys)),
        *(block for key in keys if has_parts(keys[key]) for block in section(key, keys[key])),
    )
