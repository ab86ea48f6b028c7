"""The reference page of the policy document, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rule_pages import GENERATED, page, paragraph, table
from seamstep.base import resources

#: A policy that says everything; a test plans with it.
COMPLETE = Path(__file__).parents[1] / "tests" / "cases" / "accept" / "policy" / "complete.yaml"
HEAD = ("key", "required", "what it is", "what it means")
_RULES = "rules"
_Schema = Mapping[str, Any]
_Row = tuple[str, str, str, str]


def policy_page() -> str:
    """The policy document, key by key."""
    schema = resources.schema("policy")
    keys = schema["properties"]
    nested = [key for key, value in keys.items() if key != _RULES and has_parts(value)]
    return page(
        "# The policy document",
        GENERATED,
        paragraph(
            f"{schema['description']} A policy is a YAML mapping with the keys below; any other key is an error."
            " `key[]` stands for each item of a list. The schema is"
            " [policy.schema.json](../../schemas/policy.schema.json), the rules are described"
            " [one by one](rules/README.md)."
        ),
        "## An example of everything",
        f"```yaml\n{COMPLETE.read_text('utf-8').rstrip()}\n```",
        "## Keys",
        table(HEAD, (top_row(key, schema) for key in keys)),
        *_rules_section(keys[_RULES]),
        *(block for key in nested for block in section(key, keys[key])),
    )


def top_row(key: str, schema: _Schema) -> _Row:
    value = schema["properties"][key]
    name = f"[`{key}`](#{key})" if has_parts(value) else f"`{key}`"
    return (name, *_row(key, value, schema)[1:])


def has_parts(schema: _Schema) -> bool:
    return "properties" in schema or "items" in schema


def _row(path: str, schema: _Schema, parent: _Schema) -> _Row:
    """A row on the key that ``path`` ends with."""
    key = path.rpartition(".")[2]
    required = "yes" if key in parent.get("required", ()) else ""
    return f"`{path}`", required, schema["title"], schema["description"]


def section(key: str, schema: _Schema) -> Iterator[str]:
    yield f"## {key}"
    yield paragraph(schema["description"])
    yield table(HEAD, parts(key, schema))


def parts(path: str, schema: _Schema) -> Iterator[_Row]:
    """A row for each key and item below a schema."""
    for key, value in schema.get("properties", {}).items():
        yield _row(f"{path}.{key}", value, schema)
        yield from parts(f"{path}.{key}", value)
    if "items" in schema:
        yield _row(f"{path}[]", schema["items"], {})
        yield from parts(f"{path}[]", schema["items"])


def _rules_section(schema: _Schema) -> Iterator[str]:
    rules = schema["properties"]
    links = (
        (f"[`{_RULES}.{name}`](rules/{name}.md)", rule["title"], rule["description"]) for name, rule in rules.items()
    )
    yield f"## {_RULES}"
    yield paragraph(schema["description"])
    yield table(("key", "what it is", "what it means"), links)
    yield "Where the level comes as an object, these are its keys:"
    yield table(HEAD, _settings(rules))


def _settings(rules: Mapping[str, _Schema]) -> Iterator[_Row]:
    """The keys of the rules' objects: those that all rules have once, then what single rules have."""
    objects = {name: rule["else"] for name, rule in rules.items()}
    first = next(iter(objects.values()))
    shared = [key for key in first["properties"] if _is_shared(key, list(objects.values()))]
    for key in shared:
        yield _row(f"{_RULES}.*.{key}", first["properties"][key], first)
    for name, schema in objects.items():
        for key, value in schema["properties"].items():
            if key not in shared:
                yield _row(f"{_RULES}.{name}.{key}", value, schema)


def _is_shared(key: str, objects: list[_Schema]) -> bool:
    return all(schema["properties"].get(key) == objects[0]["properties"][key] for schema in objects)
