"""One cause is said once, whatever number of steps and rules it holds for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from terminals import on_terminal, unstyled

from conftest import FACTS, SIGNER, TRUST, Run
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import INTEL_SIGNER
from seamstep.show.causes import Cause, causes, short
from seamstep.show.text import SHOWN_CAUSES, plan_text


def refused(*steps: tuple[str, str, str, str]) -> list[dict[str, Any]]:
    """Refused steps of a plan document: source, target, rule, reason."""
    return [{"from": a, "to": b, "verdicts": [{"rule": rule, "reason": reason}]} for a, b, rule, reason in steps]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([("1.5.01", "1.5.02", "a", "no")], [Cause("1.5.01 → 1.5.02", "a", "no")]),
        (
            [("1.5.01", "1.5.02", "a", "1.5.02 is bad"), ("1.5.01", "1.5.03", "a", "1.5.03 is bad")],
            [Cause("1.5.01 → 1.5.02, 1.5.03", "a", "each is bad")],
        ),
        (
            [
                ("1.5.01", "1.5.02", "a", "/x/m_1.5.02.blob, 1.5.02."),
                ("1.5.01", "1.5.03", "a", "/x/m_1.5.03.blob, 1.5.03."),
            ],
            [Cause("1.5.01 → 1.5.02, 1.5.03", "a", "/x/m_*.blob, each.")],
        ),
        (
            [("1.5.01", "1.5.02", "a", "1.5.01 is odd"), ("1.5.01", "1.5.02", "b", "1.5.01 is odd")],
            [Cause("1.5.01 → 1.5.02", "a, b", "1.5.01 is odd")],
        ),
        (
            [("1.5.01", "1.5.04", "a", "1.5.04 lacks 1.5.01"), ("1.5.02", "1.5.04", "a", "1.5.04 lacks 1.5.02")],
            [Cause("1.5.01, 1.5.02 → 1.5.04", "a", "1.5.04 lacks each")],
        ),
        (
            [("1.5.01", "1.5.02", "a", "no"), ("1.5.01", "1.5.03", "a", "no"), ("1.5.02", "1.5.03", "a", "no")],
            [Cause("1.5.01 → 1.5.02, 1.5.03; 1.5.02 → 1.5.03", "a", "no")],
        ),
        (
            [("1.5.01", "1.5.02", "a", "1.5.02 is bad"), ("1.5.01", "1.5.03", "a", "1.5.03 is worse")],
            [Cause("1.5.01 → 1.5.02", "a", "1.5.02 is bad"), Cause("1.5.01 → 1.5.03", "a", "1.5.03 is worse")],
        ),
        (
            [("1.5.01", "1.5.2", "a", "1.5.2 is not 1.5.24"), ("1.5.01", "1.5.3", "a", "1.5.3 is not 1.5.24")],
            [Cause("1.5.01 → 1.5.2, 1.5.3", "a", "each is not 1.5.24")],
        ),
        (
            [("1.5.01", f"1.5.{number}", "a", "no") for number in range(10, 30)],
            [Cause("1.5.01 → 1.5.10, 1.5.11, 1.5.12, … 16 more …, 1.5.29", "a", "no")],
        ),
    ],
)
def test_what_comes_together(steps: list[tuple[str, str, str, str]], expected: list[Cause]) -> None:
    assert causes(refused(*steps)) == expected


def test_a_missing_signer_is_said_once_for_each_image(run: Run, images: Path) -> None:
    """One for the running release, which three rules read, and one for the images of the targets."""
    ran = run("plan", "--catalog", images, "--facts", FACTS)
    lines = ran.out.partition("not permitted\n")[2].splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "  1.5.24 → 1.5.25  seamldr-minimum",
        "  1.5.24 → 1.5.25, 1.5.28, 1.5.34  handoff, svn, seam-memory",
        "  1.5.24 → 1.5.25, 1.5.28, 1.5.34  image-authentic",
    ]
    assert "tdx_module_*.blob" in lines[2]


def test_digests_are_short_in_texts_and_whole_in_json(run: Run, images: Path) -> None:
    command = ("plan", "--catalog", images, "--facts", FACTS)
    out = run(*command).out
    assert f"an unknown key, {SIGNER.fingerprint[:12]}…. " in out
    assert f"Intel's, {INTEL_SIGNER[:12]}…. " in out
    assert f"give --signer {SIGNER.fingerprint} or" in out, "to be copied"
    assert f"an unknown key, {SIGNER.fingerprint}. " in json.dumps(run(*command, "--json").json)
    trusted = run(*command, *TRUST).out
    assert f"trusted besides Intel: signer {SIGNER.fingerprint[:12]}…\n" in trusted


@pytest.mark.parametrize("length", [64, 96])
def test_a_digest(length: int) -> None:
    assert short(f"x {'ab' * (length // 2)}.") == "x abababababab…."
    assert short("0x118 1.5.24 deadbeef") == "0x118 1.5.24 deadbeef"


def test_so_many_causes_and_no_more(spr: HostFacts, images: Path) -> None:
    from conftest import plan_for

    document = json.loads(json.dumps(dict(plan_for(spr, images).document)))
    document["rejected"] = refused(*(("1.5.01", "1.5.02", f"rule-{number}", f"{number}") for number in range(35)))
    text = plan_text(document)
    assert text.count("rule-") == SHOWN_CAUSES == 30
    assert "  and 5 more reasons (--json lists all)" in text


def test_a_terminal_of_80_columns_shows_causes_as_a_tree(images: Path) -> None:
    code, out = on_terminal(["plan", "--catalog", images, "--facts", FACTS], 80)
    text = unstyled(out)
    assert code == 1
    assert max(map(len, text.splitlines())) <= 80
    assert "└── 1.5.24 → 1.5.25, 1.5.28, 1.5.34\n" in text
    assert "    ├── handoff, svn, seam-memory: can't tell what 1.5.24 is: " in text
