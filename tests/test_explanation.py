"""What the page on the design says is what the code has."""

import importlib
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "explanation" / "design.md").read_text()


def test_every_part_is_where_the_page_says() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|.*\| `(palpate[\w.]*)` \|$", PAGE, re.MULTILINE)
    assert len(rows) == 19
    for names, module in rows:
        for name in re.findall(r"\w+", names):
            # Protocols are in the contracts; the package that the page names holds the implementations.
            places = [
                importlib.import_module(one) for one in (module, "palpate.contracts", "palpate.data.formats.scan")
            ]
            assert any(hasattr(place, name) for place in places), (name, module)
