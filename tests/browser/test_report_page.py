"""The report in a real browser: it filters, prints, can be read by everybody, and what files say stays text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import CUT_OFF, SCHEMES, Browser, check_quiet, running

from conftest import DATA, FACTS, TRUST
from seamstep.cli import main

pytestmark = pytest.mark.browser

EVIL = "</script></title><img src=x onerror=alert(1)><script>alert(2)</script>\" onmouseover=alert(3) '"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def pages(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports by name: one of an update, and one in which every text tries to be more than that."""
    folder = tmp_path_factory.mktemp("pages")
    facts = json.loads(FACTS.read_text()) | {"hostname": EVIL, "kernel": EVIL, "module_version": "1.5.25"}
    (folder / "stuck.json").write_text(json.dumps(json.loads(FACTS.read_text()) | {"module_version": "1.5.13"}))
    (folder / "evil.json").write_text(json.dumps(facts))
    (folder / "evil.yaml").write_text(
        f"schema: seamstep/policy/v1\nname: evil\ndescription: {json.dumps(EVIL)}\ndeny:\n- versions: 1.5.28\n"
        f"  reason: {json.dumps(EVIL)}\n"
    )
    catalog = ("--catalog", images, *TRUST)
    bare = ("--mapping", DATA / "mapping_file-2026-02.json", "--without-images")
    for name, command, options in (
        ("report.html", "report", (*catalog, "--facts", FACTS, "--policy", "shortest-path")),
        ("bare.html", "report", (*bare, "--facts", FACTS)),
        ("no-path.html", "report", (*catalog, "--facts", folder / "stuck.json", "--policy", "shortest-path")),
        ("evil-report.html", "report", (*catalog, "--facts", folder / "evil.json", "--policy", folder / "evil.yaml")),
        ("evil-graph.html", "graph", (*catalog, "--facts", folder / "evil.json", "--policy", folder / "evil.yaml")),
        ("evil-graph.svg", "graph", (*catalog, "--facts", folder / "evil.json", "--policy", folder / "evil.yaml")),
    ):
        assert main([str(one) for one in (command, *options, "-o", folder / name)]) == 0
    return folder


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["report.html", "bare.html"])
def test_nothing_serious_and_nothing_leaves(browser: Browser, pages: Path, name: str, scheme: str) -> None:
    visit = browser.visit(pages / name, scheme=scheme, audit=True, name=name)
    check_quiet(visit, pages / name)
    assert visit.violations == []


@pytest.mark.parametrize("name", ["evil-report.html", "evil-graph.html", "evil-graph.svg"])
def test_what_files_say_stays_text(browser: Browser, pages: Path, name: str) -> None:
    script = """
        for (const step of await page.locator("a.step .symbol").all()) await step.hover();
        return page.evaluate(`[document.querySelectorAll("img, [onerror], [onmouseover]").length,
          document.documentElement.textContent.includes("onerror=alert(1)")]`);
    """
    visit = browser.visit(pages / name, script)
    check_quiet(visit, pages / name)
    assert visit.value == [0, True]


def test_the_content_policy_holds(browser: Browser, pages: Path) -> None:
    """What would be done to a page that let something in after all: nothing."""
    script = """
        await page.evaluate(`{
          const script = document.createElement("script");
          script.textContent = "document.title = 'run'";
          document.body.append(script);
          const image = document.createElement("img");
          image.src = "https://example.com/a.png";
          document.body.append(image);
          fetch("https://example.com/b").catch(() => {});
        }`);
        await page.waitForTimeout(300);
        return page.title();
    """
    visit = browser.visit(pages / "report.html", script)
    assert visit.value == "TDX module update of host-a"
    assert [request for request in visit.requests if not request.startswith("file:")] == []
    assert len(visit.told) >= 3, "each refusal is told on the console"
    assert all("Content Security Policy" in told or "violates" in told for told in visit.told), visit.told


def test_filters(browser: Browser, pages: Path) -> None:
    script = """
        const rows = page.locator("#verdict-table tbody tr:visible");
        const panel = page.locator("[data-filters=verdict-table]");
        const box = (name) => panel.getByRole("checkbox", { name, exact: true });
        const found = [await rows.count()];
        await box("pass").check();
        found.push(await rows.count());
        for (const name of ["canary", "cautious", "fewest-hops"]) await box(name).uncheck();
        found.push(await rows.count());
        await box("refused").uncheck();
        found.push(await rows.count());
        await panel.getByLabel("containing").fill("handoff");
        found.push(await rows.count());
        found.push(await panel.locator("output").innerText());
        found.push(await page.locator("#steps-table tbody tr:visible").count());
        return found;
    """
    refused, everything, one, hops, handoff, told, steps = browser.visit(pages / "report.html", script).value
    assert refused == 4, "at first what is met is hidden: one refused step under each policy is left"
    assert everything > one > hops > handoff == 2, "a verdict for each hop"
    assert one == hops + 1
    assert told == f"2 of {everything} verdicts"
    assert steps == 4, "other tables have filters of their own"


def test_lint_can_be_filtered_and_opened(browser: Browser, pages: Path) -> None:
    script = """
        const rows = page.locator("#lint-table tbody tr:visible");
        const before = await rows.count();
        await rows.first().locator("summary").focus();
        await page.keyboard.press("Enter");
        const opened = await rows.first().locator("details p").first().innerText();
        const boxes = page.locator("[data-filters=lint-table] input[type=checkbox]");
        for (const one of await boxes.all()) await one.uncheck();
        return [before, opened, await rows.count()];
    """
    before, opened, after = browser.visit(pages / "bare.html", script).value
    assert (before > 0, opened.startswith("Why: "), after) == (True, True, 0)


def test_print(browser: Browser, pages: Path) -> None:
    script = """
        await page.evaluate(`dispatchEvent(new Event("beforeprint"))`);
        return [await page.locator(".filters:visible").count(), await page.locator("nav").isVisible(),
                await page.locator("details:not([open])").count(),
                await page.evaluate(`document.documentElement.scrollWidth <= innerWidth`)];
    """
    visit = browser.visit(pages / "bare.html", script, media="print", name="report-print")
    assert visit.value == [0, False, 0, True]


def test_the_graph_stays_with_its_heading_in_print(browser: Browser, pages: Path) -> None:
    script = """
        return page.evaluate(`[getComputedStyle(document.querySelector("#graph")).breakInside,
          getComputedStyle(document.querySelector("#graph h2")).breakAfter,
          document.querySelector("#graph").getBoundingClientRect().height]`);
    """
    inside, after, height = browser.visit(pages / "report.html", script, media="print", width=720).value
    assert (inside, after) == ("avoid", "avoid")
    assert height < 900, "it fits on one page"


@pytest.mark.parametrize("width", [500, 1280])
@pytest.mark.parametrize("name", ["report.html", "bare.html", "no-path.html", "evil-report.html"])
def test_no_window_loses_anything(browser: Browser, pages: Path, name: str, width: int) -> None:
    assert browser.visit(pages / name, CUT_OFF, width=width, name=f"{width}-{name}").value == []


@pytest.mark.parametrize(("width", "across"), [(500, 1), (1280, 3)])
def test_cards_have_one_width_and_the_height_of_their_text(
    browser: Browser, pages: Path, width: int, across: int
) -> None:
    script = """
        return page.evaluate(`[...document.querySelectorAll(".card")].map((one) => {
          const box = one.getBoundingClientRect();
          const inner = one.lastElementChild.getBoundingClientRect();
          return [Math.round(box.left), Math.round(box.width), box.bottom - inner.bottom];
        })`);
    """
    cards = browser.visit(pages / "no-path.html", script, width=width).value
    assert len({left for left, _, _ in cards}) == across
    assert len({wide for _, wide, _ in cards}) == 1
    assert min(wide for _, wide, _ in cards) > 360
    assert max(rest for _, _, rest in cards) < 40, "no card is stretched to the height of another"


def test_without_scripts_everything_is_there(pages: Path) -> None:
    source = (pages / "report.html").read_text()
    assert source.count(" hidden>") == source.count('class="filters"'), "only the filters wait for the script"
