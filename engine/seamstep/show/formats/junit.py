"""JUnit XML, a format that CI systems display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from seamstep.show.text import printable


class Case(NamedTuple):
    """One test case. ``classname`` and ``name`` identify it, ``failures`` are its messages of failure (none if it
    passed), and ``skipped`` is the reason for skipping it (empty if it was not skipped)."""

    classname: str
    name: str
    failures: Sequence[str] = ()
    skipped: str = ""


def xml(name: str, suites: Mapping[str, Sequence[Case]]) -> str:
    """A JUnit document in ASCII, called ``name``; ``suites`` are the test cases of each suite by its name. Texts are
    escaped by :func:`printable`, so none holds a line break or a character that XML does not allow."""
    root = ElementTree.Element("testsuites", name=name)
    for suite, cases in suites.items():
        _suite(root, suite, cases)
    content: bytes = ElementTree.tostring(root, encoding="us-ascii", xml_declaration=True)
    return content.decode("ascii")


def _suite(root: ElementTree.Element, name: str, cases: Sequence[Case]) -> None:
    failures = sum(bool(case.failures) for case in cases)
    skipped = sum(bool(case.skipped) for case in cases)
    suite = ElementTree.SubElement(root, "testsuite", name=printable(name), tests=str(len(cases)))
    suite.set("failures", str(failures))
    suite.set("skipped", str(skipped))
    for case in cases:
        element = ElementTree.SubElement(
            suite, "testcase", classname=printable(case.classname), name=printable(case.name)
        )
        if case.failures:
            failure = ElementTree.SubElement(element, "failure", message=printable(case.failures[0]))
            failure.text = "\n".join(map(printable, case.failures))
        if case.skipped:
            ElementTree.SubElement(element, "skipped", message=printable(case.skipped))
