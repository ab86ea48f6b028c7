"""Mermaid draws the graphs that are written for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import HERE, Browser, running

from conftest import TRUST, Run, host_like, write_facts
from seamstep.domain.facts import HostFacts

pytestmark = pytest.mark.browser

LIBRARY = HERE / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"
#: A text that is not at home in Mermaid.
EVIL = "a<b>&\"'|{x}[y]\\ %%; end é"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running() as started:
        yield started


@pytest.mark.parametrize("hostname", ["host-a", EVIL])
def test_mermaid_draws_it(
    run: Run, browser: Browser, images: Path, spr: HostFacts, tmp_path: Path, hostname: str
) -> None:
    facts = write_facts(tmp_path / "facts.json", host_like(spr, "1.5.24", hostname=hostname))
    given = ("--catalog", images, *TRUST, "--facts", facts, "--blocked", "all")
    text = run("graph", *given, "--format", "mermaid").out
    page = tmp_path / "page.html"
    page.write_text(f'<!doctype html><meta charset="utf-8"><title>m</title><script src="{LIBRARY.as_uri()}"></script>')
    script = f"return await page.evaluate(async (text) => (await mermaid.render('m', text)).svg, {json.dumps(text)});"
    visit = browser.visit(page, script)
    assert "1.5.34" in visit.value
    assert [told for told in visit.told if told.startswith("error")] == []
