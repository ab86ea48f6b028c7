"""JUnit XML, a format that CI systems display."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.etree import ElementTree

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Case(NamedTuple):
    """One test case. ``classname`` and ``name`` identify it, ``failures`` are its messages of failure (none if it
    passed), and ``skipped`` is the reason for skipping it (empty if it was not skipped)."""

    classname: str
    name: str
    failures: Sequence[str] = ()
    skipped: str = ""


def xml(name: str, suites: Mapping[str, Sequence[Case]]) -> str:
    """A JUnit document in ASCII, called ``name``; ``suites`` are the test cases of each suite by its name."""
    root = ElementTree.Element("testsuites", name=name)
    for suite, cases in suites.items():
        _suite(root, suite, cases)
    content: bytes = ElementTree.tostring(root, encoding="us-ascii", xml_declaration=True)
    return content.decode("ascii")


def _suite(root: ElementTree.Element, name: str, cases: Sequence[Case]) -> None:
    failures = sum(bool(case.failures) for case in cases)
    skipped = sum(bool(case.skipped) for case in cases)
    suite = ElementTree.SubElement(root, "testsuite", name=_clean(name), tests=str(len(cases)))
    suite.set("failures", str(failures))
    suite.set("skipped", str(skipped))
    for case in cases:
        element = ElementTree.SubElement(suite, "testcase", classname=_clean(case.classname), name=_clean(case.name))
        if case.failures:
            failure = ElementTree.SubElement(element, "failure", message=_clean(case.failures[0]))
            failure.text = _clean("\n".join(case.failures))
        if case.skipped:
            ElementTree.SubElement(element, "skipped", message=_clean(case.skipped))


def _clean(text: str) -> str:
    """``text`` without the characters that XML does not allow."""
    return _NOT_XML.sub("", text)
