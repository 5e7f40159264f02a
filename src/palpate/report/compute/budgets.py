"""Budgets in every unit and in words, and how close adversarial images are to the clean ones."""

from __future__ import annotations

from collections.abc import Sequence

from palpate.metrics.closeness import closeness
from palpate.metrics.panel import Outcome
from palpate.metrics.validity.health import leaves_budget
from palpate.report.compute.reading import RunReading
from palpate.report.model.description import DataDescription, Description, ThreatDescription
from palpate.report.model.schema_clinic import BudgetResults, ClosenessResults
from palpate.report.model.typed import visible
from palpate.report.model.words import NOTHING, amount, in_unit, part, share_of
from palpate.units import amounts

_WINDOWS = {
    ("HU", -160.0, 240.0): "soft-tissue ",
    ("HU", -1350.0, 150.0): "lung ",
    ("HU", -500.0, 1300.0): "bone ",
    ("HU", 0.0, 80.0): "brain ",
}
"""Windows of CT by the names that radiologists give them: level 40 and width 400, -600 and 1500, and so on."""


def _between(data: DataDescription, low: float, high: float) -> str:
    return f"{amount(low)} to {in_unit(high, data.unit)}"


def share_in_words(data: DataDescription, eps: float) -> str:
    """A budget as a part of the window that the model sees: `an eightieth of the soft-tissue window -160 to 240 HU`.

    Without a window it is a percentage of the range.
    """
    window = data.scale.window
    if window is None:
        return f"{share_of(eps / data.extent)} of the range {_between(data, *data.bounds)}"
    name = _WINDOWS.get((data.unit, *window), "")
    return f"{part(eps / (window[1] - window[0]))} of the {name}window {_between(data, *window)}"


def change_in_words(description: Description, eps: float) -> str:
    """The largest change that a budget allows."""
    data, written = description.data, description.data.written(eps)
    if description.threat.norm != "linf":
        length = {"l2": "a Euclidean length", "l1": "an absolute sum"}[description.threat.norm]
        return f"{length} of at most {written} over all values of an image"
    window = data.scale.window
    if window is None:
        return f"at most {written}: {part(eps / data.extent)} of the range {_between(data, *data.bounds)}"
    return f"at most {written}: {share_in_words(data, eps)}"


def budgets(reading: RunReading) -> list[BudgetResults]:
    """Every budget of the records, smallest first."""
    description = reading.description
    kept = [outcome for outcome in reading.panel.outcomes if not leaves_budget(outcome)]
    given = dict(zip(description.threat.eps, description.threat.amounts, strict=False))
    found = sorted({float(eps) for outcome in reading.panel.outcomes for eps in outcome.eps})
    return [
        BudgetResults(
            eps=eps,
            amounts=_comparable(description, given.get(eps) or list(amounts(eps, description.data.scale))),
            words=change_in_words(description, eps),
            all=_closeness(kept, eps),
            attacks={
                visible(outcome.attack): _closeness([outcome], eps)
                for outcome in reading.panel.outcomes
                if eps in outcome.eps
            },
        )
        for eps in found
    ]


def _comparable(description: Description, texts: list[str]) -> list[str]:
    """A length over all values of an image is not a share of the range of one value, nor a number of its steps."""
    return texts if description.threat.norm == "linf" else texts[:1]


def _closeness(outcomes: list[Outcome], eps: float) -> ClosenessResults:
    return ClosenessResults.model_validate(closeness(outcomes, eps), from_attributes=True)


_COLUMNS = ("stored step", "/255 of the range", "% of the range", "% of the window")


def budget_columns(found: Sequence[BudgetResults], data: DataDescription) -> tuple[list[str], list[list[str]]]:
    """The amounts of all budgets as a table: headings, and a row per budget with a dash where it lacks a unit.

    The last cell of a row says in words which part of the window or range the budget is; a budget that is not such a
    part is described.
    """
    heads = [unit for unit in _COLUMNS if any(_in_column(text, unit) for one in found for text in one.amounts[1:])]
    window = data.scale.window
    extent, of = (data.extent, "range") if window is None else (window[1] - window[0], "window")
    rows = []
    for one in found:
        texts = [next((text for text in one.amounts[1:] if _in_column(text, unit)), NOTHING) for unit in heads]
        words = f"{part(one.eps / extent)} of the {of}" if len(one.amounts) > 1 else one.words
        rows.append([one.amounts[0], *(text.split(" ")[0] for text in texts), words])
    titles = {_COLUMNS[0]: "stored steps", _COLUMNS[1]: "x/255 of the range", _COLUMNS[2]: "share of the range"}
    return [titles.get(unit, "share of the window") for unit in heads], rows


def _in_column(text: str, unit: str) -> bool:
    return text.removesuffix("s").endswith(unit) if unit == _COLUMNS[0] else text.endswith(unit)


def confined(threat: ThreatDescription, data: DataDescription) -> list[str]:
    """The other limits of a change, each as the end of `The change was confined:`."""
    texts = []
    if threat.lattice:
        step = f", one step is {data.written(data.step)}" if data.step else ""
        texts.append(f"to the integer lattice: only values that the files can store{step}")
    if threat.region:
        texts.append(f"to the region: {', '.join(threat.region)}")
    if threat.channels:
        texts.append(f"per channel: {', '.join(f'{share:g}' for share in threat.channels)} of the budget")
    if threat.tied:
        texts.append("to one change for all channels (grey images stored as RGB)")
    if threat.smooth:
        texts.append(f"to smooth changes: each is smoothed by a Gaussian of {threat.smooth:g} pixels")
    return texts
