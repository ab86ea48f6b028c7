"""The reference pages of the linter's codes, as Markdown, each with its pair of examples."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date
from difflib import unified_diff
from pathlib import Path

from rule_pages import GENERATED, page, paragraph, table
from seamstep.analysis.lint import settings
from seamstep.analysis.lint.codes import CODES
from seamstep.analysis.lint.findings import Code
from seamstep.analysis.lint.run import lint, targets
from seamstep.analysis.lint.settings import Result, Settings
from seamstep.domain.tcb import TcbView
from seamstep.show.findings import Linted, findings_text
from seamstep.tcb import files

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "tests" / "cases" / "lint"
_EXCERPT = re.compile(r" *[0-9]* [|]")
_DAY = date(2026, 11, 23)
_TCB_INFO = ROOT / "tests" / "data" / "tcb" / "tcb-info-90C06F000000-18.json"
_TCB_DAY = date(2026, 3, 1)
_FEBRUARY = ROOT / "tests" / "data" / "mapping_file-2026-02.json"


def lint_page(name: str) -> str:
    """The page of a code."""
    code = CODES[name]
    return page(
        f"# {name}",
        GENERATED,
        paragraph(code.summary),
        table(("", ""), (("Default severity", f"`{code.severity}`"), ("Looks at", _looks_at(name)))),
        "## Why it matters",
        paragraph(code.why),
        "## Example",
        *_example(code),
        "## What to do",
        paragraph(code.fix),
        "[All codes](README.md)",
    )


def _looks_at(name: str) -> str:
    folder = EXAMPLES / name
    if (folder / "signer").exists():
        return "a mapping file with its images, and TCB Info (`--tcb-info`)"
    if (folder / "bad").is_dir():
        return "a mapping file with its images"
    return "a mapping file" if (folder / "bad.json").exists() else "the linter's settings"


def _example(code: Code) -> Iterator[str]:
    folder = EXAMPLES / code.name
    form = next(form for form in ("", ".json", ".yaml") if (folder / f"bad{form}").exists())
    bad, good = f"bad{form}", f"good{form}"
    at = f"../../../tests/cases/lint/{code.name}"
    yield f"[`{bad}`]({at}/{bad}) has this finding, [`{good}`]({at}/{good}) has not. The linter says:"
    yield f"```text\n{_said(code, folder / bad)}\n```"
    yield "From good to bad:"
    yield f"```diff\n{_difference(folder / good, folder / bad)}\n```"


def _said(code: Code, bad: Path) -> str:
    """The first finding of the code, as the text report has it, without what the page says anyway."""
    mapping, chosen = bad, Settings()
    if bad.suffix == ".yaml":
        mapping, chosen = _FEBRUARY, settings.load(str(bad), CODES)
    target = targets(str(mapping))[0]
    results = settings.judge(lint(target, _signers(bad.parent), _tcb(bad.parent)), chosen, _DAY, Counter())
    first = next(result for result in results if result.finding.code is code)
    lines = findings_text(Linted([target], [_without_folders(first, bad)])).split("\n")
    return "\n".join([lines[0], *(line for line in lines[1:3] if _EXCERPT.match(line))])


def _signers(folder: Path) -> frozenset[str]:
    files = (EXAMPLES / "signer", folder / "signer")
    return frozenset(file.read_text().strip() for file in files if file.exists())


def _tcb(folder: Path) -> TcbView | None:
    """The TCB Info with which the catalogs in a folder are linted; those that are have a signer of their own."""
    return files.view([str(_TCB_INFO)], None, _TCB_DAY) if (folder / "signer").exists() else None


def _without_folders(result: Result, bad: Path) -> Result:
    """The result with paths as they are in the example's own folder."""
    here = f"{bad.parent}/"
    finding = result.finding
    plain = finding._replace(source=finding.source.replace(here, ""), message=finding.message.replace(here, ""))
    return result._replace(finding=plain)


def _difference(good: Path, bad: Path) -> str:
    if good.is_dir():
        return "\n".join(_catalog_difference(good, bad))
    lines = unified_diff(
        good.read_text().splitlines(), bad.read_text().splitlines(), good.name, bad.name, "", "", 1, ""
    )
    return "\n".join(lines)


def _catalog_difference(good: Path, bad: Path) -> Iterator[str]:
    """The files that differ: images are not for reading."""
    names = {path.relative_to(folder) for folder in (good, bad) for path in folder.rglob("*") if not path.is_dir()}
    links = {path.relative_to(bad) for path in bad.rglob("*") if path.is_symlink()}
    for name in sorted(names | links):
        before, after = good / name, bad / name
        if name in links:
            yield f"+ {name} -> {after.readlink()}"
        elif before.exists() and not after.exists():
            yield f"- {name}"
        elif not before.exists():
            yield f"+ {name}"
        elif before.read_bytes() != after.read_bytes():
            yield f"! {name}"


def lint_index() -> str:
    """The page that lists all codes."""
    rows = ((f"[`{name}`]({name}.md)", f"`{code.severity}`", code.summary) for name, code in CODES.items())
    return page(
        "# Codes of the linter",
        GENERATED,
        paragraph(
            "`seamstep lint` finds mistakes in mapping files, and with images in whole catalogs. Codes are stable:"
            " settings, suppressions and reports name them. [Validation in CI](../../ci.md) shows how to use it."
        ),
        table(("code", "default", "what it finds"), rows),
    )
