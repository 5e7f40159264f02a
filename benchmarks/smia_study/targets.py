"""Whether the new attack reaches what was asked of it, said from the comparisons alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.smia_study.markdown import chance, entry, number, percent, table, titled

Figures = dict[str, Any]
ASKED = ("fundus_dr", "covid_ct", "polyps")
"""The three modalities that the figures were asked on."""
RIVALS = ("pgd", "smia")
SURVIVED = ("jpeg90", "blur1")
WANTED = 2
"""On so many of them it was to be clearly stronger."""


def reached(figures: Figures) -> str:
    """Three sentences: before saving, after saving and smoothing, and against the strongest single peer."""
    held = [
        key
        for key in figures["main"]
        if figures["settings"][key]["benchmark"] in ASKED and _rows(figures, key, "before", RIVALS)
    ]
    if not held:
        return "None of the asked comparisons has been measured."
    sentences = ["At the main budgets:", "", _before(figures, held), _after(figures, held), _strongest(figures)]
    beyond = [key for key in _beyond(figures) if _rows(figures, key, "before", RIVALS)]
    if beyond:
        above = f"Above the range, where only survival distinguishes attacks ({_named(figures, beyond)}):"
        sentences += ["", above, "", _before(figures, beyond), _after(figures, beyond)]
    return "\n".join(sentences)


def _beyond(figures: Figures) -> list[str]:
    """Benchmarks at budgets above their main one, which leave hardly an image standing before saving."""
    main = {figures["settings"][key]["benchmark"]: figures["settings"][key]["eps"] for key in figures["main"]}
    return [key for key, own in figures["settings"].items() if own["eps"] > main[own["benchmark"]]]


def _rows(figures: Figures, key: str, after: str, rivals: Sequence[str]) -> list[Figures]:
    return [
        row for row in figures["ours"] if row["setting"] == key and row["after"] == after and row["against"] in rivals
    ]


def _named(figures: Figures, keys: Sequence[str]) -> str:
    return "; ".join(titled(figures, figures["settings"][key]) for key in keys) or "none"


def weaker(row: Figures) -> bool:
    """Whether the paired interval is below 0, or all images that differ are for the rival."""
    value, _, high = row["difference"]
    return value is not None and value < 0 and high is not None and high < 0


def _before(figures: Figures, held: Sequence[str]) -> str:
    def of(test: Callable[[Figures], bool]) -> list[str]:
        return [key for key in held if all(test(row) for row in _rows(figures, key, "before", RIVALS))]

    level = of(lambda row: (row["difference"][0] or 0.0) >= 0)
    close = [key for key in of(lambda row: not weaker(row)) if key not in level]
    lost = [key for key in held if key not in level and key not in close]
    some = f"At least as many images as both: {_named(figures, level)}. Fewer than one of them, but not established: "
    verdict = "reached" if not lost and not close else "reached within the intervals" if not lost else "not reached"
    verdict += "" if len(held) == len(ASKED) else f" on the {len(held)} measured"
    return (
        f"- Target: *before saving, no weaker than PGD and SMIA on fundus, CT and polyps*. **{verdict.capitalize()}**. "
        f"{some}{_named(figures, close)}. Weaker, the paired interval below 0: "
        f"{_lost(figures, lost)}."
    )


def _lost(figures: Figures, keys: Sequence[str]) -> str:
    """The benchmarks with what was lost to whom, in points."""
    parts = []
    for key in keys:
        rows = [row for row in _rows(figures, key, "before", RIVALS) if weaker(row)]
        against = ", ".join(f"`{row['against']}` {percent(row['difference'])}, p {chance(row['p'])}" for row in rows)
        parts.append(f"{titled(figures, figures['settings'][key])} ({against})")
    return "; ".join(parts) or "none"


def _after(figures: Figures, held: Sequence[str]) -> str:
    sentences = []
    for what in ("apart", "score_apart"):
        clear = {after: _clear(figures, held, after, RIVALS, what) for after in SURVIVED}
        both = [key for key in held if all(key in found for found in clear.values())]
        verdict = "Reached" if len(both) >= WANTED else "Not reached"
        each = " ".join(f"After `{after}`: {_named(figures, found)}." for after, found in clear.items())
        measure = "success" if what == "apart" else "the mean score"
        sentences.append(
            f"By {measure}: **{verdict.lower()}**, after both on {len(both)} of {len(held)} measured. {each}"
        )
    asked = "clearly stronger than both, intervals apart, after `jpeg90` and after `blur1` on at least two of them"
    return f"- Target: *{asked}*. " + " ".join(sentences)


def _clear(figures: Figures, held: Sequence[str], after: str, rivals: Sequence[str], what: str = "apart") -> list[str]:
    found = {key: _rows(figures, key, after, rivals) for key in held}
    stronger = "above" if what == "apart" else "below"
    return [key for key, rows in found.items() if rows and all(row[what] == stronger for row in rows)]


def _strongest(figures: Figures) -> str:
    held = [key for key in figures["main"] if _rows(figures, key, "before", [figures["strongest"][key]])]
    peer = {key: [figures["strongest"][key]] for key in held}
    parts = []
    for after in ("before", *SURVIVED):
        clear = [key for key in held if key in _clear(figures, [key], after, peer[key])]
        lost = [key for key in held if any(weaker(row) for row in _rows(figures, key, after, peer[key]))]
        when = "Before saving" if after == "before" else f"After `{after}`"
        parts.append(f"{when} clearly stronger: {_named(figures, clear)}; weaker: {_named(figures, lost)}.")
    sentences = " ".join(parts)
    return f"- Against the strongest single peer of each benchmark ({len(held)} measured), by success: {sentences}"


def steadiness(figures: Figures) -> str:
    """Spread over images and over seeds of the new attack and its rivals, equal passes."""
    rows = []
    for key in figures["main"]:
        own = figures["settings"][key]
        for attack in dict.fromkeys(("steadfast", *RIVALS, figures["strongest"][key])):
            found = entry(own, attack, "passes") if attack else None
            if found is not None:
                seeds = found["across_seeds"]
                rows.append([
                    titled(figures, own), f"`{attack}`", number(found["across_images"]["drop"]),
                    number(found["across_images"]["spread"]), number(seeds["spread"], 3), number(seeds["change"]),
                ])  # fmt: skip
    return table(
        ["benchmark", "attack", "mean drop", "spread over images", "spread over seeds", "change over seeds"], rows
    )
