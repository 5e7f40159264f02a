"""The page of a comparison in one file, like the report: every text escaped, no request, readable without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from palpate.report.compute.compare.gates import place_in_words
from palpate.report.compute.compare.listing import ANY, CLEAN
from palpate.report.compute.compare.sentences import written
from palpate.report.draw import compare as drawings
from palpate.report.model.schema_compare import ESTABLISHED, Change, Comparison, Pair
from palpate.report.model.wording import Wording
from palpate.report.model.words import amount
from palpate.report.page.compare_terminal import TITLES, between, said, value_in_words
from palpate.report.page.templating import page_environment, script_hash, source
from palpate.units import counted

LEADING = (
    "result",
    "goals",
    "classes",
    "parts",
    "sizes",
    "clinical",
    "grading",
    "subgroups",
    "artefacts",
    "certificates",
    "survival",
)
"""Sections whose rows at the budget of the sentences are open; the other sections are folded whole."""


def render_comparison(comparison: Comparison) -> str:
    """The page's HTML."""
    environment = _environment()
    script = source(environment, "report.js")
    words = Wording(comparison.task)
    page = environment.get_template("compare.html.j2").render(
        c=comparison,
        words=words,
        established=ESTABLISHED,
        css=Markup(source(environment, "report.css") + source(environment, "compare.css")),
        script=Markup(script),
        script_hash=script_hash(script),
        folders={run.letter: run.folder for run in comparison.runs},
        runs={run.letter: run for run in comparison.runs},
        pairs=[_pair(pair, comparison, number) for number, pair in enumerate(comparison.pairs)],
        curves=_curves(comparison, words),
        headline=None if comparison.headline is None else comparison.data.written(comparison.headline),
        serious=[one for one in comparison.warnings if one.level == "warning"],
        notes=[one for one in comparison.warnings if one.level == "note"],
    )
    return page + "\n"


@cache
def _environment() -> Environment:
    environment = page_environment()
    environment.filters |= {
        "written": written,
        "between": between,
        "said": said,
        "at": value_in_words,
        "counted": counted,
    }
    return environment


def _curves(comparison: Comparison, words: Wording) -> Markup | None:
    # Matplotlib and `canvas` escape every text of a drawing.
    return Markup(drawings.curves(comparison, f"{words.robust} against the budget")) if comparison.eps else None


def _pair(pair: Pair, comparison: Comparison, number: int) -> dict[str, Any]:
    titles = {**TITLES, "parts": f"By {Wording(comparison.task).part}"}
    return {
        "pair": pair,
        "tiles": _tiles(pair, comparison),
        "forest": _forest(pair, comparison, number),
        "leading": [_section(name, titles[name], pair, comparison) for name in LEADING if _rows(pair, name)],
        "folded": [
            {"name": name, "title": title, "open": [], "more": _named(_rows(pair, name))}
            for name, title in titles.items()
            if name not in LEADING and _rows(pair, name)
        ],
        "switch": next((one for one in pair.switches if one.eps == comparison.headline), None),
    }


def _rows(pair: Pair, section: str) -> list[Change]:
    return [one for one in pair.changes if one.section == section]


def _section(name: str, title: str, pair: Pair, comparison: Comparison) -> dict[str, Any]:
    """The rows of a section: open those that say most, folded the others."""
    rows = _rows(pair, name)

    def leads(change: Change) -> bool:
        if name == "result":
            return True
        if name == "artefacts":
            return change.how in {"worst found", "all severities"} and not change.part
        return change.eps in {None, comparison.headline}

    return {
        "name": name,
        "title": title,
        "open": _named([one for one in rows if leads(one)]),
        "more": _named([one for one in rows if not leads(one)]),
    }


def _named(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Rows of a table: what the figure is about, and its budget."""
    return [
        {
            "name": change.figure + (f", {change.goal}" if change.section == "goals" else ""),
            "part": change.part,
            "under": "" if change.under in {CLEAN, ANY} else change.under,
            "how": change.how,
            "eps": "without an attack"
            if change.under == CLEAN
            else amount(change.eps)
            if change.eps is not None
            else "",
            "change": change,
        }
        for change in changes
    ]


def _tiles(pair: Pair, comparison: Comparison) -> list[dict[str, Any]]:
    """The most important differences: clean, worst case at the budget, and the part that lost most."""
    words = Wording(comparison.task)
    clean = next((one for one in pair.changes if one.section == "result" and one.figure == "clean accuracy"), None)
    robust = [
        one
        for one in pair.changes
        if one.section == "result" and one.figure == "robust accuracy" and one.eps == comparison.headline
    ]
    tiles = [{"title": words.clean, "change": clean, "where": ""}] if clean else []
    if robust:
        at = f"at eps {comparison.data.written(comparison.headline)}"
        tiles.append({"title": f"{words.robust}, worst case", "change": robust[0], "where": at})
    lost = [one for one in pair.changes if one.reading == "worse" and one.kind == "share" and one.section in LEADING]
    if lost:
        worst = max(lost, key=lambda one: abs(one.difference.value or 0.0))
        tiles.append({"title": "Largest established loss", "change": worst, "where": place_in_words(worst)})
    return tiles


def _forest(pair: Pair, comparison: Comparison, number: int) -> Markup | None:
    rows = [
        (place_in_words(one.model_copy(update={"eps": None})).replace(" under any attack", ""), one)
        for one in pair.changes
        if one.section in {"result", "classes", "parts", "sizes", "subgroups"}
        and one.kind == "share"
        and one.eps in {None, comparison.headline}
        and one.difference.value is not None
    ]
    if len(rows) < 2:
        return None
    title = f"Differences {pair.second} − {pair.first} in points, with 95% intervals"
    return Markup(drawings.differences(rows, title, f"forest-{number}"))
