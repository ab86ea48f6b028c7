"""What values are: ``typing.NamedTuple``, without compiling what is written of the types of the fields. Nothing here
asks for that at run time, and it takes a twentieth of the time of a light command (docs/adr/0017)."""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any

__all__ = ["NamedTuple", "made"]

#: ``made(Value, (a, b))`` is ``Value(a, b)`` in half the time, for those that are made by the hundred thousand.
made = tuple.__new__

if TYPE_CHECKING:
    from typing import NamedTuple
else:

    class _Value(type):
        """Makes a tuple with names of a class body."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = body["__annotations__"]
            defaults = [body.pop(field) for field in fields if field in body]
            made = namedtuple(name, fields, defaults=defaults, module=body["__module__"])
            return type(name, (made,), body | {"__slots__": ()})

    class NamedTuple(metaclass=_Value):
        pass
