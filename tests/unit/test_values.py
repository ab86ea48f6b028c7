"""Values are what ``typing.NamedTuple`` makes, to all that use them."""

from __future__ import annotations

import copy
import pickle
import typing
from typing import Any

import pytest

from seamstep.base.values import NamedTuple, made


class Theirs(typing.NamedTuple):
    """What it is."""

    name: str
    number: int = 0
    parts: tuple[str, ...] = ()

    @property
    def doubled(self) -> int:
        return self.number * 2

    def __str__(self) -> str:
        return f"{self.name}!"


class Ours(NamedTuple):
    """What it is."""

    name: str
    number: int = 0
    parts: tuple[str, ...] = ()

    @property
    def doubled(self) -> int:
        return self.number * 2

    def __str__(self) -> str:
        return f"{self.name}!"


def test_they_are_made_compared_and_changed_alike() -> None:
    ours: Any = Ours("a", parts=("b",))
    theirs: Any = Theirs("a", parts=("b",))
    assert ours == theirs == ("a", 0, ("b",))
    assert hash(ours) == hash(theirs)
    assert (str(ours), ours.doubled, Ours("a", 2).doubled) == ("a!", 0, 4)
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert ours._replace(number=3) == theirs._replace(number=3)
    assert ours._asdict() == theirs._asdict()
    assert made(Ours, ("a", 0, ("b",))) == ours
    assert type(made(Ours, ("a", 0, ("b",)))) is Ours
    match ours:
        case Ours(name, number=number):
            assert (name, number) == ("a", 0)


@pytest.mark.parametrize("attribute", ["_fields", "_field_defaults", "__doc__", "__module__", "__match_args__"])
def test_their_classes_say_the_same(attribute: str) -> None:
    assert getattr(Ours, attribute) == getattr(Theirs, attribute)


def test_they_travel() -> None:
    ours = Ours("a", 1)
    for there_and_back in (pickle.loads(pickle.dumps(ours)), copy.copy(ours), copy.deepcopy(ours)):
        assert (there_and_back, type(there_and_back)) == (ours, Ours)


def test_they_hold_their_fields_and_nothing_else() -> None:
    kinds: tuple[Any, ...] = (Ours, Theirs)
    for kind in kinds:
        value = kind("a")
        with pytest.raises(AttributeError):
            value.name = "b"
        with pytest.raises(AttributeError):
            value.other = "b"
        with pytest.raises(TypeError):
            kind()
        with pytest.raises(TypeError):
            kind("a", 1, (), 4)
