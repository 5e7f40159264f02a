"""The written pages: prose by hand in `prose/`, every number of it and every table from the figures of the study.

A page is a template. `{{ success("polyps", "smia", "passes", "blur1") }}` is a figure; `{% do expect(...) %}` holds a
sentence to what it says: where the figures no longer bear it out, nothing is written and the sentence is named.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.smia_study import markdown, plots, targets
from benchmarks.smia_study.figures import collect, dumped
from benchmarks.smia_study.transfer_networks import CACHE, ROOT
from palpate.storage.writing import write_atomically

PROSE = Path(__file__).parent / "prose"
RESULTS = ROOT / "benchmarks" / "results" / "smia_study.json"
DOCS = ROOT / "docs"
BEGIN, END = "<!-- study -->", "<!-- end of study -->"
PAGES = {"smia_study.md": "research", "smia_study_tables.md": "research", "smia_verdict.md": "research"}
PAGES |= {"smia_defaults.md": "explanation"}
"""Pages that are written whole, each with its folder in the documentation."""
SECTIONS = {"steadfast.md": "explanation"}
"""Pages of which only the part between the two marks is written here."""
Figures = dict[str, Any]


class OutdatedProseError(ValueError):
    """A sentence contradicts the figures."""


def write(cache: Path = CACHE, docs: Path = DOCS, results: Path = RESULTS) -> None:
    """Work out all figures from the cache alone; write them, the drawings and the pages.

    Raises:
        StorageError: the cache has nothing to show.
        OutdatedProseError: sentences contradict the figures; figures and drawings are written all the same.
    """
    figures = collect(cache)
    write_atomically(results, dumped(figures).encode())
    publish(json.loads(results.read_text()), docs)


def publish(figures: Figures, docs: Path = DOCS) -> None:
    """Write drawings and pages from the figures."""
    plots.draw(figures, docs / "images" / "smia_study")
    for name, text in render(figures).items():
        path = page(docs, name)
        if name in PAGES:
            path.write_text(text)
        elif path.is_file() and BEGIN in path.read_text():
            path.write_text(inserted(path.read_text(), text))


def page(docs: Path, name: str) -> Path:
    """The path of a page in the documentation."""
    return docs / (PAGES | SECTIONS)[name] / name


def inserted(page: str, section: str) -> str:
    """The page with its marked section replaced; a missing second mark is added after the section."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    return f"{before}{BEGIN}\n{section.strip()}\n{END}{after if mark else rest}"


def render(figures: Figures, prose: Path = PROSE) -> dict[str, str]:
    """Every page and section whose figures are there, as text, by its name.

    Args:
        figures: the document of the study.
        prose: folder of the templates.

    Raises:
        OutdatedProseError: with every sentence that the figures contradict.
    """
    failed: list[str] = []
    environment = Environment(
        loader=FileSystemLoader(prose),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.do"],
    )
    environment.globals |= vocabulary(figures)
    environment.filters["sides_for"] = partial(sides, side="for")
    pages = {}
    for name in (*PAGES, *SECTIONS):
        if not (prose / name).is_file() or (name == "smia_defaults.md" and not figures["ablation"]):
            continue
        environment.globals["expect"] = partial(_expect, failed, name)
        pages[name] = environment.get_template(name).render(data=figures)
    if failed:
        raise OutdatedProseError("The figures no longer bear out:\n" + "\n".join(failed))
    return pages


def _expect(failed: list[str], page: str, condition: bool, sentence: str) -> None:
    if not condition:
        failed.append(f"{page}: {sentence}")


def vocabulary(figures: Figures) -> dict[str, Any]:
    """What templates can say: figures by name, tables, and how numbers are written."""
    main = {figures["settings"][key]["benchmark"]: key for key in figures["main"]}

    def entry(benchmark: str, attack: str, mode: str) -> Figures:
        own = figures["settings"][main.get(benchmark, benchmark)]
        found = markdown.entry(own, attack, mode)
        if found is None:
            raise KeyError(f"the study has no '{attack}' in '{benchmark}' at equal {mode}")
        return found

    def success(benchmark: str, attack: str, mode: str = "passes", after: str = "before") -> str:
        return markdown.percent(entry(benchmark, attack, mode)["success"][after])

    def score(benchmark: str, attack: str, mode: str = "passes", after: str = "before") -> str:
        return markdown.number(entry(benchmark, attack, mode)["score"][after])

    def scaled(benchmark: str, attack: str) -> list[float | None]:
        """Standard deviation of the change over pixels, in eps, at equal steps."""
        eps = figures["settings"][main[benchmark]]["eps"]
        return [end and end / eps for end in entry(benchmark, attack, "steps")["delta_sd"]]

    tables = {f"{name}_table": partial(getattr(markdown, name), figures) for name in TABLES}
    return (
        tables
        | {
            "entry": entry,
            "success": success,
            "scaled": scaled,
            "score": score,
            "percent": markdown.percent,
            "number": markdown.number,
            "fine": markdown.fine,
            "chance": markdown.chance,
            "setting": lambda benchmark: figures["settings"][main.get(benchmark, benchmark)],
            "words": lambda benchmark: figures["benchmarks"][benchmark]["words"],
            "listed": listed,
            "titles_on": lambda rows, side: titles_on(figures, rows, side),
            "tried": lambda name: next(one for one in figures["ablation"]["points"] if one["name"] == name),
            "stronger_before": stronger_before,
            "one_drop": one_drop,
            "row_of": row_of,
            "sides": sides,
            "largest_of": lambda rows: max(rows, key=lambda row: abs(row["difference"][0])),
            "targets": partial(targets.reached, figures),
            "steadiness_table": partial(targets.steadiness, figures),
        }
        | _summed(figures)
    )


def _summed(figures: Figures) -> dict[str, Any]:
    """Figures about the study as a whole."""
    main = [figures["settings"][key] for key in figures["main"]]
    tried = figures["ablation"] or {"benchmarks": [], "images": {}}
    return {
        "main_words": [markdown.titled(figures, own) for own in main],
        "few_images": sum(own["images"] <= 100 for own in main),
        "smallest_images": min(own["eligible"] for own in main),
        "largest_images": max(own["eligible"] for own in main),
        "total_minutes": f"{sum(benchmark['minutes'] for benchmark in figures['benchmarks'].values()):.0f}",
        "tried_words": [figures["benchmarks"][benchmark]["words"] for benchmark in tried["benchmarks"]],
        "tried_images": listed([str(tried["images"][benchmark]) for benchmark in tried["benchmarks"]]),
    }


TABLES = (
    "benchmarks", "outcomes", "strengths", "meanings", "modalities", "paired", "identities", "differences", "ours",
    "ablation", "verdicts", "scan", "forms",
)  # fmt: skip


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`; `none`."""
    if len(names) < 2:
        return names[0] if names else "none"
    return ", ".join(names[:-1]) + f" and {names[-1]}"


def stronger_before(points: list[Figures], base: Figures, benchmarks: list[str], mode: str) -> int:
    """In how many pairs of point and benchmark the ablation has a larger drop than the base."""
    return sum(
        one[benchmark][mode]["drop"] > base[benchmark][mode]["drop"] + 1e-9
        for one in points
        for benchmark in benchmarks
    )


def one_drop(points: list[Figures], base: Figures, benchmark: str) -> bool:
    """Whether all points of the ablation have the base's drop in a benchmark, at equal passes."""
    return all(abs(one[benchmark]["passes"]["drop"] - base[benchmark]["passes"]["drop"]) < 1e-9 for one in points)


def row_of(rows: list[Figures], benchmark: str) -> Figures:
    """The comparison of one benchmark.

    Raises:
        KeyError: it was not made.
    """
    for row in rows:
        if row.get("benchmark") == benchmark or row.get("setting", "").partition("@")[0] == benchmark:
            return row
    raise KeyError(f"nothing was compared in '{benchmark}'")


def titles_on(figures: Figures, rows: list[Figures], side: str) -> str:
    """The benchmarks whose comparison speaks on a side."""
    return "; ".join(
        markdown.titled(figures, figures["settings"][row["setting"]]) for row in rows if row["side"] == side
    )


def sides(rows: list[Figures], side: str) -> int:
    """How many comparisons speak `for`, `against`, or are `open` or the `same`."""
    return sum(row["side"] == side for row in rows)
