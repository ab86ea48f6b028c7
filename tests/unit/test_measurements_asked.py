"""``measurements --which`` and ``--check``: releases by MRSEAM, and what an allow-list lacks or has wrong."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from conftest import FACTS, LATEST, PUBLISHED, TRUST, Run
from seamstep.base import resources
from seamstep.image import published

OLD = {release["version"]: release["mrseam"] for release in PUBLISHED["releases"]}
STRANGE = "ab" * 48
BIOS = {"version": "1.5.07", "mrseam": "cd" * 48, "seamsvn": 0x106}
Rows = list[dict[str, Any]]


@pytest.fixture
def catalog(images: Path) -> tuple[object, ...]:
    return ("--catalog", images, *TRUST)


@pytest.fixture
def rows(run: Run, catalog: tuple[object, ...]) -> Rows:
    listed: Rows = run("measurements", *catalog, "--json").json["releases"]
    return listed


@pytest.fixture
def plan(run: Run, catalog: tuple[object, ...], tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    assert run("plan", *catalog, "--facts", FACTS, "--policy", "shortest-path", "-o", path).code == 0
    return path


def also(folder: Path, *modules: dict[str, Any], name: str = "also.json") -> Path:
    path = folder / name
    path.write_text(json.dumps({"schema": "seamstep/modules/v1", "modules": list(modules)}))
    return path


def as_csv(rows: Rows, *columns: str) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def checked(run: Run, folder: Path, text: str, *options: object) -> tuple[int, dict[str, Any]]:
    path = folder / "list"
    path.write_text(text)
    ran = run("measurements", "--check", path, *options, "--json")
    return ran.code, ran.json


# --which


def test_a_published_module_is_named_without_any_input(run: Run) -> None:
    ran = run("measurements", "--which", OLD["1.5.06"].upper())
    assert (ran.code, ran.out) == (0, f"1.5.06  {OLD['1.5.06']}  (the list of published modules)\n")


@pytest.mark.parametrize("digits", [8, 20, 95])
def test_the_first_digits_are_enough(run: Run, digits: int) -> None:
    document = run("measurements", "--which", OLD["2.0.04"][:digits], "--json").json
    assert document["releases"] == [
        {"version": "2.0.04", "mrseam": OLD["2.0.04"], "seamsvn": None, "origins": ["published"]}
    ]


@pytest.mark.parametrize("text", ["5b38e33", "xyz", "5b38e33a" * 13, "0x5b38e33a", "٣" * 8])
def test_what_is_no_mrseam_is_an_error(run: Run, text: str) -> None:
    ran = run("measurements", "--which", text)
    assert (ran.code, "at least the first 8" in ran.err) == (2, True)


def test_an_unknown_one_gets_a_sentence(run: Run, catalog: tuple[object, ...], plan: Path) -> None:
    ran = run("measurements", "--which", STRANGE)
    expected = "no release is known with this MRSEAM; looked for in: the list of published modules\n"
    assert (ran.code, ran.out) == (1, expected)
    assert "an image at hand, the list of published modules" in run("measurements", "--which", STRANGE, *catalog).out
    assert "the plan, the list" in run("measurements", "--which", STRANGE, "--plan", plan).out
    as_json = run("measurements", "--which", STRANGE, "--json")
    assert (as_json.code, as_json.json["releases"]) == (1, [])


def test_images_plans_and_the_user_name_modules_too(
    run: Run, catalog: tuple[object, ...], rows: Rows, plan: Path, tmp_path: Path
) -> None:
    newest = next(row for row in rows if row["version"] == "1.5.34")
    for source, origin in ((catalog, "image"), (("--plan", plan), "plan")):
        (found,) = run("measurements", "--which", newest["mrseam"], *source, "--json").json["releases"]
        assert (found["version"], found["seamsvn"], found["origins"]) == ("1.5.34", newest["seamsvn"], [origin])
    ran = run("measurements", "--which", BIOS["mrseam"], "--also", also(tmp_path, BIOS))
    assert ran.out == f"1.5.07  {BIOS['mrseam']}  (the file of --also)\n"


def test_the_published_list_is_whole() -> None:
    assert {version: mrseam for mrseam, version in published.versions().items()} == OLD


# --check with a catalog


def test_what_measurements_writes_is_complete(
    run: Run, catalog: tuple[object, ...], rows: Rows, tmp_path: Path
) -> None:
    for form in ("json", "csv"):
        text = run("measurements", *catalog, "--format", form).out
        code, found = checked(run, tmp_path, text, *catalog)
        assert (code, found["lacking"], found["wrong"], found["too_much"]) == (0, [], [], [])
        assert found["entries"] == len(rows)
    hexes = "# ours\n\n" + "".join(f"{row['mrseam'].upper()}  # {row['version']}\r\n" for row in rows)
    assert checked(run, tmp_path, hexes, *catalog)[0] == 0
    assert checked(run, tmp_path, as_csv(rows, "version", "mrseam"), *catalog)[0] == 0


def test_what_lacks_is_named(run: Run, catalog: tuple[object, ...], rows: Rows, tmp_path: Path) -> None:
    rest = [row for row in rows if row["version"] != "1.5.34"]
    (gone,) = (row for row in rows if row["version"] == "1.5.34")
    for text in (as_csv(rest, "version", "mrseam", "seamsvn"), "".join(row["mrseam"] + "\n" for row in rest)):
        code, found = checked(run, tmp_path, text, *catalog)
        assert (code, found["wrong"], found["too_much"]) == (1, [], [])
        assert found["lacking"] == [{"stage": None, **{key: gone[key] for key in ("version", "mrseam", "seamsvn")}}]
    ran = run("measurements", "--check", tmp_path / "list", *catalog)
    assert ran.out.splitlines() == [
        f"lacking: 1.5.34, MRSEAM {gone['mrseam']}, seamsvn 0x122",
        f"{tmp_path / 'list'}: 19 entries, 1 lacking, 0 wrong, 0 too much",
    ]


def test_more_than_is_asked_for_is_told_and_lacks_nothing(
    run: Run, catalog: tuple[object, ...], rows: Rows, tmp_path: Path
) -> None:
    more = [*rows, {"version": "1.5.99", "mrseam": STRANGE}, {"version": "", "mrseam": OLD["1.5.06"]}]
    code, found = checked(run, tmp_path, as_csv(more, "version", "mrseam"), *catalog)
    assert (code, found["lacking"], found["wrong"]) == (0, [], [])
    assert [(one["line"], one["message"]) for one in found["too_much"]] == [
        (22, "no known module has its MRSEAM"),
        (23, "it accepts 1.5.06 (the list of published modules), which is not asked for here"),
    ]


@pytest.mark.parametrize(
    ("version", "change", "message", "lacking"),
    [
        ("1.5.28", {"seamsvn": 0x11D}, "seamsvn: 285, and that of 1.5.28 is 284", []),
        ("1.5.28", {"svn_minor": 29}, "svn_minor: 29, and that of 1.5.28 is 28", []),
        ("1.5.28", {"identity": "TDX_03"}, "identity: TDX_03, and that of 1.5.28 is TDX_01", []),
        ("1.5.28", {"version": "1.5.34"}, "version: the MRSEAM is that of 1.5.28, not of 1.5.34", []),
        ("1.5.28", {"mrseam": STRANGE}, "mrseam: the MRSEAM of 1.5.28 is {mrseam}", ["1.5.28"]),
    ],
)
def test_what_is_wrong_is_named(
    run: Run,
    catalog: tuple[object, ...],
    rows: Rows,
    tmp_path: Path,
    version: str,
    change: dict[str, Any],
    message: str,
    lacking: list[str],
) -> None:
    changed = [{**row, **(change if row["version"] == version else {})} for row in rows]
    mrseam = next(row["mrseam"] for row in rows if row["version"] == version)
    text = as_csv(changed, "version", "mrseam", "seamsvn", "svn_minor", "svn_major", "identity")
    code, found = checked(run, tmp_path, text, *catalog)
    assert code == 1
    assert [one["message"] for one in found["wrong"]] == [message.format(mrseam=mrseam)]
    assert [one["version"] for one in found["lacking"]] == lacking
    assert found["too_much"] == []


def test_an_entry_may_contradict_itself(run: Run, catalog: tuple[object, ...], rows: Rows, tmp_path: Path) -> None:
    odd = [*rows, {"version": "1.5.99", "mrseam": STRANGE, "seamsvn": 0x10D, "svn_minor": 12}]
    code, found = checked(run, tmp_path, as_csv(odd, "version", "mrseam", "seamsvn", "svn_minor"), *catalog)
    assert (code, [one["message"] for one in found["wrong"]]) == (1, ["svn_minor: 12, and that of seamsvn 0x10d is 13"])


def test_a_release_without_an_image_counts_by_its_published_mrseam(run: Run, tmp_path: Path) -> None:
    bare = ("--mapping", LATEST, "--images", tmp_path)
    code, found = checked(run, tmp_path, OLD["1.5.06"], *bare)
    assert code == 1
    assert [one["version"] for one in found["lacking"]] == sorted(OLD.keys() - {"1.5.06"})
    assert "1.5.34: there is no image of it at hand" in found["not_compared"]
    assert checked(run, tmp_path, "\n".join(OLD.values()), *bare)[0] == 0


def test_an_image_that_is_not_authentic_is_no_measure(run: Run, images: Path, rows: Rows, tmp_path: Path) -> None:
    text = "".join(f"{row['mrseam']}\n" for row in rows)
    assert checked(run, tmp_path, text, "--catalog", images)[0] == 1


# --check with a plan


def test_a_list_of_a_plan_is_compared_stage_by_stage(run: Run, plan: Path, tmp_path: Path) -> None:
    for form in ("json", "csv"):
        text = run("measurements", "--plan", plan, "--format", form).out
        assert checked(run, tmp_path, text, "--plan", plan)[0] == 0
    document = run("measurements", "--plan", plan, "--json").json
    stale = document["before"][0]
    gone = document["during"].pop(1)
    document["settled"].append(stale)
    code, found = checked(run, tmp_path, json.dumps(document), "--plan", plan)
    assert code == 1
    (lack,) = found["lacking"]
    assert lack == {"stage": "during", **{key: gone[key] for key in lack if key != "stage"}}
    assert (lack["version"], lack["running"], lack["tee_tcb_svn_2"]) == ("1.5.24", "1.5.28", 0x11C)
    (more,) = found["too_much"]
    assert (more["stage"], more["version"]) == ("settled", "1.5.24")
    text = run("measurements", "--check", tmp_path / "list", "--plan", plan).out
    assert "lacking: during: 1.5.24, while 1.5.28 runs, TEE_TCB_SVN_2 0x11c, MRSEAM " in text


def test_a_list_without_stages_has_to_accept_every_quote_during_the_update(
    run: Run, catalog: tuple[object, ...], rows: Rows, plan: Path, tmp_path: Path
) -> None:
    path = {row["version"]: row["mrseam"] for row in rows if row["version"] in {"1.5.24", "1.5.28", "1.5.34"}}
    assert checked(run, tmp_path, "\n".join(path.values()), "--plan", plan)[0] == 0
    code, found = checked(run, tmp_path, path["1.5.24"], "--plan", plan)
    assert (code, [one["version"] for one in found["lacking"]]) == (1, ["1.5.28", "1.5.28", "1.5.34"])
    quotes = run("measurements", "--plan", plan, "--json").json["during"]
    columns = ("version", "mrseam", "seamsvn", "tee_tcb_svn_2")
    assert checked(run, tmp_path, as_csv(quotes, *columns), "--plan", plan)[0] == 0
    assert checked(run, tmp_path, as_csv(quotes[1:], *columns), "--plan", plan)[0] == 1
    code, found = checked(run, tmp_path, as_csv(rows, "version", "mrseam"), "--plan", plan)
    assert (code, len(found["too_much"])) == (0, len(rows) - 3)


def test_the_svn_of_the_running_module_can_be_wrong(run: Run, plan: Path, tmp_path: Path) -> None:
    document = run("measurements", "--plan", plan, "--json").json
    document["after"][0]["tee_tcb_svn_2"] = 0x11C
    code, found = checked(run, tmp_path, json.dumps(document), "--plan", plan)
    assert (code, found["lacking"]) == (1, [])
    assert [one["message"] for one in found["wrong"]] == ["tee_tcb_svn_2: 284, and that of 1.5.34 is 290"]


# --also


def test_a_module_of_the_bios_is_demanded_of_a_catalog_and_allowed_beside_a_plan(
    run: Run, catalog: tuple[object, ...], rows: Rows, plan: Path, tmp_path: Path
) -> None:
    given = ("--also", also(tmp_path, BIOS))
    listed = run("measurements", *catalog, *given, "--json").json["releases"]
    (row,) = (row for row in listed if row["version"] == "1.5.07")
    assert (row["mrseam"], row["seamsvn"], row["svn_minor"], row["signature"]) == (BIOS["mrseam"], 0x106, 6, "given")
    assert [row for row in listed if row["version"] != "1.5.07"] == rows
    assert "named by the user" in run("measurements", *catalog, *given).out
    bare = "".join(f"{row['mrseam']}\n" for row in rows)
    code, found = checked(run, tmp_path, bare, *catalog, *given)
    assert (code, [one["version"] for one in found["lacking"]]) == (1, ["1.5.07"])
    assert checked(run, tmp_path, f"{bare}{BIOS['mrseam']}\n", *catalog, *given)[0] == 0
    three = "\n".join(row["mrseam"] for row in rows if row["version"] in {"1.5.24", "1.5.28", "1.5.34"})
    for text, too_much in ((three, 0), (f"{three}\n{BIOS['mrseam']}\n{STRANGE}", 1)):
        code, found = checked(run, tmp_path, text, "--plan", plan, *given)
        assert (code, len(found["too_much"])) == (0, too_much)
    assert run("measurements", "--plan", plan, *given).code == 2


def test_a_module_may_be_named_in_yaml(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "also.yaml"
    path.write_text(
        "schema: seamstep/modules/v1\nmodules:\n"
        f"- {{version: 1.5.07, mrseam: {STRANGE.upper()}, seamsvn: 0x106, note: the board's BIOS 1.2}}\n"
    )
    (found,) = run("measurements", "--which", STRANGE, "--also", path, "--json").json["releases"]
    assert (found["version"], found["seamsvn"], found["origins"]) == ("1.5.07", 0x106, ["given"])


def test_a_release_without_an_image_can_be_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    module = BIOS | {"version": "1.5.34"}
    bare = ("--mapping", LATEST, "--images", tmp_path / "none", "--also", also(tmp_path, module))
    listed = run("measurements", *bare, "--json").json["releases"]
    assert [row["mrseam"] for row in listed if row["version"] == "1.5.34"] == [module["mrseam"]]


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ([BIOS, BIOS], "also.json:1:197: modules[1].version: 1.5.07 is twice in this file; take it out"),
        ([BIOS, BIOS | {"mrseam": STRANGE}], "modules[1].mrseam: the file of --also has another MRSEAM for 1.5.07"),
        ([BIOS, BIOS | {"version": "1.5.10"}], "modules[1].version: the file of --also has this MRSEAM for 1.5.07"),
        ([BIOS | {"version": "1.5.06"}], "the list of published modules has another MRSEAM for 1.5.06: 5b38e33a6487"),
        (
            [BIOS | {"mrseam": OLD["1.5.06"]}],
            "the list of published modules has this MRSEAM for 1.5.06, not for 1.5.07",
        ),
        ([BIOS | {"version": "1.5.06", "mrseam": OLD["1.5.06"]}], "1.5.06 is known from the list of published modules"),
        ([BIOS | {"seamsvn": "0x106"}], "modules[0].seamsvn: '0x106' is not a number from 0 to 0xffff"),
        ([BIOS | {"mrseam": "cd"}], "modules[0].mrseam: 'cd' is not an MRSEAM of 96 hex digits"),
        ([BIOS | {"version": "1.5"}], "modules[0].version: '1.5' is not a version of three numbers"),
        ([BIOS | {"svn": 3}], "modules[0].svn: unknown key; did you mean 'seamsvn'?"),
        ([], "modules: [] is not a list of 1 to 1000 modules"),
    ],
)
def test_what_contradicts_is_an_error(run: Run, tmp_path: Path, modules: Rows, message: str) -> None:
    ran = run("measurements", "--which", STRANGE, "--also", also(tmp_path, *modules))
    assert (ran.code, message in ran.err) == (2, True), ran.err


def test_an_image_at_hand_contradicts_too(run: Run, catalog: tuple[object, ...], plan: Path, tmp_path: Path) -> None:
    path = also(tmp_path, BIOS | {"version": "1.5.34"})
    for source, words in ((catalog, "an image at hand"), (("--plan", plan), "the plan")):
        ran = run("measurements", "--which", STRANGE, *source, "--also", path)
        assert (ran.code, f"{words} has another MRSEAM for 1.5.34" in ran.err) == (2, True), ran.err


# the forms of a list


ROW = {"version": "1.5.06", "mrseam": OLD["1.5.06"]}
REFUSED: list[tuple[str, str]] = [
    ("", "the file is empty"),
    ("# nothing\n", "lists nothing; expected JSON or CSV of measurements"),
    ("5b38\n", ":1:1: '5b38' is not an MRSEAM of 96 hex digits"),
    (f"{OLD['1.5.06']}\nx\n", ":2:1: 'x' is not an MRSEAM"),
    ("{", "not JSON"),
    ('{"schema": "seamstep/plan/v1"}', "schema: 'seamstep/plan/v1' is not the text seamstep/measurements/v1"),
    ('{"schema": "seamstep/measurements/v1"}', "has neither 'releases' nor the stages of a plan"),
    ('{"schema": "seamstep/measurements/v1", "releases": [{}]}', "releases[0]: the key 'mrseam' is missing"),
    ("version,mrsaem\n1.5.06,00\n", ":1:1: unknown column 'mrsaem'; did you mean 'mrseam'?"),
    ("version,mrsaem\n1.5.06,00\n", ":1:1: the column 'mrseam' is missing"),
    ("version,version,mrseam\n", ":1:1: a column stands twice"),
    ("version,mrseam\n1.5.06\n", ":2:1: 1 values for 2 columns"),
    ("version,mrseam\n1.5.06,00\n", ":2:1: releases[0].mrseam: '00' is not an MRSEAM of 96 hex digits"),
    (f"version,mrseam,seamsvn\n1.5.06,{OLD['1.5.06']},many\n", ":2:1: releases[0].seamsvn: 'many' is not a number"),
    (f"phase,mrseam\nlater,{OLD['1.5.06']}\n", ":2:1: phase: 'later' is not before, during, after or settled"),
    (f'version,mrseam\n1.5.06,"{OLD["1.5.06"]}\n', "not CSV: unexpected end of data"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=range(len(REFUSED)))
def test_a_list_in_no_known_form_is_an_error(
    run: Run, catalog: tuple[object, ...], tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "list"
    path.write_text(text)
    ran = run("measurements", "--check", path, *catalog)
    assert (ran.code, message in ran.err) == (2, True), ran.err


@pytest.mark.parametrize("form", ["json", "csv", "lines"])
def test_a_huge_list_is_refused_before_it_is_read(
    run: Run, catalog: tuple[object, ...], tmp_path: Path, form: str
) -> None:
    beginnings: dict[str, Callable[[], str]] = {
        "json": lambda: json.dumps({"schema": "seamstep/measurements/v1", "releases": [ROW] * 40_000}),
        "csv": lambda: "mrseam\n" + f"{OLD['1.5.06']}\n" * 50_000,
        "lines": lambda: f"{OLD['1.5.06']}\n" * 50_000,
    }
    path = tmp_path / "list"
    path.write_text(beginnings[form]())
    ran = run("measurements", "--check", path, *catalog)
    assert (ran.code, "too large for a list of measurements" in ran.err) == (2, True), ran.err


def test_options_that_contradict_each_other(run: Run, catalog: tuple[object, ...], plan: Path, tmp_path: Path) -> None:
    for options in (
        ("--which", STRANGE, "--check", plan),
        ("--which", STRANGE, "--format", "csv"),
        ("--check", plan, "--plan", plan, *catalog),
        ("--check", plan),
    ):
        assert run("measurements", *options).code == 2, options


def test_measurements_fit_their_schema(run: Run, catalog: tuple[object, ...], plan: Path, tmp_path: Path) -> None:
    validator = Draft202012Validator(resources.schema("measurements"))
    validator.validate(run("measurements", *catalog, "--also", also(tmp_path, BIOS), "--json").json)
    validator.validate(run("measurements", "--mapping", LATEST, "--images", tmp_path, "--json").json)
    validator.validate(run("measurements", "--plan", plan, "--json").json)


PAGE = (Path(__file__).parents[2] / "docs" / "images.md").read_text()


def test_the_examples_of_the_page_are_true(run: Run, tmp_path: Path) -> None:
    asked, answer = re.search(r"--which ([0-9a-f]+)\n(1\.5\.06 .*\n)", PAGE).groups()  # type: ignore[union-attr]
    assert run("measurements", "--which", asked).out == answer
    (module,) = re.findall(r"```yaml\n(schema: seamstep/modules/v1\n.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "also.yaml"
    path.write_text(module)
    assert run("measurements", "--which", "cd" * 48, "--also", path).code == 0
