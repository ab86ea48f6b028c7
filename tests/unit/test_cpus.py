"""CPU signatures and lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamstep.base import cpus


@pytest.mark.parametrize(
    ("family", "model", "stepping", "eax", "platform"),
    [
        (6, 143, 8, 0x806F8, "Sapphire Rapids"),
        (6, 207, 2, 0xC06F2, "Emerald Rapids"),
        (6, 175, 3, 0xA06F3, "Sierra Forest"),
        (6, 173, 1, 0xA06D1, "Granite Rapids"),
        (6, 174, 1, 0xA06E1, "Granite Rapids-D"),
        (25, 17, 1, 0xA10F11, None),
    ],
)
def test_signature(family: int, model: int, stepping: int, eax: int, platform: str | None) -> None:
    assert cpus.signature(family, model, stepping) == eax
    assert cpus.split_signature(eax) == (family, model, stepping)
    assert cpus.platform(eax) == platform
    assert cpus.parse_signature(cpus.format_signature(eax)) == eax


@given(st.frozensets(st.integers(0, 65535), max_size=50))
def test_cpu_lists_read_back(numbers: frozenset[int]) -> None:
    assert cpus.parse_list(cpus.format_list(numbers)) == numbers


@pytest.mark.parametrize("text", ["a", "1-", "-1", "3-1", "0-65536", "1;2", "0-999999", "1--2", "0-3,", ",", "0,,1"])
def test_refuses_bad_lists(text: str) -> None:
    with pytest.raises(ValueError, match="CPU list"):
        cpus.parse_list(text)


def test_lists_are_short() -> None:
    assert cpus.format_list(cpus.parse_list("0,1,2,3,5,7-8\n")) == "0-3,5,7-8"


@pytest.mark.parametrize("text", ["806F8", "0x", "0x123456789", "0x80 6F8"])
def test_refuses_bad_signatures(text: str) -> None:
    with pytest.raises(ValueError, match="CPU signature"):
        cpus.parse_signature(text)
