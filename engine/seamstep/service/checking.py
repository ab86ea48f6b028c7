"""Mistakes in the configuration of a host and in what it names (``seamstep service check``), all at once.

An error keeps the service from doing what the configuration says, or makes it do something else; a warning is worth
knowing. A finding is *invalid* if an input can't be read or breaks its format.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from seamstep import service
from seamstep.analysis.lint import run as linter
from seamstep.analysis.lint import settings as lint_settings
from seamstep.analysis.lint.codes import CODES
from seamstep.analysis.lint.findings import Severity
from seamstep.base import places
from seamstep.base.errors import ExitCode, InputError, Problem
from seamstep.base.ownership import others_can_change
from seamstep.base.rooted import below, is_there
from seamstep.image.files import TRUSTED
from seamstep.policy import policy_file
from seamstep.policy.policy import Policy
from seamstep.service import configuration, old_settings
from seamstep.service.configuration import Configuration
from seamstep.service.resolving import Resolved, resolved

SCHEMA = "seamstep/service-check/v1"
_FOLDERS = ("etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
_WANTED = "[!.]*.wants"


class Finding(NamedTuple):
    """One finding.

    Attributes:
        part: what it is about: configuration, old-settings, catalog, policies, tcb_info, notification, units.
        severity: ERROR or WARNING.
        problem: the place and the message.
        invalid: whether an input can't be read or breaks its format.
    """

    part: str
    severity: Severity
    problem: Problem
    invalid: bool = False

    def to_document(self) -> dict[str, Any]:
        """The finding as JSON-able data."""
        return {"part": self.part, "severity": self.severity.value, **self.problem.to_document()}


def check(root: str, file: str | None, as_of: date) -> list[Finding]:
    """All findings.

    Args:
        root: the root folder of the machine.
        file: the configuration; None for the one of that machine.
        as_of: the day that decides what has expired.
    """
    place = file or below(root, places.CONFIG)
    config: Configuration | None = None
    found: list[Finding] = []
    try:
        present = file is not None or is_there(root, places.CONFIG)
        config = configuration.load(place) if present else Configuration(place)
    except InputError as error:
        found += (Finding("configuration", Severity.ERROR, one, invalid=True) for one in error.problems)
    for path in (os.path.dirname(place), place):  # without a file as well: another user may take it away
        if os.path.lexists(path):
            found += _changeable("configuration", Severity.ERROR, path, "/" if file else root)
    if config:
        result = resolved(config, root, as_of)
        found += _named(config, root, result)
        found += _old(below(root, f"/{old_settings.NAME}"), config)
        found += _policies(config, result.policy)
        found += _tcb_info(config, root, result.policy, as_of)
        found += _linted(below(root, config.catalog), result, as_of)
    return [*found, *_units(Path(root))]


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """INVALID if an input is, NO if there is another error, else DONE."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if any(finding.invalid for finding in errors):
        return ExitCode.INVALID
    return ExitCode.NO if errors else ExitCode.DONE


def _changeable(part: str, severity: Severity, place: str, root: str, shown: str = "") -> Iterator[Finding]:
    """A finding if a user other than root can change the file or folder at ``place``. What is above ``root`` is no part
    of the machine."""
    try:
        why = others_can_change(os.path.realpath(place), os.path.realpath(root))
    except OSError as error:
        why = str(error)
    if why:
        use = "is run as root" if part == "notification" else "decides on updates"
        message = f"{use}, so only root may be able to change it: {why}"
        yield Finding(part, severity, Problem(shown or place, message))


# -- what the configuration names


def _named(config: Configuration, root: str, result: Resolved) -> Iterator[Finding]:
    for part, problems in result.problems.items():
        for problem in problems:
            yield Finding(part, Severity.ERROR, problem, invalid=True)
    files = [name for name in config.policies if policy_file.is_file(name)]
    program = config.notification.command[:1] if config.notification else ()
    named = [("catalog", config.catalog), *(("policies", name) for name in files)]
    named += [("tcb_info", path) for path in [config.tcb_info] if path]
    for part, path in [*named, *(("notification", path) for path in program)]:
        if service.is_unseen(path):
            message = f"{path} can't be read by the service, which does not see /home, /root and /tmp"
            yield Finding(part, Severity.ERROR, _at(config, part, message))
    for part, path in [*named, *(("notification", path) for path in program)]:
        if os.path.exists(below(root, path)):
            yield from _changeable(part, Severity.WARNING, below(root, path), root, path)
    yield from _notification(config, root)


def _tcb_info(config: Configuration, root: str, policy: Policy | None, as_of: date) -> Iterator[Finding]:
    """Documents that do not verify, an error where the policies go by them; and those that have expired."""
    decides = policy is not None and policy.uses_tcb
    if not config.tcb_info:
        if decides:
            message = "the policies go by TCB Info, and the configuration names no folder with it"
            yield Finding("tcb_info", Severity.ERROR, _at(config, "tcb_info", message))
        return
    folder = below(root, config.tcb_info)
    if not os.path.isdir(folder):
        message = f"{config.tcb_info} is not a folder"
        yield Finding("tcb_info", Severity.ERROR, _at(config, "tcb_info", message))
        return
    from seamstep.tcb import files

    stale_until = policy.tcb_stale_until if policy else None
    try:
        documents = files.view([folder], None, as_of, stale_until).documents
    except InputError as error:
        for problem in error.problems:
            yield Finding("tcb_info", Severity.ERROR if decides else Severity.WARNING, problem, invalid=decides)
        return
    for document in documents:
        if reason := document.why_unusable(as_of, stale_until):
            yield Finding("tcb_info", Severity.WARNING, Problem(document.path, f"{reason}; its answer is unknown"))


def _notification(config: Configuration, root: str) -> Iterator[Finding]:
    if not config.notification:
        return
    for program in config.notification.command[:1]:
        path = below(root, program)
        if not (os.path.isfile(path) and os.access(path, os.X_OK)):
            message = f"{program} is no program on this machine"
            yield Finding("notification", Severity.ERROR, _at(config, "notification", message))
    unit = config.notification.unit
    if unit and not _unit_file(Path(root), unit):
        template = re.sub(r"@[^.].*\.service$", "@.service", unit)
        if not _unit_file(Path(root), template):
            message = f"systemd has no unit {unit} on this machine"
            yield Finding("notification", Severity.ERROR, _at(config, "notification", message))


def _at(config: Configuration, key: str, message: str) -> Problem:
    if config.document is None:
        return Problem(config.file, message, (key,))
    return config.document.problem((key,), message)


def _old(file: str, config: Configuration) -> Iterator[Finding]:
    try:
        old = old_settings.load(file)
    except InputError as error:
        yield from (Finding("old-settings", Severity.ERROR, one, invalid=True) for one in error.problems)
        return
    if old is None:
        return
    different = old.differences(config)
    for problem in different:
        yield Finding("old-settings", Severity.ERROR, problem)
    told = "carry over what is wanted, and remove this file: the service does not begin while the two differ"
    same = "is not read any more, and the configuration says the same; remove this file"
    severity = Severity.ERROR if different else Severity.WARNING
    yield Finding("old-settings", severity, Problem(file, told if different else same))


def _policies(config: Configuration, policy: Policy | None) -> Iterator[Finding]:
    if policy is None:
        return
    for expired in policy.expired:
        yield Finding("policies", Severity.WARNING, expired.problem)
    if policy.signers:
        message = "the policies trust signers besides Intel, which no real host does; the service fails with these"
        yield Finding("policies", Severity.WARNING, _at(config, "policies", message))


def _linted(folder: str, result: Resolved, as_of: date) -> Iterator[Finding]:
    if result.catalog is None:
        return
    trusted = TRUSTED | (result.policy.signers if result.policy else frozenset())
    try:
        path = lint_settings.nearest(result.catalog.mapping.path)
        chosen = lint_settings.load(path, CODES, found=True) if path else lint_settings.Settings()
        for target in linter.targets(folder):
            for judged in lint_settings.judge(linter.lint(target, trusted), chosen, as_of, Counter()):
                one = judged.finding
                if judged.counts and judged.severity is Severity.ERROR:
                    problem = Problem(one.source, f"{one.message} [{one.code.name}]", one.path, one.line, one.column)
                    yield Finding("catalog", Severity.ERROR, problem)
    except InputError as error:
        yield from (Finding("catalog", Severity.ERROR, one, invalid=True) for one in error.problems)
        return
    if not any(release.usable_image() for release in result.catalog.releases):
        yield Finding("catalog", Severity.ERROR, Problem(folder, "no release has an image that can be used"))


# -- the units


def _units(root: Path) -> Iterator[Finding]:
    for name in service.UNITS:
        path = _unit_file(root, name)
        if path is None:
            needed = name == "seamstep.service"
            message = f"{name} is not installed; see seamstep service install"
            yield Finding("units", Severity.ERROR if needed else Severity.WARNING, Problem(str(root), message))
        else:
            yield from _unit(root, name, path)
    if not any(_is_enabled(root, name) for name in ("seamstep.service", "seamstep.timer")):
        message = "neither seamstep.service nor seamstep.timer is enabled; see systemctl enable"
        yield Finding("units", Severity.WARNING, Problem(str(root), message))


def _unit_file(root: Path, name: str) -> Path | None:
    """The file of a unit that systemd takes: /etc precedes the folders of packages."""
    places = (Path(below(str(root), f"/{folder}"), name) for folder in _FOLDERS)
    return next((place for place in places if os.path.lexists(place)), None)


def _is_enabled(root: Path, name: str) -> bool:
    return any(link for folder in _FOLDERS for link in Path(below(str(root), f"/{folder}")).glob(f"{_WANTED}/{name}"))


def _unit(root: Path, name: str, path: Path) -> Iterator[Finding]:
    """The findings on one unit that is installed."""
    if path.is_symlink() and str(path.readlink()) == os.devnull:
        yield Finding("units", Severity.ERROR, Problem(str(path), "is masked; see systemctl unmask"))
        return
    try:
        text = service.present(path) or ""
    except InputError as error:
        yield from (Finding("units", Severity.ERROR, one, invalid=True) for one in error.problems)
        return
    state, command = service.compared(name, text)
    if state is service.State.OTHER_VERSION:
        message = "is of another version of seamstep; see seamstep service install"
        yield Finding("units", Severity.ERROR, Problem(str(path), message))
    elif state is service.State.CHANGED:
        ignores = name == "seamstep.service" and "--configured" not in text
        told = "changed by hand, and does not read the configuration" if ignores else "changed by hand"
        severity = Severity.ERROR if ignores else Severity.WARNING
        yield Finding("units", severity, Problem(str(path), f"{told}; changes belong into a drop-in (systemctl edit)"))
    elif command:
        program = below(str(root), command)
        if not (os.path.isfile(program) and os.access(program, os.X_OK)):
            message = f"runs {command}, which is no program on this machine"
            yield Finding("units", Severity.ERROR, Problem(str(path), message))
