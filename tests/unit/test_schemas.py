"""The schemas are valid, describe every key, and fit what seamstep writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from conftest import DAY, FACTS, FEBRUARY, LATEST, host_like, plan_for
from seamstep import mapping, policy_file, resources
from seamstep.facts import HostFacts

KINDS = ("mapping", "facts", "policy", "scenario", "plan")


@pytest.mark.parametrize("kind", KINDS)
def test_schema_is_valid_and_described(kind: str) -> None:
    schema = resources.schema(kind)
    Draft202012Validator.check_schema(schema)
    assert "oneOf" not in json.dumps(schema)
    for path, part in subschemas(schema):
        assert part.get("title"), f"{path} has no title, so its messages can't say what was expected"


def subschemas(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if "$ref" in schema:
        return
    yield path, schema
    for key, part in schema.get("properties", {}).items():
        yield from subschemas(part, f"{path}.{key}")
    if "items" in schema:
        yield from subschemas(schema["items"], f"{path}[]")


def test_plans_fit_their_schema(spr: HostFacts, images: Path) -> None:
    validator = Draft202012Validator(resources.schema("plan"))
    for host in (spr, host_like(spr, "1.5.34"), host_like(spr, "1.5.16"), host_like(spr, "1.5.24", "2.0.00")):
        for name in resources.policies():
            validator.validate(dict(plan_for(host, images, name).document))


def test_facts_fit_their_schema(spr: HostFacts) -> None:
    validator = Draft202012Validator(resources.schema("facts"))
    validator.validate(json.loads(FACTS.read_text()))
    validator.validate(spr.to_document())


def test_shipped_policies_fit_the_schema_as_editors_read_them() -> None:
    """An editor reads YAML with its implicit types; the schema must suit that too."""
    import yaml

    validator = Draft202012Validator(resources.schema("policy"))
    names = list(resources.policies())
    assert names == ["canary", "cautious", "fewest-hops", "shortest-path"]
    for name, file in resources.policies().items():
        validator.validate(yaml.safe_load(file.read_text("utf-8")))
        loaded = policy_file.load(name, DAY)
        assert (loaded.name, loaded.sources[0].file) == (name, None)


@pytest.mark.parametrize(("path", "count", "strict"), [(LATEST, 20, True), (FEBRUARY, 11, False)])
def test_both_shapes_of_the_real_mapping_file_are_read(path: Path, count: int, strict: bool) -> None:
    loaded = mapping.load(str(path))
    assert len(loaded.releases) == count
    assert [release.version for release in loaded.releases] == sorted(release.version for release in loaded.releases)
    assert all((release.strict_compat is not None) == strict for release in loaded.releases)
    assert loaded.header["Version"] == "1.0"


def test_unknown_keys_are_kept(tmp_path: Path) -> None:
    document = json.loads(LATEST.read_text())
    document["comment"] = {"by": "us"}
    document["tdx_module_releases"][0]["sha384"] = "ab"
    path = tmp_path / "m.json"
    path.write_text(json.dumps(document))
    loaded = mapping.load(str(path))
    assert loaded.extra == {"comment": {"by": "us"}}
    assert loaded.releases[0].extra == {"sha384": "ab"}
