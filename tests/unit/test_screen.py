"""Plans and explanations on a terminal. Piped, they are lines that can be searched, which other tests look at."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from terminals import on_terminal, unstyled

from conftest import FACTS, LATEST, TRUST, Run, host_like, plan_for, write_facts
from seamstep.domain.facts import HostFacts
from seamstep.show.causes import short
from seamstep.show.screen import explanation_screen, plan_screen

DRAWN = """\
  1.5.24 ───▶ 1.5.28 ──▶ 1.5.34
  running     hop 1      target
"""
COMMANDS = ("plan", "explain")


class Terminal(io.StringIO):
    """Stands for a terminal where only the layout is looked at."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def planning(images: Path, command: str = "plan") -> list[object]:
    return [command, *TRUST, "--catalog", images, "--facts", FACTS, "--policy", "shortest-path"]


def screen_of(document: Any, monkeypatch: pytest.MonkeyPatch, columns: int = 80) -> str:
    """A document without colours, as many columns wide."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    show = plan_screen if "hops" in document else explanation_screen
    return unstyled(show(document, Terminal()))


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_terminal_shows_a_drawing_that_fits(images: Path, command: str, columns: int) -> None:
    code, out = on_terminal(planning(images, command), columns)
    text = unstyled(out)
    assert code == 0
    assert DRAWN in text
    assert "├── 1.5.24 → 1.5.28: " in text
    assert max(map(len, text.splitlines())) <= columns
    assert "\x1b[" in out


def test_a_wide_terminal_is_used(images: Path) -> None:
    reason = "1.5.25 needs P-SEAMLDR 2.0.00 (or a later 2.0); this host has 1.5.02"
    assert reason not in on_terminal(planning(images), 80)[1]
    assert reason in on_terminal(planning(images), 120)[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_colour_where_none_is_wanted(images: Path, command: str) -> None:
    """Weights may stay, colours go; the words say the same."""
    coloured = on_terminal(planning(images, command), 80)[1]
    plain = on_terminal(planning(images, command), 80, {"NO_COLOR": "1"})[1]
    assert "\x1b[32m" in coloured
    assert not re.search(r"\x1b\[[0-9;]*[349][0-9]", plain)
    assert unstyled(coloured) == unstyled(plain)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_terminal_without_unicode_gets_ascii(images: Path, command: str) -> None:
    out = unstyled(on_terminal(planning(images, command), 80, {"PYTHONIOENCODING": "ascii"})[1])
    assert "  1.5.24 ---> 1.5.28 --> 1.5.34\n" in out
    assert out.isascii()
    assert "\\u" not in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_a_dumb_terminal_gets_lines(run: Run, images: Path, command: str) -> None:
    assert on_terminal(planning(images, command), 80, {"TERM": "dumb"})[1] == run(*planning(images, command)).out


def test_apply_shows_the_plan_on_the_terminal_it_asks_on(images: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    assert on_terminal([*planning(images), "-o", plan], 80)[0] == 0
    code, out = on_terminal(["apply", plan, *TRUST, "--simulate"], 80, typed=b"n\n")
    assert code == 1
    assert DRAWN in unstyled(out)
    assert "Rehearse this now, without the commands? [y/N]" in out
    yes = on_terminal(["apply", plan, *TRUST, "--simulate", "--yes"], 80)
    assert yes[0] == 0
    assert DRAWN not in yes[1], "who said yes has read it"


def test_the_screen_tells_what_the_lines_tell(
    run: Run, images: Path, spr: HostFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every verdict worth telling, the other ways, what was refused, what would help: nothing is left out."""
    facts = write_facts(tmp_path / "facts.json", host_like(spr, "1.5.16"))
    for case in (
        ("plan", "--mapping", LATEST, "--without-images", "--facts", FACTS, "--policy", "shortest-path"),
        ("plan", *TRUST, "--catalog", images, "--facts", FACTS, "--policy", "shortest-path"),
        ("plan", *TRUST, "--catalog", images, "--facts", facts),
        ("plan", *TRUST, "--catalog", images, "--facts", FACTS, "--target", "1.5.24"),
        ("plan", "--catalog", images, "--facts", FACTS),
        ("explain", *TRUST, "--catalog", images, "--facts", FACTS, "--policy", "shortest-path"),
        ("explain", *TRUST, "--catalog", images, "--facts", FACTS, "--to", "1.5.25"),
        ("explain", *TRUST, "--catalog", images, "--facts", facts),
        ("explain", *TRUST, "--catalog", images, "--facts", FACTS, "--target", "==1.5.24"),
    ):
        document = run(*case, "--json").json
        shown = screen_of(document, monkeypatch, 400)
        for text in worth_telling(document):
            assert text in shown, case


def worth_telling(document: Any) -> Iterator[str]:
    """Every text of a plan or an explanation that people are to read."""
    explained = "steps" in document
    for step in document["steps" if explained else "hops"]:
        yield f"{step['from']} → {step['to']}"
        for verdict in step["verdicts"]:
            if explained or verdict["outcome"] != "pass":
                yield verdict["rule"]
                yield short(verdict["reason"])
    if explained:
        for way in (document["path"], (document["runner_up"] or {}).get("path")):
            yield " → ".join(way or [])
        for together in document["changes"]:
            yield ", and ".join(together)
    else:
        yield document["reason"]
        for step in document["rejected"]:
            yield from told_of_refused(step)
        yield from (f"signer {signer[:12]}…" for signer in document["signers"])
        for way in document["alternatives"]:
            yield " → ".join(way["versions"])
        for hop in document["hops"]:
            yield hop["image"]["path"] if hop["image"] else "provisional: "


def told_of_refused(step: Any) -> Iterator[str]:
    """The texts of a refused step. Its reasons may be those of others as well: then they don't name its versions."""
    yield from (step["from"], step["to"])
    for verdict in step["verdicts"]:
        yield verdict["rule"]
        yield from map(short, re.split(f"{re.escape(step['from'])}|{re.escape(step['to'])}", verdict["reason"]))


def test_a_release_that_is_not_reached_is_drawn_so(run: Run, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = run("explain", *TRUST, "--catalog", images, "--facts", FACTS, "--to", "1.5.25", "--json").json
    assert "  1.5.24 ───╳ 1.5.25\n  running     not reached\n" in screen_of(document, monkeypatch)
    first = screen_of(document, monkeypatch).partition("refused")[2].splitlines()[1]
    assert "BLOCKS  seamldr-minimum" in first, "what is in the way comes before what is not"


def test_a_long_path_is_broken_and_still_all_there(
    spr: HostFacts, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads(json.dumps(dict(plan_for(spr, images).document)))
    hop = document["hops"][0]
    document["hops"] = [hop | {"from": f"1.5.{n:02}", "to": f"1.5.{n + 1:02}"} for n in range(24, 50)]
    for columns in (40, 80):
        text = screen_of(document, monkeypatch, columns)
        drawing = [line for line in text.splitlines() if "──▶" in line or "target" in line]
        assert " ".join(drawing).count("──▶") == 26
        assert max(map(len, text.splitlines())) <= columns
        assert "1.5.50" in text


@pytest.mark.parametrize(
    "hostile",
    ["[bold red]x[/]", "[/]", "[link=https://example.com]x[/link]", ":warning:", "\x1b]0;x\x07", "a\nb", "\u202egnp"],
)
def test_text_from_files_stays_text(
    spr: HostFacts, images: Path, monkeypatch: pytest.MonkeyPatch, hostile: str
) -> None:
    """No markup, no emoji, no control characters, wherever the text stands."""
    document = json.loads(json.dumps(dict(plan_for(spr, images).document)))
    document["policy"]["name"] = document["host"]["hostname"] = hostile
    document["signers"] = [hostile]
    for hop in document["hops"]:
        hop["image"]["path"] = hostile
        hop["verdicts"][0] |= {"outcome": "block", "reason": hostile}
        hop["waived"] = [{"rule": "x", "reason": hostile, "by": hostile, "until": "2027-01-01"}]
    document["rejected"][0]["verdicts"][0]["reason"] = hostile
    told = hostile if hostile.isprintable() else hostile.encode("unicode_escape").decode()
    assert screen_of(document, monkeypatch, 200).count(told) == 4 + 4 * len(document["hops"])
    step: dict[str, Any] = {"from": "1.5.24", "to": "1.5.28", "permitted": False, "cost": 1, "verdicts": []}
    step["verdicts"] = [{"rule": hostile, "outcome": "block", "effect": "blocks", "reason": hostile}]
    explanation: dict[str, Any] = {
        "running": "1.5.24",
        "to": "1.5.28",
        "policy": hostile,
        "objective": "x",
        "path": None,
        "cost": None,
    }
    explanation |= {"runner_up": None, "steps": [step], "changes": [[hostile]]}
    assert screen_of(explanation, monkeypatch, 200).count(told) == 4
