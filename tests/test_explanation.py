"""What the page on the design says is what the code has."""

import importlib
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "explanation" / "design.md").read_text()


def test_the_tree_is_the_one_that_import_linter_checks() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = (one for one in contracts if one.get("containers") == ["palpate"])
    (tree,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert [re.split(r"\s{2,}", line)[0] for line in tree.splitlines()] == contract["layers"]


def test_every_noun_is_where_the_page_says() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|.*\| `(palpate[\w.]*)` \|$", PAGE, re.MULTILINE)
    assert len(rows) == 15
    for names, module in rows:
        for name in re.findall(r"\w+", names):
            # Protocols stand in the contracts; the package named holds what keeps to them.
            places = [
                importlib.import_module(one) for one in (module, "palpate.contracts", "palpate.data.formats.scan")
            ]
            assert any(hasattr(place, name) for place in places), (name, module)
