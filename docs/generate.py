"""Write the reference pages below docs/reference from the code: ``python docs/generate.py [--check]``.

Works in a checkout with seamstep installed. With ``--check`` nothing is written; the exit code is 1 if a page is not
what the code says, and standard output names it.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from check_page import check_page
from config_page import config_page
from lint_pages import lint_index, lint_page
from manual import manual
from policy_page import policy_page
from rollout_page import rollout_page
from rule_pages import every_rule, index, rule_page
from seamstep.analysis.lint.codes import CODES

REFERENCE = Path(__file__).parent / "reference"


@functools.cache
def pages() -> dict[str, str]:
    """The text of every page by its path below the reference folder, sorted."""
    rules = {f"rules/{name}.md": rule_page(name) for name in every_rule()}
    codes = {f"lint/{name}.md": lint_page(name) for name in CODES}
    others = {"rules/README.md": index(), "lint/README.md": lint_index(), "policy.md": policy_page()}
    others["rollout.md"] = rollout_page()
    others["config.md"] = config_page()
    others["checks.md"] = check_page()
    others["seamstep.1"] = manual()
    return dict(sorted((rules | codes | others).items()))


def stale(folder: Path = REFERENCE) -> list[str]:
    """The paths below ``folder`` of the pages that are missing, differ from what the code says, or tell of a rule or
    a code that is gone."""
    expected = {name: text.encode() for name, text in pages().items()}
    found = {file.relative_to(folder).as_posix(): file.read_bytes() for file in _existing(folder)}
    return sorted(name for name in expected | found if expected.get(name) != found.get(name))


def _existing(folder: Path) -> Iterator[Path]:
    """The files that are the generator's affair: everything on rules and codes, and the other pages that it writes."""
    for own in ("rules", "lint"):
        yield from (folder / own).glob("*.md")
    yield from (folder / name for name in pages() if "/" not in name and (folder / name).exists())


def write(folder: Path = REFERENCE) -> list[str]:
    """Bring the pages below ``folder`` up to date; returns the paths that changed."""
    expected, changed = pages(), stale(folder)
    for name in changed:
        file = folder / name
        if name in expected:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(expected[name].encode())
        else:
            file.unlink()
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or check them; the exit code."""
    parser = argparse.ArgumentParser(description="Write the reference pages from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name the pages that are stale")
    if parser.parse_args(arguments).check:
        names = stale()
        for name in names:
            sys.stdout.write(f"docs/reference/{name} is stale; run python docs/generate.py\n")
        return 1 if names else 0
    for name in write():
        sys.stdout.write(f"docs/reference/{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
