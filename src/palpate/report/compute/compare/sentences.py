"""The result of a comparison in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from palpate.report.compute.compare.listing import ANY, CLEAN
from palpate.report.compute.reading import UNTARGETED
from palpate.report.model.schema import Results
from palpate.report.model.schema_compare import Change, Switch
from palpate.report.model.wording import Wording
from palpate.report.model.words import NOTHING, p_value, percent, points
from palpate.units import counted


def find(changes: Sequence[Change], figure: str, under: str, eps: float | None, part: str = "") -> Change | None:
    """A change by its place; the first that fits."""
    return next(
        (
            one
            for one in changes
            if (one.figure, one.under, one.part, one.eps) == (figure, under, part, eps)
            and one.goal in {"", UNTARGETED}
            and one.section in {"result", "classes", "parts"}
        ),
        None,
    )


def result_in_words(
    names: tuple[str, str], changes: Sequence[Change], switches: Sequence[Switch], results: Results, eps: float | None
) -> tuple[str, list[str]]:
    """The sentence of a pair, and further ones.

    Args:
        names: of the first and the later run, such as `A (before)`.
        changes: all figures.
        switches: who changed on which image.
        results: of the first run, for its words.
        eps: the budget of the sentence; None without a common attack.
    """
    words = Wording(results.task)
    clean = find(changes, "clean accuracy", CLEAN, None)
    robust = None if eps is None else find(changes, "robust accuracy", ANY, eps)
    details = [_change_in_words(clean, names, f"Without an attack, {words.share}")] if clean else []
    if robust is None:
        sentence = details[0] if details else "No figure is common to these runs."
        return sentence, details[1:] + _switched(names, switches, words, None)
    where = f"Under any attack at eps {results.data.written(eps)}, {words.share}"
    return _change_in_words(robust, names, where), details + _switched(names, switches, words, eps)


def _change_in_words(change: Change, names: tuple[str, str], subject: str) -> str:
    before, after = percent(change.first.value), percent(change.second.value)
    if change.difference.value is None:
        return f"{subject} is not defined for both runs."
    if change.reading == "not established":
        verb = f"is {before} in {names[0]} and {after} in {names[1]}; no difference is established"
    else:
        way = "rises" if change.difference.value > 0 else "falls"
        verb = f"{way} from {before} in {names[0]} to {after} in {names[1]}"
    return f"{subject} {verb}: {delta_in_words(change)}."


def delta_in_words(change: Change) -> str:
    """`+3.1 points (95% interval −0.5 to +6.7, p 0.09)`."""
    low, high = change.difference.low, change.difference.high
    between = (
        f"95% interval {written(change, low)} to {written(change, high)}"
        if low is not None and high is not None
        else ""
    )
    p = "" if change.p_holm is None else f"p {p_value(change.p_holm)}"
    inside = ", ".join(part for part in (between, p) if part)
    unit = " points" if change.kind == "share" else f" {change.unit}" if change.unit else ""
    return f"{written(change, change.difference.value)}{unit}" + (f" ({inside})" if inside else "")


def written(change: Change, value: float | None) -> str:
    """A difference without its unit, with its sign."""
    if value is None:
        return NOTHING
    if change.kind == "share":
        return points(value)
    text = f"{value:+.3f}" if change.kind == "fraction" else f"{value:+.3g}"
    return text.replace("-", "−")


def _switched(names: tuple[str, str], switches: Sequence[Switch], words: Wording, eps: float | None) -> list[str]:
    found = next((one for one in switches if one.eps == eps), None)
    if found is None:
        return []
    where = "Without an attack" if eps is None else "Under any attack"
    good = "right" if words.task.classification else "acceptable"
    return [
        f"{where}, {good} only in {names[1]}: {counted(len(found.gained), 'image')}. Only in {names[0]}: "
        f"{len(found.lost)}. In both: {found.both}. In neither: {found.neither}."
    ]
