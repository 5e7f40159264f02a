"""Every figure of a report by its place, so that the same figures of two reports are found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from palpate.report.compute.reading import UNTARGETED
from palpate.report.model.schema import Directions, Grading, Results, Series
from palpate.report.model.schema_artefacts import ArtefactResults, ArtefactWorst
from palpate.report.model.schema_compare import Better, Section
from palpate.report.model.typed import Figure
from palpate.report.model.wording import READ_RIGHT, Wording, fractional

CLEAN, ANY = "clean", "any attack"
Kind = Literal["share", "fraction", "number"]
_GRADING: tuple[tuple[str, str, Kind], ...] = (
    ("quadratic_kappa", "kappa", "fraction"),
    ("sensitivity", "sensitivity", "share"),
    ("specificity", "specificity", "share"),
    ("area_under_roc", "auroc", "fraction"),
)
_NAMES = {"area_under_roc": "auroc", READ_RIGHT: "findings read right"}


@dataclass(frozen=True)
class Place:
    """Where a figure is; see `palpate.report.model.schema_compare.Change`."""

    section: Section
    figure: str
    part: str = ""
    by: str = ""
    under: str = CLEAN
    goal: str = ""
    eps: float | None = None
    how: str = ""


@dataclass(frozen=True)
class Listed:
    """A figure and how it is read."""

    figure: Figure
    better: Better = "higher"
    kind: Kind = "share"
    unit: str = ""


Row = tuple[Place, Listed]


def listed(results: Results, sizes: Sequence[Series] = ()) -> dict[Place, Listed]:
    """All figures of a report that have a meaning for two models.

    Args:
        results: the report's figures.
        sizes: the same for small and for large structures, from `palpate.report.compute.compare.sizes`.
    """
    parts = (_result, _classes, _series, _clinical, _subgroups, _artefacts, _certificates, _survival, _attacks)
    rows = [*(row for part in parts for row in part(results)), *_sizes(sizes)]
    return {place: found for place, found in rows if found.figure.origin is not None}


def figure_name(name: str) -> str:
    """A series as gates and tables name it: `dice`, `hd95`, `false positives`, `auroc`."""
    return _NAMES.get(name, name.replace("_", " "))


def _result(results: Results) -> Iterator[Row]:
    yield Place("result", "clean accuracy"), Listed(results.clean.attackable)
    for worst in results.worst_case:
        for point in worst.points:
            name, better = _robust(worst.goal)
            section: Section = "result" if worst.goal == UNTARGETED else "goals"
            yield Place(section, name, under=ANY, goal=worst.goal, eps=point.eps), Listed(point.figure, better)


def _robust(goal: str) -> tuple[str, Better]:
    return ("robust accuracy", "higher") if goal == UNTARGETED else ("success rate", "lower")


def _classes(results: Results) -> Iterator[Row]:
    names = results.task.classes
    for name, figure in zip(names, results.clean.per_class, strict=False):
        yield Place("classes", "clean accuracy", name, "class"), Listed(figure)
    for worst in results.worst_case:
        what, better = _robust(worst.goal)
        for point in worst.points:
            for name, figure in zip(names, point.per_class, strict=False):
                section: Section = "classes" if worst.goal == UNTARGETED else "classes by attack"
                yield Place(section, what, name, "class", ANY, worst.goal, point.eps), Listed(figure, better)
    for attack in results.attacks:
        what, better = _robust(attack.goal)
        for at in attack.points:
            for name, figure in zip(names, at.per_class, strict=False):
                place = Place("classes by attack", what, name, "class", attack.name, attack.goal, at.eps)
                yield place, Listed(figure, better)


def _series(results: Results) -> Iterator[Row]:
    by = Wording(results.task).part
    for one in results.series:
        name = f"{figure_name(one.name)}{' median' if one.statistic == 'median' else ''}"
        main = one.name == results.task.score and one.statistic == "mean" and not one.part
        section: Section = "result" if main else "parts"
        about = (one.part, by if one.part else "")
        if one.clean is not None:
            yield Place(section, name, *about), _read(one, one.clean)
        for point in one.worst:
            yield Place(section, name, *about, ANY, "", point.eps), _read(one, point.figure)
        for attack, points in one.attacks.items():
            for point in points:
                yield Place("parts by attack", name, *about, attack, "", point.eps), _read(one, point.figure)


def _sizes(sizes: Sequence[Series]) -> Iterator[Row]:
    for one in sizes:
        name = figure_name(one.name)
        if one.clean is not None:
            yield Place("sizes", name, one.part, "size"), _read(one, one.clean)
        for point in one.worst:
            yield Place("sizes", name, one.part, "size", ANY, "", point.eps), _read(one, point.figure)


def _read(series: Series, figure: Figure) -> Listed:
    kind: Kind = "share" if series.statistic == "share" else "fraction" if fractional(series) else "number"
    return Listed(figure, series.better, kind, series.unit)


def _clinical(results: Results) -> Iterator[Row]:
    yield from _directed("clinical", results.clean.directions, CLEAN, None)
    yield from _graded("grading", results.clean.grading, CLEAN, None)
    for row in results.worst_directions:
        yield from _directed("clinical", row.directions, ANY, row.eps)
    for worst in results.worst_grading:
        yield from _graded("grading", worst.grading, ANY, worst.eps)
    for attack in results.attacks:
        for point in attack.points:
            yield from _directed("clinical by attack", point.directions, attack.name, point.eps)
            yield from _graded("grading by attack", point.grading, attack.name, point.eps)


def _directed(section: Section, found: Directions | None, under: str, eps: float | None) -> Iterator[Row]:
    if found is not None:
        yield Place(section, "missed disease", under=under, eps=eps), Listed(found.missed_disease, "lower")
        yield Place(section, "invented disease", under=under, eps=eps), Listed(found.invented_disease, "lower")


def _graded(section: Section, found: Grading, under: str, eps: float | None) -> Iterator[Row]:
    for field, name, kind in _GRADING:
        figure: Figure | None = getattr(found, field)
        if figure is not None:
            yield Place(section, name, under=under, eps=eps), Listed(figure, "higher", kind)


def _subgroups(results: Results) -> Iterator[Row]:
    for found in results.subgroups:
        for row in found.rows:
            about = (row.name or "not stated", found.by)
            yield Place("subgroups", "clean accuracy", *about), Listed(row.clean)
            place = Place("subgroups", "robust accuracy", *about, ANY, UNTARGETED, found.eps)
            yield place, Listed(row.robust)


def _survival(results: Results) -> Iterator[Row]:
    for one in results.survival.attacks:
        section: Section = "survival by attack" if one.attack else "survival"
        for point in one.points:
            for cell in point.cells:
                at = "", "", one.attack or ANY, one.goal, point.eps, cell.handling
                yield Place(section, "success after", *at), Listed(cell.after, "lower")
                # A share of the beaten images: of two models those are different images, so neither more nor less of it
                # is better. A model that loses three images, all of which survive, is no worse than one that loses all.
                yield Place(section, "survived", *at), Listed(cell.survived, "")


def _attacks(results: Results) -> Iterator[Row]:
    for attack in results.attacks:
        what, better = _robust(attack.goal)
        for point in attack.points:
            figure = point.success_rate if point.robust_accuracy is None else point.robust_accuracy
            yield Place("attacks", what, "", "", attack.name, attack.goal, point.eps), Listed(figure, better)


def _artefacts(results: Results) -> Iterator[Row]:
    found = results.artefacts
    if found is None:
        return
    for name, figure in (("corruption error", found.corruption_error), ("added error", found.added_error)):
        if figure is not None:
            place = Place("artefacts", name, under="all artefacts", how="all severities")
            yield place, Listed(figure, "lower", "fraction")
    classes, score = results.task.classification, figure_name(results.task.score)
    for item in found.items:
        for point in item.points:
            yield from _decided(item, f"severity {point.severity:g}", point.acceptable, point.score, (classes, score))
        for how, worst in ((f"worst of {item.tries}", item.worst_of), ("worst found", item.worst)):
            if worst is not None:
                yield from _decided(item, how, worst.acceptable, worst.score, (classes, score))
                yield from _missed(item, how, worst)
        for name, figure in (("corruption error", item.corruption_error), ("added error", item.added_error)):
            if figure is not None:
                place = Place("artefacts", name, under=item.name, how="all severities")
                yield place, Listed(figure, "lower", "fraction")
        yield from _measured(results, item)


def _certificates(results: Results) -> Iterator[Row]:
    """What is certain about the smoothed model, and what attacks leave of it, at each L2 radius."""
    if results.certificates is None:
        return
    classes, score = results.task.classification, figure_name(results.task.score)
    for item in results.certificates.items:
        under = f"smoothing with sigma {item.sigma:g}"
        for point in item.points:
            bounds = (("certified", point.certified), ("attacked", point.attacked))
            for name, bound in bounds:
                if bound is not None:
                    how = f"L2 radius {point.radius:g}"
                    yield Place("certificates", f"{name} accuracy", under=under, how=how), Listed(bound.acceptable)
                    if not classes:
                        place = Place("certificates", f"{name} {score}", under=under, how=how)
                        yield place, Listed(bound.score, "higher", "fraction")


def _decided(item: ArtefactResults, how: str, right: Figure, score: Figure, task: tuple[bool, str]) -> Iterator[Row]:
    yield Place("artefacts", "robust accuracy", under=item.name, how=how), Listed(right)
    if not task[0]:
        yield Place("artefacts", task[1], under=item.name, how=how), Listed(score, "higher", "fraction")


def _missed(item: ArtefactResults, how: str, worst: ArtefactWorst) -> Iterator[Row]:
    for name, figure in (("missed disease", worst.missed_disease), ("invented disease", worst.invented_disease)):
        if figure is not None:
            yield Place("artefacts", name, under=item.name, how=how), Listed(figure, "lower")


def _measured(results: Results, item: ArtefactResults) -> Iterator[Row]:
    better: dict[tuple[str, str], Better] = {(one.name, one.part): one.better for one in results.task.measures}
    by = Wording(results.task).part
    for measure in item.measures:
        if measure.part:
            name = figure_name(measure.name)
            kind: Kind = "number" if measure.unit or measure.name not in _FRACTIONS else "fraction"
            place = Place("artefacts", name, measure.part, by, item.name, how="worst found")
            yield place, Listed(measure.worst, better.get((measure.name, measure.part), ""), kind, measure.unit)


_FRACTIONS: Sequence[str] = ("dice", "iou", "f1", "surface_dice")
