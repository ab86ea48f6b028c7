"""Versions order, print and parse as the kernel's do; specifiers are PEP 440 over them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamstep.base.versions import ModuleVersion, SeamldrVersion, Specifier

numbers = st.tuples(st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 65535))


def version_of(parts: tuple[int, int, int]) -> ModuleVersion:
    return ModuleVersion(".".join(map(str, parts)))


@given(numbers)
def test_prints_as_the_kernel_does_and_reads_back(parts: tuple[int, int, int]) -> None:
    text = "%u.%u.%02u" % parts
    assert str(version_of(parts)) == text
    assert ModuleVersion(text) == version_of(parts)
    assert version_of(parts).series == f"{parts[0]}.{parts[1]}"
    assert version_of(parts).packaging.release == parts


@given(numbers, numbers)
def test_orders_numerically(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    assert (version_of(one) < version_of(other)) == (one < other)
    assert (version_of(one) == version_of(other)) == (one == other)
    assert (hash(version_of(one)) == hash(version_of(other))) or one != other


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.5",
        "1.5.x",
        "1.5.6.7",
        "v1.5.06",
        "1.5.06 ",
        "1.5.06\n",
        "1.05.06",
        "1.5.65536",
        "1.5.-1",
        "1.5.06rc1",
        "1.5.٣",
    ],
)
def test_refuses_anything_but_three_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="three numbers"):
        ModuleVersion(text)


def test_module_and_seamldr_versions_do_not_mix() -> None:
    assert ModuleVersion("1.5.06") != SeamldrVersion("1.5.06")
    with pytest.raises(TypeError):
        ModuleVersion("1.5.06") < SeamldrVersion("1.5.07")  # type: ignore[operator]  # noqa: B015


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("1.5.28", ["1.5.28"], ["1.5.27", "1.5.29"]),
        ("1.5.6", ["1.5.06"], ["1.5.60"]),
        ("2.0.*", ["2.0.02", "2.0.65535"], ["2.1.00", "1.5.28"]),
        (">=1.5.24,<1.5.30", ["1.5.24", "1.5.28"], ["1.5.23", "1.5.30"]),
        ("==1.5.28", ["1.5.28"], ["1.5.34"]),
        ("~=1.5.24", ["1.5.24", "1.5.99"], ["1.5.23", "1.6.00"]),
        ("!=1.5.25", ["1.5.24"], ["1.5.25"]),
        (">1.5.00", ["1.6.00", "1.5.01"], ["1.5.00"]),
    ],
)
def test_specifiers(text: str, inside: list[str], outside: list[str]) -> None:
    specifier = Specifier(text)
    assert all(ModuleVersion(version) in specifier for version in inside)
    assert not any(ModuleVersion(version) in specifier for version in outside)
    assert str(specifier) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.5",
        "latest",
        "===1.5.06",
        ">=1.5rc1",
        ">=1!1.5",
        "==1.5.06+local",
        ">=",
        "1.*.*",
        ",",
        "==1.5",
        "!=2",
        "<=1.5",
        ">1.5",
        "~=1.5",
    ],
)
def test_refuses_specifiers_that_mean_nothing_here(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|is not|three numbers"):
        Specifier(text)
