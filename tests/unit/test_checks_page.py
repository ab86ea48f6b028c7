"""The page of all checks: every row has an answer, and every rule that guards the host answers some row."""

from __future__ import annotations

import pytest

import check_page
from check_page import ROWS, Row
from seamstep.rules import HARD_RULES


@pytest.mark.parametrize(
    "row",
    [
        Row("kernel", "unanswered", "lost"),
        Row("kernel", "x", "lost", ("no-such-rule",)),
        Row("k", "x", "y", image=("z",)),
    ],
)
def test_a_row_without_an_answer_makes_no_page(monkeypatch: pytest.MonkeyPatch, row: Row) -> None:
    assert "# Checks that an update meets" in check_page.check_page()
    monkeypatch.setattr(check_page, "ROWS", (*ROWS, row))
    with pytest.raises(ValueError, match=row.check):
        check_page.check_page()


def test_every_hard_rule_answers_a_check() -> None:
    answering = {rule for row in ROWS for rule in row.rules}
    assert answering >= {*HARD_RULES} - {"forward-only"}, "that one spares an update and guards nothing"
