"""JSON Schema checks whose messages help: what is wrong, what was expected, where.

A schema says what it expects in ``title`` ("a version of three numbers, such as 1.5.06"); the message quotes it.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from seamstep import resources
from seamstep.documents import Document
from seamstep.errors import PROBLEMS_MAX, KeyPath, Problem, in_reading_order

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

_SHOWN = 60


def check(document: Document, kind: str, schema: dict[str, Any] | None = None) -> list[Problem]:
    """Every way in which the document breaks the schema of its kind (or ``schema``), in reading order."""
    validator = _validator(kind) if schema is None else _draft(schema)
    found = (explained for error in validator.iter_errors(document.data) for explained in _explain(error))
    some = itertools.islice(dict.fromkeys(found), PROBLEMS_MAX + 1)
    return in_reading_order(document.problem(path, message) for path, message in some)


@functools.cache
def _validator(kind: str) -> Draft202012Validator:
    return _draft(resources.schema(kind))


def _draft(schema: dict[str, Any]) -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema)


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """``; did you mean 'x'?``, or nothing where no candidate is near."""
    near = difflib.get_close_matches(word, list(candidates), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def shown(value: object) -> str:
    """A value for a message, on one line and not too long."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _explain(error: ValidationError) -> Iterator[tuple[KeyPath, str]]:
    path: KeyPath = tuple(error.absolute_path)
    schema: Any = error.schema
    instance: Any = error.instance
    if error.validator == "additionalProperties":
        known = schema.get("properties", {})
        for key in instance:
            if key not in known:
                yield (*path, key), f"unknown key{did_you_mean(key, known)}"
    elif error.validator == "required":
        for key in schema["required"]:
            if key not in instance:
                yield path, f"the key {key!r} is missing"
    else:
        expected = schema.get("title") or f"{error.validator} {error.validator_value}"
        yield path, f"{shown(instance)} is not {expected}"
