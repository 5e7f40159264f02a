"""Gates as JUnit: what a CI system counts."""

from xml.etree import ElementTree

from palpate.audit.run.gates import Gate
from palpate.evidence.junit import junit

HELD, MISSED, UNKNOWN = (
    Gate("clean accuracy: at least 0.9", 0.95, True),
    Gate("robust accuracy under 'a<b>&\x1b[2J' at eps 1/255: at least 0.5", 0.25, False),
    Gate("kappa: at least 0.5", None, False),
)


def test_each_gate_is_a_case_and_hostile_names_stay_text() -> None:
    suites = ElementTree.fromstring(junit('"><x>', [HELD, MISSED, UNKNOWN]))
    cases = {case.attrib["name"]: case for case in suites.iter("testcase")}
    assert len(cases) == 3 and suites.attrib["failures"] == "2" and suites.attrib["errors"] == "0"
    assert cases[HELD.text].find("failure") is None
    failed = [case.find("failure") for case in cases.values() if case.find("failure") is not None]
    assert [one.attrib["message"] for one in failed if one is not None] == [
        "measured 0.25",
        "the figure is not defined",
    ]
    assert suites[0].attrib["name"] == '"><x>'


def test_what_could_not_run_is_an_error_and_no_pass() -> None:
    suites = ElementTree.fromstring(junit("t", [], failed=["pgd"], finished=False))
    assert suites.attrib["tests"] == suites.attrib["errors"] == "2"
