"""The report: complete, made again byte for byte, and harmless whatever the files hold."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from base64 import b64encode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from test_drawing import HOSTILE, check_printable

from conftest import DAY, FACTS, LATEST, SIGNER, TRUST, Run, host_like, plan_for, write_facts
from seamstep.base import resources
from seamstep.domain.facts import HostFacts
from seamstep.plan import measurements
from seamstep.policy import policy_file
from seamstep.show.review.material import Planned
from seamstep.show.review.verdicts import verdict_rows

MOMENT = "1795000000"


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text by the id of the section it is in."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._section = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in {"section", "header"}:
            self._section = dict(attrs).get("id") or tag

    def handle_data(self, data: str) -> None:
        self.texts[self._section] = self.texts.get(self._section, "") + data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


@pytest.fixture(autouse=True)
def moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", MOMENT)


def report(run: Run, images: Path, *arguments: object) -> str:
    ran = run("report", "--catalog", images, *TRUST, *arguments)
    assert ran.code == 0, ran.err
    return ran.out


def test_all_of_it(run: Run, images: Path, spr: HostFacts) -> None:
    page = Page(report(run, images, "--facts", FACTS, "--policy", "shortest-path"))
    assert "1.5.24 → 1.5.28 → 1.5.34, 2 hops" in page.texts["header"]
    assert "Made on 2026-11-18" in page.texts["header"]
    for name in resources.policies():
        assert page.texts["plans"].count(name) >= 1
    assert page.texts["plans"].count("chosen by") == len(resources.policies()), "each policy once"
    for phase in measurements.of_plan(plan_for(spr, images).document).values():
        assert all(row["mrseam"] in page.texts["measurements"] for row in phase)
    assert page.texts["measurements"].count("TDX_011.5.340x122 (minor 34, major 1)") == 3 + 3 + 1, "while 1.5.34 runs"
    assert page.texts["measurements"].count("TDX_011.5.280x11c (minor 28, major 1)") == 2, "while 1.5.28 runs"
    assert "0x806F8 (Sapphire Rapids)" in page.texts["facts"]
    assert "The runner-up is 1.5.24 → 1.5.34, cost 9." in page.texts["graph"]
    assert "seamldr-minimum" in page.texts["steps"]
    digest = hashlib.sha256((images / "mapping_file.json").read_bytes()).hexdigest()
    assert digest in page.texts["provenance"]
    assert (
        hashlib.sha256((images / "joined_files/1.5/tdx_module_1.5.34.blob").read_bytes()).hexdigest()
        in (page.texts["provenance"])
    )
    assert SIGNER.fingerprint in page.texts["provenance"]
    assert "2026-11-18 11:06:40 UTC" in page.texts["provenance"]


def test_when_it_is_applied(run: Run, images: Path, tmp_path: Path) -> None:
    """Windows, soak and commands of the plan to go by, in the words of the plan's text."""
    policy = tmp_path / "p.yaml"
    policy.write_text(
        "schema: seamstep/policy/v1\nname: nightly\napply:\n  soak: 10m\n"
        '  windows: [{days: [sat], from: "22:00", to: "04:00"}]\n  before: [[drain, "a b"]]\n'
    )
    told = Page(report(run, images, "--facts", FACTS, "--policy", policy)).texts["performing"]
    plan = run("plan", "--catalog", images, *TRUST, "--facts", FACTS, "--policy", policy).out
    assert "When it is applied" in told
    assert "Under the policy nightly:" in told
    for line in (
        "hops begin only sat from 22:00 to 04:00 (UTC)",
        "600 s are waited between two hops",
        "run before the first hop: drain 'a b'",
    ):
        assert line in told, line
        assert line in plan, line
    plain = Page(report(run, images, "--facts", FACTS, "--policy", "shortest-path")).texts["performing"]
    assert "Under the policy shortest-path: at any time, without a break between hops." in plain
    done = Page(report(run, images, "--facts", FACTS, "--target", "1.5.24")).texts["performing"]
    assert "has no release newer than 1.5.24" in done


def test_what_would_open_a_path(run: Run, images: Path, spr: HostFacts, tmp_path: Path) -> None:
    """Where there is no path, the report says what ``explain`` says."""
    facts = write_facts(tmp_path / "f.json", host_like(spr, "1.5.13"))
    told = Page(report(run, images, "--facts", facts)).texts["performing"]
    assert "What would open a path" in told
    explained = run("explain", "--catalog", images, *TRUST, "--facts", facts)
    assert explained.code == 1
    lines = explained.out.partition("what would open a path to 1.5.34 (any one of these)\n")[2].splitlines()
    assert len(lines) > 1
    assert all(line.strip() in told for line in lines)
    assert "any one of these:" in told


@pytest.mark.parametrize("name", ["r.pdf", "r.PNG"])
def test_a_report_is_a_page(run: Run, images: Path, tmp_path: Path, name: str) -> None:
    ran = run("report", "--catalog", images, *TRUST, "--facts", FACTS, "-o", tmp_path / name)
    assert (ran.code, (tmp_path / name).exists()) == (2, False)
    assert f"a report is an HTML page, not {Path(name).suffix.lower()}" in ran.err


def test_every_verdict_of_the_plans_is_there(run: Run, images: Path) -> None:
    page = Page(report(run, images, "--facts", FACTS))
    told = page.texts["verdicts"]
    count = 0
    for name in resources.policies():
        ran = run("plan", "--catalog", images, *TRUST, "--facts", FACTS, "--policy", name, "--json")
        for step in ran.json["hops"] + ran.json["rejected"]:
            count += len(step["verdicts"])
            assert all(verdict["reason"] in told for verdict in step["verdicts"])
    rows = [attributes for tag, attributes in page.elements if tag == "tr" and "data-effect" in attributes]
    assert len(rows) == count


def test_what_verdicts_come_to(spr: HostFacts, images: Path) -> None:
    policy = policy_file.load("shortest-path", DAY)
    plan = plan_for(spr, images)
    document = json.loads(json.dumps(plan.document))
    hop, refused = document["hops"][0], document["rejected"][0]
    hop["verdicts"][0] |= {"outcome": "block"}
    hop["verdicts"][1] |= {"outcome": "unknown"}
    hop["verdicts"][2] |= {"outcome": "block"}
    hop["waived"] = [{"rule": hop["verdicts"][2]["rule"]}]
    refused["verdicts"] = [hop["verdicts"][0]]
    document["rejected"] = [refused] * 150
    rows = list(verdict_rows(Planned(policy, plan._replace(document=document))))
    assert [row.effect for row in rows[:4]] == ["note", "can't tell", "accepted", "pass"]
    assert [row.effect for row in rows if row.step == "refused"] == ["blocks"] * 100


def test_lint_is_there_with_its_suppressions(run: Run, tmp_path: Path) -> None:
    settings = tmp_path / "lint.yaml"
    settings.write_text(
        "schema: seamstep/lint-settings/v1\nsuppress:\n- code: features-shrink\n  reason: known to <b>us</b>\n"
        "  owner: me\n  until: 2035-01-01\n"
    )
    mapping = Path(__file__).parents[1] / "data" / "mapping_file-2026-02.json"
    ran = run("report", "--mapping", mapping, "--without-images", "--facts", FACTS, "--config", settings)
    listed = run("lint", mapping, "--config", settings, "--json").json
    page = Page(ran.out)
    rows = [attributes for tag, attributes in page.elements if "data-severity" in attributes]
    assert len(rows) == len(listed["findings"]) > 0
    assert all(finding["message"] in page.texts["lint"] for finding in listed["findings"])
    assert "without images" in page.texts["lint"]
    suppressed = sum(finding["suppressed"] is not None for finding in listed["findings"])
    assert page.texts["lint"].count("Suppressed until 2035-01-01 by me: known to <b>us</b>") == suppressed > 0


@pytest.mark.parametrize(
    ("module", "options", "words"),
    [
        ("1.5.34", (), "the plan holds no update: its outcome is up-to-date"),
        ("1.5.13", (), "the plan holds no update: its outcome is no-path"),
        ("1.5.24", ("--without-images",), "the plan is provisional and knows no measurements"),
    ],
)
def test_there_may_be_no_measurements(
    run: Run, spr: HostFacts, tmp_path: Path, module: str, options: tuple[str, ...], words: str
) -> None:
    facts = write_facts(tmp_path / "f.json", host_like(spr, module, hostname=None))
    ran = run("report", "--mapping", LATEST, "--without-images", "--facts", facts)
    assert words in Page(ran.out).texts["measurements"]
    assert "TDX module update of a host" in ran.out


def test_the_content_policy_allows_what_is_there_and_no_more(run: Run, images: Path) -> None:
    source = report(run, images, "--facts", FACTS)
    page = Page(source)
    (policy,) = (attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes)
    for tag in ("style", "script"):
        contents = re.findall(f"<{tag}>(.*?)</{tag}>", source, re.DOTALL)
        digest = b64encode(hashlib.sha256(contents[0].encode()).digest()).decode()
        assert len(contents) == source.count(f"<{tag}") == 1
        assert f"{tag}-src 'sha256-{digest}'" in str(policy)
    assert str(policy).startswith("default-src 'none'; ")
    names = {name for _, attributes in page.elements for name in attributes}
    assert not {name for name in names if name.startswith("on") or name in {"style", "src", "action", "srcset"}}
    assert {str(attributes["href"])[0] for _, attributes in page.elements if "href" in attributes} == {"#"}
    assert set(re.findall(r"[a-z]+://[^\s\"<]*", source)) == {"http://www.w3.org/2000/svg"}
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {str(attributes["href"])[1:] for _, attributes in page.elements if "href" in attributes}
    assert links <= set(ids)


@pytest.mark.parametrize("text", [text for text in HOSTILE if text.isprintable()][:6], ids=range(6))
def test_texts_of_files_stay_texts(run: Run, spr: HostFacts, images: Path, tmp_path: Path, text: str) -> None:
    def shape(name: str, text: str) -> tuple[list[Any], str]:
        facts = write_facts(tmp_path / f"{name}.json", host_like(spr, "1.5.24", hostname=text, kernel=text))
        policy = tmp_path / f"{name}.yaml"
        quoted = json.dumps(text[:100])
        policy.write_text(
            f"schema: seamstep/policy/v1\nname: own\ndescription: {quoted}\ndeny:\n- versions: 1.5.28\n"
            f"  reason: {quoted}\n"
        )
        out = tmp_path / f"{name}.html"
        report(run, images, "--facts", facts, "--policy", policy, "-o", out)
        source = out.read_text()
        found = Page(source).elements
        return [(tag, sorted(attributes)) for tag, attributes in found], source

    plain, _ = shape("plain", "x")
    found, source = shape("other", text)
    assert found == plain
    check_printable(source)


@pytest.mark.parametrize("text", ["a\x1b[31m\u202eb", "a\x00b", "\u2028"])
def test_what_can_not_be_printed_is_spelled_out(
    run: Run, spr: HostFacts, images: Path, tmp_path: Path, text: str
) -> None:
    facts = write_facts(tmp_path / "f.json", host_like(spr, "1.5.24", hostname=text))
    source = report(run, images, "--facts", facts)
    check_printable(source)
    assert text.encode("unicode_escape").decode().removeprefix("a")[:4] in source


def test_same_input_same_bytes(images: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "seamstep", "report", "--catalog", str(images), *TRUST, "--facts", str(FACTS)]
    seen = {
        subprocess.run(command, capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1
    later = {**os.environ, "SOURCE_DATE_EPOCH": "1795100000"}
    assert subprocess.run(command, capture_output=True, check=True, env=later).stdout not in seen


def test_the_time_is_now_unless_told(run: Run, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import UTC, datetime

    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    before = datetime.now(UTC)
    source = report(run, images, "--facts", FACTS, "--as-of", "2026-01-31")
    assert any(f"Made on {day:%Y-%m-%d}" in source for day in (before, datetime.now(UTC)))
    assert "judged as of 2026-01-31" in source


@pytest.mark.parametrize("value", ["soon", "-1", "1e9", "253402300800", "9" * 20])
def test_a_moment_that_is_none(run: Run, images: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    ran = run("report", "--catalog", images, "--facts", FACTS)
    assert (ran.code, ran.out) == (2, "")
    assert "SOURCE_DATE_EPOCH" in ran.err


def test_the_policy_to_go_by_comes_first_and_the_target_is_that_of_all(run: Run, images: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    shutil.copy(Path(__file__).parents[2] / "policies" / "cautious.yaml", own)
    page = Page(report(run, images, "--facts", FACTS, "--policy", own, "--target", "1.5.28"))
    told = page.texts["plans"]
    assert told.count("path1.5.24 → 1.5.28") == 5 == told.count("chosen by")
    assert told.index("cautious (the policy to go by)") < told.index("canary")


def test_the_report_is_not_written_over_another(run: Run, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("mine")
    ran = run("report", "--catalog", images, *TRUST, "--facts", FACTS, "-o", out)
    assert (ran.code, out.read_text()) == (1, "mine")
    assert run("report", "--catalog", images, *TRUST, "--facts", FACTS, "-o", out, "--force").code == 0
    assert out.read_text().startswith("<!DOCTYPE html>")
