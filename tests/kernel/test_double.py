"""What is written about the double is what it has."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_knob_is_in_the_table() -> None:
    source = (ROOT / "tests/kernel/module/tdx_host_double.c").read_text()
    descriptions = dict(re.findall(r'^MODULE_PARM_DESC\((\w+), "(.*)"\);$', source, re.MULTILINE))
    parameters = re.findall(r"^module_param(?:_string)?\((\w+),.*, (0[0-7]+)\);$", source, re.MULTILINE)
    assert len(parameters) == len(descriptions) > 20
    expected = [(f"`{name}`" + "*" * (mode == "0444"), descriptions[name]) for name, mode in parameters]
    table = (ROOT / "docs/kernel-tests.md").read_text().partition("| knob |")[2]
    assert re.findall(r"^\| (`\w+`\*?) \|.*?\| ([^|]*) \|$", table, re.MULTILINE) == expected
