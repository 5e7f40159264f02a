"""A comparison in the terminal: the sentences, what differs, one table per section, and the gates."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from palpate.report.compute.compare.gates import place_in_words
from palpate.report.compute.compare.listing import ANY, CLEAN
from palpate.report.compute.compare.sentences import written
from palpate.report.model.schema_compare import ESTABLISHED, Change, Comparison, GateResult, Pair
from palpate.report.model.schema_hardening import HardeningVerdict
from palpate.report.model.typed import Figure
from palpate.report.model.words import NOTHING, amount, p_value, percent, ratio
from palpate.units import counted

SHOWN = (
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
)
"""Sections of the terminal; the others are on the page and in `compare.json`."""
TITLES = {
    "result": "Result",
    "goals": "Attacks with a goal",
    "classes": "By class",
    "parts": "By part",
    "sizes": "By size",
    "clinical": "Clinical direction",
    "grading": "Grades and detection of disease",
    "subgroups": "Sites and scanners",
    "artefacts": "Artefacts",
    "certificates": "Certificates of the smoothed model",
    "survival": "Survival in files",
    "attacks": "Each attack",
    "classes by attack": "Each attack, by class",
    "parts by attack": "Each attack, by part",
    "clinical by attack": "Each attack, clinical direction",
    "grading by attack": "Each attack, grades and detection of disease",
    "survival by attack": "Each attack, survival in files",
}
_LONGEST = 14
"""Rows of a table in the terminal."""


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Print a comparison; texts from files are printed unchanged, markup in them has no effect.

    Args:
        comparison: what `compare_runs` found.
        console: where to print.
    """
    for run in comparison.runs:
        console.print(Text(f"{run.letter}  {run.folder}: {run.title}, palpate {run.palpate}", style="bold"))
    for one in comparison.warnings:
        if one.level == "warning":
            console.print(Text(f"Differs: {one.text}", style="bold"))
    for pair in comparison.pairs:
        _pair(pair, comparison, console)
    _gates(comparison.gates, len(comparison.pairs) > 1, console)


def _pair(pair: Pair, comparison: Comparison, console: Console) -> None:
    console.print()
    console.print(Text(pair.sentence))
    for detail in pair.details:
        console.print(Text(detail, style="dim"))
    if pair.hardening is not None:
        _word(pair.hardening, console)
    hidden = 0
    for section in SHOWN:
        found = [one for one in pair.changes if one.section == section]
        shown = [one for one in found if section == "result" or _worth(one, comparison)][:_LONGEST]
        hidden += len(found) - len(shown)
        if shown:
            console.print()
            console.print(_section(section, shown, (pair, comparison)))
    if hidden:
        rows = counted(hidden, "more row is", "more rows are")
        console.print(Text(f"\n{rows} on the page. {NOTHING}: no difference is established.", style="dim"))


def _word(verdict: HardeningVerdict, console: Console) -> None:
    """The verdict of a hardening, and each check that did not pass."""
    others = [check for check in verdict.checks if check.state != "passed"]
    console.print(Text(verdict.sentence, style="bold"))
    for check in others:
        console.print(Text(f"  {check.name}, {check.state}: {check.sentence}"))


def _worth(change: Change, comparison: Comparison) -> bool:
    """Whether a row belongs in the terminal: an established change, at the budget of the headline."""
    return change.reading in ESTABLISHED and change.eps in {None, comparison.headline} and _telling(change)


def _telling(change: Change) -> bool:
    """Whether a figure of artefacts is one of the worst case or of all severities; others are on the page."""
    return change.section != "artefacts" or change.how in {"worst found", "all severities"}


def _section(section: str, shown: Sequence[Change], of: tuple[Pair, Comparison]) -> Table:
    pair, comparison = of
    unit = f" ({comparison.data.unit})" if comparison.data.unit else ""
    title = Text(TITLES[section], style="bold")
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(Text("figure"), overflow="fold", min_width=20)
    for head in (f"eps{unit}", pair.first, pair.second, "change", "95% interval", "p (Holm)"):
        table.add_column(Text(head), justify="right", no_wrap=True)
    table.add_column(Text(""), no_wrap=True)
    for change in shown:
        table.add_row(*_row(change))
    return table


def _row(change: Change) -> list[Text]:
    """What a figure is about, its budget, both values, their difference, and what that means."""
    clean = change.under == CLEAN
    # Only gates have colours: what is established is bold, and a word says which way.
    style = "bold" if change.reading in ESTABLISHED else ""
    name = place_in_words(change.model_copy(update={"eps": None, "under": CLEAN if change.eps else change.under}))
    if change.eps is not None:
        name = name.removesuffix(" without an attack")
        name += "" if change.under in {CLEAN, ANY} else f" under {change.under}"
    name += f", {change.goal}" if change.section == "goals" else ""
    return [
        Text(name),
        Text(amount(change.eps) if change.eps is not None else CLEAN if clean else ""),
        Text(value_in_words(change, change.first)),
        Text(value_in_words(change, change.second)),
        Text(written(change, change.difference.value), style=style),
        Text(between(change)),
        Text(NOTHING if change.p_holm is None else p_value(change.p_holm)),
        Text(change.reading if change.reading in ESTABLISHED else NOTHING, style=style),
    ]


def value_in_words(change: Change, figure: Figure) -> str:
    """A figure of one run: in per cent, as a coefficient, or as a number."""
    if change.kind == "share":
        return percent(figure.value)
    return ratio(figure.value) if change.kind == "fraction" else amount(figure.value)


def between(change: Change) -> str:
    """The interval of a difference; empty without one."""
    low, high = change.difference.low, change.difference.high
    return "" if low is None or high is None else f"{written(change, low)} to {written(change, high)}"


def _gates(gates: Sequence[GateResult], several: bool, console: Console) -> None:
    if gates:
        console.print()
    for gate in gates:
        word, colour = ("passed", "green") if gate.passed else ("failed", "red")
        who = f"{gate.second}: " if several else ""
        line = Text.assemble((f"{word:>7}", colour), f"  {who}{gate.text}", (f"  (by {gate.by}: {said(gate)})", "dim"))
        console.print(line)


def said(gate: GateResult) -> str:
    """What decided a gate."""
    return f"{gate.figure}: {gate.difference}. {gate.note}"
