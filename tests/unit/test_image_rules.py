"""The rules that look into images."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from made import Content, made_image, made_release
from test_rules import HOST, SOURCE, TARGET, rule_of

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import INTEL_SIGNER, Image, Outcome, Release, Step
from seamstep.rules.handoff import Handoff

BLOCK, UNKNOWN, PASS = Outcome.BLOCK, Outcome.UNKNOWN, Outcome.PASS
GOOD = made_image((0x806F8,), 0x10D, 1, 0, signer=INTEL_SIGNER)
SIMULATED = HOST._replace(simulated=True)


def image(**says: Any) -> Image:
    return GOOD._replace(sigstruct=GOOD.sigstruct._replace(**says))


BROKEN = GOOD._replace(content=Content("it does not fit"))


class Case(NamedTuple):
    rule: str
    source: Image | None
    target: Image | None
    outcome: Outcome
    says: str = ""
    host: HostFacts = HOST


PAIRS = ("handoff", "svn", "seam-memory")
SINGLE = ("image-authentic", "minimum-svn", "debug-module")
CASES = [
    *(Case(rule, GOOD, GOOD, PASS) for rule in (*PAIRS, *SINGLE)),
    *(Case(rule, GOOD, None, UNKNOWN, "no image") for rule in (*PAIRS, *SINGLE)),
    *(Case(rule, None, GOOD, UNKNOWN, "1.5.24 is: there is no image") for rule in PAIRS),
    *(Case(rule, BROKEN, GOOD, UNKNOWN, "it does not fit") for rule in PAIRS),
    *(Case(rule, None, GOOD, PASS) for rule in SINGLE),
    Case("image-authentic", GOOD, BROKEN, BLOCK, "signature: it does not fit"),
    Case("handoff", image(module_hv=1), image(min_update_hv=1, module_hv=1), PASS),
    Case("handoff", image(module_hv=0), image(min_update_hv=0, module_hv=3), PASS),
    Case("handoff", image(module_hv=0), image(min_update_hv=1, module_hv=3), BLOCK, "hands over version 0"),
    Case("handoff", image(module_hv=2), image(min_update_hv=0, module_hv=1), BLOCK, "takes handoff versions 0 to 1"),
    Case("svn", image(seamsvn=0x10D), image(seamsvn=0x10D), PASS, "from 0x10d (1.5.24) to 0x10d (1.5.28)"),
    Case("svn", image(seamsvn=0x10C), image(seamsvn=0x10D), PASS),
    Case("svn", image(seamsvn=0x10D), image(seamsvn=0x1FF), PASS),
    Case("svn", image(seamsvn=0x10D), image(seamsvn=0x10C), BLOCK, "goes down, from 0x10d (1.5.24) to 0x10c (1.5.28)"),
    Case("svn", image(seamsvn=0x10D), image(seamsvn=0x100), BLOCK, "goes down"),
    Case("svn", image(seamsvn=0x10D), image(seamsvn=0x20D), BLOCK, "major byte changes"),
    Case("svn", image(seamsvn=0x1FF), image(seamsvn=0x200), BLOCK, "major byte changes"),
    Case("svn", image(seamsvn=0x20D), image(seamsvn=0x10D), BLOCK, "major byte changes"),
    Case("svn", image(seamsvn=0x00D), image(seamsvn=0x10D), BLOCK, "major byte changes"),
    Case("svn", image(seamsvn=0x10D), image(seamsvn=0x0FF), BLOCK, "whose major byte is 0"),
    Case("svn", image(seamsvn=0x00C), image(seamsvn=0x00D), BLOCK, "whose major byte is 0"),
    Case("seam-memory", image(num_stack_pages=2), image(num_stack_pages=1), PASS),
    Case("seam-memory", GOOD, image(num_stack_pages=2), BLOCK, "than 1.5.24 (stack), and may not fit"),
    Case("seam-memory", GOOD, image(num_tls_pages=2), BLOCK, "(tls)"),
    Case("seam-memory", GOOD, image(num_keyhole_pages=128), BLOCK, "(keyhole)"),
    Case("seam-memory", GOOD, image(num_global_data_pages=22), BLOCK, "(data)"),
    Case("seam-memory", GOOD, image(handoff_pages=14), BLOCK, "(data)"),
    Case("seam-memory", GOOD, image(handoff_pages=14, num_global_data_pages=20), PASS),
    Case("seam-memory", GOOD, image(num_stack_pages=0, num_tls_pages=2), BLOCK, "(tls)"),
    Case("seam-memory", GOOD, image(num_stack_pages=2, handoff_pages=99), BLOCK, "(stack, data)"),
    Case("minimum-svn", GOOD, image(seamsvn=0x10B), BLOCK, "0x10b, below 0x10c"),
    Case("minimum-svn", GOOD, image(seamsvn=0x10C), PASS),
    Case("debug-module", GOOD, image(module_type=1 << 31), BLOCK, "debug module"),
    Case("debug-module", image(module_type=1 << 31), GOOD, PASS),
    Case("debug-module", GOOD, image(module_type=1 << 31), BLOCK, "debug module", SIMULATED),
    Case("image-authentic", GOOD, image(signer="33" * 32), BLOCK, "a real host takes Intel's key alone"),
    Case("image-authentic", GOOD, image(signer="33" * 32), PASS, "signed by 3333", SIMULATED),
    Case("image-authentic", image(signer="33" * 32), GOOD, PASS),
    Case("image-authentic", GOOD, BROKEN, BLOCK, "signature: it does not fit", SIMULATED),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}-{case.outcome}-{case.says[:16]}")
def test_rule(case: Case) -> None:
    step = Step(SOURCE._replace(image=case.source), TARGET._replace(image=case.target))
    verdict = rule_of(case.rule).check(step, case.host)
    assert (verdict.rule, verdict.outcome) == (case.rule, case.outcome)
    assert case.says in verdict.reason


@pytest.mark.parametrize("name", [*PAIRS, *SINGLE])
def test_image_rules_say_that_they_need_one(name: str) -> None:
    assert rule_of(name).needs_image


def test_why_there_is_no_usable_image() -> None:
    assert Release(SOURCE.version, image=GOOD).usable_image() is GOOD
    assert Release(SOURCE.version, image=BROKEN).usable_image() is None
    assert "it does not fit" in Release(SOURCE.version, image=BROKEN).why_no_image()
    assert "at hand" in Release(SOURCE.version).why_no_image()


@pytest.mark.parametrize(
    ("source", "target", "outcome"),
    [
        ({"handoff_pages": 13}, {"handoff_pages": 13}, Outcome.PASS),
        ({"handoff_pages": 13}, {"handoff_pages": 24}, Outcome.PASS),
        ({"handoff_pages": 14}, {"handoff_pages": 13}, Outcome.BLOCK),
        ({"handoff_pages": 24, "module_hv": 0}, {"handoff_pages": 13, "module_hv": 1}, Outcome.PASS),  # 25 pages
        ({"handoff_pages": 25, "module_hv": 0}, {"handoff_pages": 30, "module_hv": 1}, Outcome.BLOCK),
    ],
)
def test_room_for_what_is_handed_over(source: dict[str, Any], target: dict[str, Any], outcome: Outcome) -> None:
    before, after = (
        made_release("1.5.24", image=made_image(**source)),
        made_release("1.5.28", image=made_image(**target)),
    )
    assert Handoff().check(Step(before, after), HOST).outcome is outcome
