"""JSON Schema checks. A message gives the place, the value and the expected form.

The expected form is the ``title`` in the schema ("a version of three numbers, such as 1.5.06").
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from seamstep.base import resources
from seamstep.base.documents import Document
from seamstep.base.errors import PROBLEMS_MAX, InputError, KeyPath, Problem, in_reading_order
from seamstep.base.key_hints import Synonyms, hint

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

_SHOWN = 60


class Breach(NamedTuple):
    """One way in which data breaks a schema.

    Attributes:
        path: the key path of the value.
        message: the value and the expected form.
        keyword: the keyword of the schema that the value breaks, such as ``required``.
    """

    path: KeyPath
    message: str
    keyword: str


def check(
    document: Document, kind: str, schema: dict[str, Any] | None = None, synonyms: Synonyms | None = None
) -> list[Problem]:
    """Every way in which the document breaks the schema of its kind (or ``schema``), in reading order; of more than
    PROBLEMS_MAX the first in the schema's order, and one more. ``synonyms`` are for the hints on unknown keys."""
    wanted = _kind_of(kind) if schema is None else None
    if wanted and isinstance(document.data, dict) and document.data.get("schema", wanted) != wanted:
        message = f"{shown(document.data['schema'])} is not the text {wanted}"
        return [document.problem(("schema",), message)]
    found: dict[tuple[KeyPath, str], None] = {}
    for breach in breaches(document.data, kind, schema, synonyms):
        found[breach[:2]] = None
        if len(found) > PROBLEMS_MAX:
            break
    return in_reading_order(document.problem(path, message) for path, message in found)


def require(document: Document, kind: str) -> None:
    """Raise InputError, with all problems, if the document breaks the schema of its kind."""
    problems = check(document, kind)
    if problems:
        raise InputError(problems)


def breaches(
    data: object, kind: str, schema: dict[str, Any] | None = None, synonyms: Synonyms | None = None
) -> Iterator[Breach]:
    """Every way in which data breaks the schema of its kind (or ``schema``), in the schema's order."""
    validator = _validator(kind) if schema is None else _draft(schema)
    whole: Any = validator.schema
    return (breach for error in validator.iter_errors(data) for breach in _explain(error, whole, synonyms or {}))


def _kind_of(kind: str) -> str | None:
    """The value of the key ``schema`` in documents of a kind; None for kinds without the key, such as mapping files."""
    properties: Any = _validator(kind).schema
    wanted: str | None = properties["properties"].get("schema", {}).get("const")
    return wanted


@functools.cache
def _validator(kind: str) -> Draft202012Validator:
    return _draft(resources.schema(kind))


def _draft(schema: dict[str, Any]) -> Draft202012Validator:
    validator: Draft202012Validator = _class()(schema)
    return validator


@functools.cache
def _class() -> Any:
    """The class of validators, with the keyword ``pattern`` as JSON Schema defines it."""
    from jsonschema import Draft202012Validator, ValidationError
    from jsonschema.validators import extend

    def pattern(_validator: Any, expression: str, instance: object, _schema: Any) -> Iterator[ValidationError]:
        # JSON Schema's "$" is the end of the text; Python's also matches before a line break at the end.
        if isinstance(instance, str) and not re.search(re.sub(r"(?<!\\)\$$", r"\\Z", expression), instance):
            yield ValidationError(f"{instance!r} does not match {expression!r}")

    return extend(Draft202012Validator, {"pattern": pattern})  # type: ignore[no-untyped-call]


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """``; did you mean 'x'?``, or nothing where no candidate is near."""
    import difflib

    near = difflib.get_close_matches(word, list(candidates), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def shown(value: object) -> str:
    """A value as text for a message: one line of at most _SHOWN characters."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _explain(error: ValidationError, whole: Mapping[str, Any], synonyms: Synonyms) -> Iterator[Breach]:
    path: KeyPath = tuple(error.absolute_path)
    schema: Any = error.schema
    instance: Any = error.instance
    keyword = str(error.validator)
    if keyword == "additionalProperties":
        known = schema.get("properties", {})
        for key in instance:
            if key not in known:
                yield Breach((*path, key), f"unknown key{hint((*path, key), known, whole, synonyms)}", keyword)
    elif keyword == "required":
        for key in schema["required"]:
            if key not in instance:
                yield Breach(path, f"the key {key!r} is missing", keyword)
    else:
        expected = schema.get("title") or f"{keyword} {error.validator_value}"
        yield Breach(path, f"{shown(instance)} is not {expected}", keyword)
