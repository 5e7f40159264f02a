"""The reference pages are what the code says."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))


@pytest.mark.parametrize("name", ["attacks.md", "records.md", "plan.md", "cli.md"])
def test_reference_page_is_fresh(name):
    import make_reference

    written = (ROOT / "docs" / "reference" / name).read_text()
    assert written == make_reference.pages()[name], "run: python tools/make_reference.py"


def test_every_link_between_pages_leads_somewhere():
    import re

    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("README.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"
