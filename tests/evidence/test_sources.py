"""The page about laws and standards has the rows of the tool."""

from pathlib import Path

from palpate.evidence.sources import READ, SOURCES
from palpate.evidence.traceability import THREATS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "regulation.md"


def test_the_page_says_of_each_source_what_was_read() -> None:
    text = PAGE.read_text()
    for one in SOURCES:
        assert f"| {one.text} | {one.about} | {one.read} | {one.here} |" in text
    assert READ in text and all(f"| {identifier} | {name} |" in text for identifier, name in THREATS.items())
