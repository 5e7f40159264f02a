"""The gates of an audit as JUnit XML, which CI systems show: one test case for each gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from xml.etree import ElementTree

from palpate.errors import printable


class GateResult(Protocol):
    """One gate: its condition in words, the measured figure, and whether it holds."""

    @property
    def text(self) -> str:
        """The condition."""

    @property
    def value(self) -> float | None:
        """The figure; None if it is not defined."""

    @property
    def passed(self) -> bool:
        """Whether the condition holds."""


def junit(title: str, gates: Sequence[GateResult], *, failed: Sequence[str] = (), finished: bool = True) -> bytes:
    """JUnit XML with one test case for each gate.

    A gate that is missed is a failure. An attack that could not run, and an audit that is not finished, are errors;
    they have a test case only then.

    Args:
        title: of the audit; the name of the test suite.
        gates: the gates.
        failed: names of attacks that could not run.
        finished: whether the audit is finished. The gates of an unfinished one are not measured.
    """
    broken = [f"attack {name} runs" for name in failed] + ([] if finished else ["the audit is finished"])
    missed = [gate for gate in gates if not gate.passed]
    counts = {"tests": len(gates) + len(broken), "failures": len(missed), "errors": len(broken)}
    said = {name: str(count) for name, count in counts.items()}
    suites = ElementTree.Element("testsuites", {"name": "palpate", **said})
    suite = ElementTree.SubElement(suites, "testsuite", {"name": printable(title), **said})
    for gate in gates:
        case = _case(suite, "palpate.gates", gate.text)
        figure = "the figure is not defined" if gate.value is None else f"measured {gate.value:.4g}"
        if gate.passed:
            ElementTree.SubElement(case, "system-out").text = figure
        else:
            ElementTree.SubElement(case, "failure", {"message": figure}).text = printable(f"{gate.text}: {figure}")
    for name in broken:
        case = _case(suite, "palpate.audit", name)
        ElementTree.SubElement(case, "error", {"message": "The report says why, under Trust in the figures."})
    ElementTree.indent(suites)
    text = ElementTree.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _case(suite: ElementTree.Element, group: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", {"classname": group, "name": printable(name)})
