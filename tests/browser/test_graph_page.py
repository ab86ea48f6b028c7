"""The graph's page in a real browser: nothing leaves it, everything in it can be reached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from chromium import CUT_OFF, SCHEMES, Browser, check_quiet, running

from conftest import FACTS, TRUST
from seamstep.cli import main

pytestmark = pytest.mark.browser

HOST = ("--facts", FACTS, "--policy", "shortest-path")
LEGACY = ("--platform", "SPR", "--seamldr", "1.5.02", "--profile", "legacy")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def pages(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures and pages by name."""
    folder = tmp_path_factory.mktemp("pages")
    for name, options in {
        "host.html": HOST,
        "host.svg": HOST,
        "all.html": (*HOST, "--blocked", "all"),
        "all.svg": (*HOST, "--blocked", "all", "--all"),
        "kind.html": (*LEGACY, "--running", "1.5.06", "--policy", "shortest-path"),
    }.items():
        arguments = ("graph", "--catalog", images, *TRUST, *options, "-o", folder / name)
        assert main([str(argument) for argument in arguments]) == 0
    return folder


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["host.html", "all.html", "kind.html"])
def test_nothing_serious_and_nothing_leaves(browser: Browser, pages: Path, name: str, scheme: str) -> None:
    visit = browser.visit(pages / name, scheme=scheme, audit=True, name=name)
    check_quiet(visit, pages / name)
    assert visit.violations == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_picture_alone(browser: Browser, pages: Path, scheme: str) -> None:
    script = """
        const colour = (one) => getComputedStyle(document.querySelector(one)).fill;
        return page.evaluate(`(${colour})(".background")`);
    """
    visit = browser.visit(pages / "host.svg", script, scheme=scheme)
    check_quiet(visit, pages / "host.svg")
    assert (visit.value == "rgb(255, 255, 255)") == (scheme == "light")


def test_hover_shows_the_reasons(browser: Browser, pages: Path) -> None:
    script = """
        await page.locator('a.step[href="#step-1.5.24-1.5.25"] .symbol').hover();
        return page.locator("#said").innerText();
    """
    said = browser.visit(pages / "host.html", script).value
    assert said.startswith("1.5.24 → 1.5.25: blocked")
    assert "seamldr-minimum (blocks): 1.5.25 needs P-SEAMLDR 2.0.00" in said


def test_the_keyboard_shows_the_reasons(browser: Browser, pages: Path) -> None:
    script = """
        const said = [];
        const now = async () => said.push((await page.locator("#said").innerText()).split("\\n")[0]);
        while (!await page.evaluate(`document.activeElement.matches("a.step")`)) await page.keyboard.press("Tab");
        await now();
        for (const key of ["ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft"]) {
          await page.keyboard.press(key);
          await now();
        }
        await page.keyboard.press("Enter");
        await page.waitForFunction(`document.activeElement.matches("tr")`);
        said.push(await page.evaluate(`document.activeElement.id`));
        return said;
    """
    visit = browser.visit(pages / "host.html", script)
    to = {version: f"1.5.24 → 1.5.{version}: " for version in (25, 28, 34)}
    starts = [to[25], to[28], to[34], to[28], to[25], "1.5.28 → 1.5.34: "]
    assert [said.startswith(start) for said, start in zip(visit.value, starts, strict=False)] == [True] * 6, visit.value
    assert visit.value[6] == "step-1.5.28-1.5.34"
    check_quiet(visit, pages / "host.html")


def test_filters(browser: Browser, pages: Path) -> None:
    script = """
        const rows = page.locator("#steps-table tbody tr:visible");
        const shown = async () => [await rows.count(), await page.locator(".filters output").innerText()];
        const found = [await shown()];
        await page.getByRole("checkbox", { name: "blocked" }).uncheck();
        found.push(await shown());
        await page.getByRole("checkbox", { name: "2.0" }).uncheck();
        found.push(await shown());
        await page.getByRole("checkbox", { name: "blocked" }).check();
        await page.getByLabel("containing").fill("SEAMLDR-minimum");
        found.push(await shown());
        await page.getByLabel("containing").fill("<nothing>");
        found.push(await shown());
        return found;
    """
    found = browser.visit(pages / "all.html", script).value
    counts = [count for count, _ in found]
    assert [text for _, text in found] == [f"{count} of 94 steps" for count in counts]
    assert counts[0] == 94
    assert counts[1] == 16, "what is permitted, also from releases that this host can't come to"
    assert counts[2] == 16, "nothing is in series 2.0"
    assert counts[3] == 9, "the steps to 1.5.25, which needs another P-SEAMLDR"
    assert counts[4] == 0


def test_a_link_to_a_step_that_a_filter_hides(browser: Browser, pages: Path) -> None:
    script = """
        await page.getByRole("checkbox", { name: "blocked" }).uncheck();
        await page.evaluate(`location.hash = "#step-1.5.24-1.5.25"`);
        await page.waitForFunction(`document.activeElement.id === "step-1.5.24-1.5.25"`);
        return page.locator("tr:focus").isVisible();
    """
    assert browser.visit(pages / "host.html", script).value is True


@pytest.mark.parametrize("fragment", ["#%", "#<img>", "#" + quote("step-1.5.24-1.5.25")])
def test_fragments_do_no_harm(browser: Browser, pages: Path, fragment: str) -> None:
    check_quiet(browser.visit(pages / "host.html", fragment=fragment), pages / "host.html")


def test_print_shows_the_table_and_no_controls(browser: Browser, pages: Path) -> None:
    script = """
        return [await page.locator(".filters").isVisible(), await page.locator("#said").isVisible(),
                await page.locator("#steps-table tbody tr:visible").count(),
                await page.evaluate(`document.documentElement.scrollWidth <= innerWidth`)];
    """
    visit = browser.visit(pages / "host.html", script, media="print", name="print")
    assert visit.value == [False, False, 4, True]


@pytest.mark.parametrize(
    ("name", "width"),
    [("host.svg", 1280), ("all.svg", 1280)]
    + [(name, width) for name in ("host.html", "all.html", "kind.html") for width in (500, 1000, 1280, 1600)],
)
def test_every_text_of_a_picture_can_be_read(
    browser: Browser, pages: Path, tmp_path: Path, name: str, width: int
) -> None:
    """No text is smaller than 11 pixels where the picture is shown 1280 pixels wide; in its page, which lets it scroll,
    however narrow the window."""
    page = pages / name
    if page.suffix == ".svg":
        page = tmp_path / "other.html"
        style = "<style>body { margin: 0 } svg { height: auto; max-width: 100%; }</style>"
        page.write_text(f"<!DOCTYPE html>{style}{(pages / name).read_text()}")
    script = """
        return page.evaluate(`[...document.querySelectorAll("svg.graph text, svg.graph tspan")].map((one) =>
          [parseFloat(getComputedStyle(one).fontSize) * one.getScreenCTM().a, one.textContent])`);
    """
    texts = browser.visit(page, script, width=width).value
    assert len(texts) > 10
    assert [(size, text) for size, text in texts if size < 11] == []


def test_labels_fit_into_their_releases(browser: Browser, pages: Path) -> None:
    script = """
        return page.evaluate(`[...document.querySelectorAll("svg.graph .release")].flatMap((one) => {
          const box = one.querySelector("rect").getBoundingClientRect();
          return [...one.querySelectorAll("text")].filter((text) => {
            const place = text.getBoundingClientRect();
            return place.left < box.left || place.right > box.right;
          }).map((text) => text.textContent);
        })`);
    """
    for name in ("host.html", "all.html", "kind.html"):
        assert browser.visit(pages / name, script).value == [], name


def test_folded_releases_can_be_opened(browser: Browser, pages: Path) -> None:
    script = """
        const before = await page.getByText("1.5.06").isVisible();
        await page.locator("svg.graph a.several").first().click();
        await page.waitForFunction(`document.activeElement.matches("li")`);
        return [before, await page.locator("details.folded li").allInnerTexts(),
                await page.locator("details.folded li").first().isVisible()];
    """
    closed, lines, opened = browser.visit(pages / "host.html", script, name="folded").value
    assert (closed, opened) == (False, True)
    assert lines[0] == "Series 1.5, 8 older releases: 1.5.01, 1.5.05, 1.5.06, 1.5.08, 1.5.09, 1.5.13, 1.5.16, 1.5.20"
    assert lines[1].startswith("Series 2.0, 8 releases: 2.0.02, ")


def test_a_bundle_says_its_rules_and_its_steps(browser: Browser, pages: Path) -> None:
    script = """
        await page.locator("a.bundle .words").first().hover();
        return page.locator("#said").innerText();
    """
    said = browser.visit(pages / "all.html", script).value
    assert said.startswith("41 steps: td-build (blocked)")
    assert "1.5.01 → 1.5.06, 1.5.08, " in said


@pytest.mark.parametrize("name", ["host.html", "all.html", "kind.html"])
def test_a_narrow_window_loses_nothing(browser: Browser, pages: Path, name: str) -> None:
    assert browser.visit(pages / name, CUT_OFF, width=500, name=f"narrow-{name}").value == []


def test_colour_is_not_all_that_tells_steps_apart(browser: Browser, pages: Path) -> None:
    """Line, end and symbol differ by state where all colours are taken away."""
    script = """
        return page.evaluate(`[...document.querySelectorAll("a.step")].map((step) => [
          step.classList[1], getComputedStyle(step.querySelector(".line")).strokeDasharray,
          step.querySelector(".bar") ? "bar" : "head"])`);
    """
    seen = {tuple(one) for one in browser.visit(pages / "all.html", script).value}
    assert seen == {("allowed", "none", "head"), ("blocked", "2px, 4px", "bar")}
