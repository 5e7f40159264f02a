"""The reference pages are what the code says, and every page names parts that exist."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from palpate import catalog
from palpate._moved import MOVED, RENAMED
from palpate.checks.renamed import METHODS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("README.md")]
GLOSSARY = ROOT / "docs" / "reference" / "glossary.md"
sys.path.insert(0, str(ROOT / "tools"))


@pytest.mark.parametrize("name", ["attacks.md", "cli.md", "defences.md", "plan.md", "public.md", "records.md"])
def test_reference_page_is_fresh(name):
    import make_reference

    written = (ROOT / "docs" / "reference" / name).read_text()
    assert written == make_reference.pages()[name], "run: python tools/make_reference.py"


def test_the_index_of_the_reference_names_every_page():
    folder = ROOT / "docs" / "reference"
    linked = set(re.findall(r"\]\(([^)#/]+)\)", (folder / "README.md").read_text()))
    assert linked == {path.name for path in folder.iterdir()} - {"README.md"}


def test_the_readme_counts_the_attacks():
    others = set(catalog.attacks()) - {"smia", "smia-reference"}
    assert f"[{len(others)} other attacks]" in (ROOT / "README.md").read_text()


def test_every_link_between_pages_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def anchors(text: str) -> set[str]:
    """The names of the headings of a page, as forges make them for links."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_to_a_heading_finds_it():
    checked = 0
    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
            other = page.parent / target if target else page
            assert anchor in anchors(other.read_text()), f"{page.relative_to(ROOT)} links to {target}#{anchor}"
            checked += 1
    assert checked > 10


def code_of(text: str) -> Iterator[str]:
    """The code blocks of a page, then the text in backticks outside them."""
    block = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
    yield from block.findall(text)
    yield from re.findall(r"`([^`\n]+)`", block.sub("", text))


def named_parts(code: str) -> Iterator[str]:
    """Every dotted name of palpate that a piece of code writes out or imports from a module."""
    yield from re.findall(r"(?<![\w./\[])palpate(?:\.[A-Za-z_]\w*)+(?![\w/])", code)
    for module, names in re.findall(r"from (palpate[\w.]*) import ([\w, ]+)", code):
        yield from (f"{module}.{name.split(' as ')[0].strip()}" for name in names.split(","))


def part(name: str) -> object:
    """The module or the part of that dotted name.

    Raises:
        ImportError: no such module.
        AttributeError: the module has no such part.
    """
    words = name.split(".")
    for length in range(len(words), 0, -1):
        try:
            found: object = importlib.import_module(".".join(words[:length]))
        except ModuleNotFoundError as error:
            if error.name is None or not ".".join(words).startswith(error.name):
                raise
            continue
        for word in words[length:]:
            found = getattr(found, word)
        return found
    raise ImportError(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
@pytest.mark.filterwarnings("error::DeprecationWarning")
def test_every_part_that_a_page_names_exists_under_that_name(page):
    text = page.read_text()
    if page == GLOSSARY:
        text = re.sub(r"^\| `[^|]*\|", "|", text, flags=re.MULTILINE)
    missing = []
    for name in sorted({name for code in code_of(text) for name in named_parts(code)}):
        try:
            part(name)
        except (ImportError, AttributeError, DeprecationWarning) as error:
            missing.append(f"{name}: {error}")
    assert not missing


@pytest.mark.parametrize(
    "name", ["palpate.handling", "palpate.contracts.Moment", "palpate.contracts.nowhere", "palpate.x"]
)
@pytest.mark.filterwarnings("error::DeprecationWarning")
def test_an_old_or_unknown_name_in_a_page_is_noticed(name):
    assert list(named_parts(f"see {name} there")) == [name]
    sys.modules.pop(name, None)
    with pytest.raises((ImportError, AttributeError, DeprecationWarning)):
        part(name)


def test_the_glossary_names_every_old_part_with_its_new_name():
    lines = GLOSSARY.read_text().splitlines()
    renamed = {(module, old, new) for module, names in RENAMED.items() for old, new in names.items()}
    for module, old, new in renamed:
        # A package that only passes a part on is named by its module.
        homes = [line for line in lines if f"`{old}`" in line and f"`{new}`" in line]
        assert any(f"`{module}`" in line or module.endswith(".base") for line in homes), (module, old, new)
    for old, new in MOVED.items():
        assert f"| `{old}` | `{new}` |" in lines
    for old, new in METHODS.items():
        assert any(f"`{old}`" in line and f"`{new}`" in line for line in lines), (old, new)
