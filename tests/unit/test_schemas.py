"""The schemas are valid, describe every key, and fit what seamstep writes."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from conftest import DAY, FACTS, FEBRUARY, LATEST, host_like, plan_for
from seamstep.base import resources, validation
from seamstep.base.documents import read_json
from seamstep.base.errors import InputError
from seamstep.domain import facts, mapping
from seamstep.domain.facts import HostFacts
from seamstep.policy import policy_file

KINDS = (
    *("mapping", "facts", "policy", "scenario", "plan", "measurements", "modules", "fleet"),
    *("rollout", "report", "hold", "config"),
)


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
        validator.validate(yaml.safe_load(Path(file).read_text("utf-8")))
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


def test_a_list_that_would_take_minutes_is_refused(tmp_path: Path) -> None:
    document = json.loads(LATEST.read_text())
    document["tdx_module_releases"][0]["strict_compat_versions"] = [f"1.5.{number:02}" for number in range(501)]
    path = tmp_path / "m.json"
    path.write_text(json.dumps(document))
    with pytest.raises(
        InputError, match=r"m\.json:\d+:\d+: .*compat_versions: .* is not a list of at most 500 versions"
    ):
        mapping.load(str(path))


#: Where reading and a schema could differ: what one of them takes for a version, a number, a list of CPUs, or nothing.
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.0, 3.0, 10**30, "", " ", "x", [], {}, [None], [1], [[]], {"name": "x"}),
    *("1.5.6", "1.5.06", "01.5.6", "1.5.65536", "1.5.99999", "1.5.06\n", " 1.5.06", "1.5.٦", "1.5", "1.5.6.7"),
    *("0x1", "0X1", "0x", "0x1\n", "0x" + "f" * 16, "0x" + "f" * 17, "0xg", "0x806f8", "0x806F8", "٣"),
    *(
        "0-3",
        "0-3\n",
        " 0-3",
        "0-3,",
        "0,,1",
        ",",
        "3-0",
        "0,0",
        "0-",
        "1000000",
        "idle",
        "legacy",
        "mainline",
        "Legacy",
    ),
    *(["1.5.06"], ["1.5.06", 5], ["1.5.06\n"], ["0x806F8", "0x806F8"], ["0xC06F2", "0x806F8"], ["0x806f8"]),
    *({"name": "t", "status": None}, {"name": "t"}, {"name": "t", "status": "idle", "more": 1}, {"a": "b"}, {"a": 1}),
]
MORE = ["more", "Header", "strict_compat_versions", "hostname", "unknown"]
plain = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
lists = st.lists(plain, max_size=3)
odd = st.sampled_from(ODD) | plain | lists | st.dictionaries(st.text(max_size=8), plain | lists, max_size=3)


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in a document."""
    yield path
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        yield from places(value, (*path, key))


def spoilt(draw: Callable[[Any], Any], document: dict[str, Any]) -> dict[str, Any]:
    """A document with up to three values changed, taken out or put in."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from([path for path in places(document) if path]))
        inner: Any = document
        for key in path[:-1]:
            inner = inner[key]
        change = draw(st.sampled_from(["set", "set", "set", "remove", "add"]))
        if change == "set":
            inner[path[-1]] = copy.deepcopy(draw(odd))
        elif change == "remove":
            del inner[path[-1]]
        elif isinstance(inner, dict):
            inner[draw(st.sampled_from(MORE))] = copy.deepcopy(draw(odd))
        else:
            inner.append(copy.deepcopy(draw(odd)))
        if not document:
            break
    return document


def refused(read: Callable[[], object]) -> bool:
    try:
        read()
    except InputError:
        return True
    return False


@pytest.mark.parametrize("kind", ["mapping", "facts"])
@given(data=st.data())
def test_reading_refuses_whatever_breaks_the_schema(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    sound = json.loads((LATEST if kind == "mapping" else FACTS).read_text())
    if kind == "mapping":
        sound["tdx_module_releases"] = sound["tdx_module_releases"][:3]
    path = tmp_path_factory.mktemp("spoilt") / "document.json"
    path.write_text(json.dumps(spoilt(data.draw, sound)))
    document = read_json(str(path), 1 << 20, kind)
    if next(validation.breaches(document.data, kind), None):
        assert refused(functools.partial(mapping.load if kind == "mapping" else facts.load, str(path)))
