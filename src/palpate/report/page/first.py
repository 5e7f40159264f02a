"""The first screen of the page: one curve, the artefacts' bars, one picture, the gates."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from palpate.report.compute.reading import UNTARGETED
from palpate.report.draw.figures import LINES
from palpate.report.model.description import Description, GateDescription
from palpate.report.model.schema import Results
from palpate.report.model.scored import Scored
from palpate.report.model.shown import PictureDescription
from palpate.report.model.words import amount, ratio
from palpate.report.page.cards import card, moved
from palpate.storage.runs import RunFolder


def pieces(
    run: RunFolder, results: Results, description: Description, *, names: bool, lost: Collection[str]
) -> dict[str, Any]:
    """What the first screen shows beside its sentences."""
    picture = telling(description.gallery, results)
    sample = None if picture is None else card(run, picture, results, named=names, lost=lost)
    whole = sample is not None and all(one["data"] for one in sample["slices"][sample["start"]]["pictures"])
    return {
        "sample": sample if whole else None,
        "sample_part": None if picture is None else hardest_part(picture, results),
        "bars": bars(results),
        "gates": [gate(one) for one in results.gates],
        "span": span(results),
    }


def telling(gallery: list[PictureDescription], results: Results) -> PictureDescription | None:
    """The picture of the first screen: an attack that moved the decision, next to the main budget.

    From disease to healthy or back comes first. Attacks that leave their budget come last, since their change is
    larger than the curve's.
    """
    outside = {one.name for one in results.attacks if one.outside_budget}
    goals = {one.name: one.goal for one in results.attacks}
    main = results.verdict.eps or 0.0

    disease = set(results.task.disease)

    def turned(one: PictureDescription) -> bool:
        return (one.clean_prediction in disease) != (one.prediction in disease)

    def rank(one: PictureDescription) -> tuple[bool, bool, float, bool, bool]:
        aimed = goals.get(one.attack) != UNTARGETED
        return not moved(one), one.attack in outside, abs(one.eps - main), not turned(one), aimed

    return min(gallery, key=rank, default=None)


def hardest_part(picture: PictureDescription, results: Results) -> dict[str, str] | None:
    """The structure of a picture that loses most, with its score before and after; None with fewer than two."""
    task = results.task
    rows = [
        (one.part, before, after)
        for one, before, after in zip(task.measures, picture.clean_measures, picture.measures, strict=False)
        if one.name == task.score and one.part and before is not None and after is not None
    ]
    if len(rows) < 2:
        return None
    part, before, after = max(rows, key=lambda row: row[1] - row[2])
    return {"part": part, "before": ratio(before), "after": ratio(after)} if after < before else None


def bars(results: Results) -> list[dict[str, Any]]:
    """The artefacts that harm most: the task's measure as stored and with the worst one found, from 0 to 1."""
    if results.artefacts is None:
        return []
    scored = Scored(results.task)
    found: list[dict[str, Any]] = [
        {
            "name": item.name,
            "severity": f"{item.searched:.2g}",
            "before": scored.clean(item).value or 0.0,
            "after": after.value,
            "written": scored.written(after),
        }
        for item in results.artefacts.items
        if item.worst is not None and (after := scored.of(item.worst)).value is not None
    ]
    return sorted(found, key=lambda one: one["after"])[:LINES]


def gate(one: GateDescription) -> dict[str, Any]:
    """A gate by its name, whether it passed, and what was measured."""
    measured = "not measured" if one.value is None else f"measured {amount(one.value)}"
    limit = f", required {one.limit}" if one.limit else ""
    return {"name": f"Gate on {one.subject}", "passed": one.passed, "measured": measured + limit}


def span(results: Results) -> dict[str, Any] | None:
    """The errors of clinical direction at the main and at the largest budget; None where errors have no direction."""
    rows = results.worst_directions
    main = next((one for one in rows if one.eps == results.verdict.eps), None)
    return None if main is None else {"main": main, "largest": rows[-1] if rows[-1] is not main else None}
