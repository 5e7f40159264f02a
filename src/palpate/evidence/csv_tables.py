"""The figures of a run as CSV: per attack, per image and attack, per class or structure, per subgroup, per artefact."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from palpate.evidence.material import Material
from palpate.report.model.typed import Figure

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a text that begins so for a formula, and may run it."""
_FIGURE = ("value", "low", "high", "count", "total")
_IMAGE = (
    "row", "image", "group", "site", "scanner", "label", "attack", "goal", "eps", "eligible", "clean_prediction",
    "clean_score", "prediction", "score", "margin", "success", "evidence", "linf", "l2", "l1", "psnr", "ssim",
    "forwards", "backwards",
)  # fmt: skip
_CLASSES = ("label", "clean_prediction", "prediction")


def sheet(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    r"""A CSV in UTF-8: undefined figures are empty cells, and no text can become a formula.

    >>> sheet(["name"], [["=1+1"], [-2.5], [None]])
    b"name\r\n'=1+1\r\n-2.5\r\n\"\"\r\n"
    """
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(head)
    writer.writerows([[_cell(value) for value in row] for row in rows])
    return sink.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value.item() if hasattr(value, "item") else value


def tables(material: Material) -> dict[str, bytes]:
    """Every table that has rows, by file name."""
    made = {
        "attacks.csv": (("attack", "catalogue", "goal", "figure", "eps", *_FIGURE), list(_attacks(material))),
        "worst_case.csv": (("goal", "figure", "eps", *_FIGURE), list(_worst(material))),
        "classes.csv": (("attack", "goal", "figure", "eps", "part", *_FIGURE), list(_classes(material))),
        "subgroups.csv": (("by", "name", "images", "figure", "eps", *_FIGURE), list(_subgroups(material))),
        "artefacts.csv": (("artefact", "how", "severity", "figure", *_FIGURE), list(_artefacts(material))),
        "images.csv": (_IMAGE, list(_images(material))),
    }
    return {name: sheet(head, rows) for name, (head, rows) in made.items() if rows}


def _parts(figure: Figure | None) -> list[Any]:
    return [None] * len(_FIGURE) if figure is None else [getattr(figure, name) for name in _FIGURE]


def _attacks(material: Material) -> Iterator[list[Any]]:
    for attack in material.results.attacks:
        said = [attack.name, attack.catalog, attack.goal]
        for point in attack.points:
            yield [*said, "success rate", point.eps, *_parts(point.success_rate)]
            if point.robust_accuracy is not None:
                yield [*said, "robust accuracy", point.eps, *_parts(point.robust_accuracy)]


def _worst(material: Material) -> Iterator[list[Any]]:
    for worst in material.results.worst_case:
        what = "robust accuracy" if worst.goal == "untargeted" else "success rate"
        for point in worst.points:
            yield [worst.goal, what, point.eps, *_parts(point.figure)]


def _classes(material: Material) -> Iterator[list[Any]]:
    results = material.results
    names = results.task.classes
    for name, figure in zip(names, results.clean.per_class, strict=False):
        yield ["none", "", "accuracy", None, name, *_parts(figure)]
    for attack in results.attacks:
        what = "robust accuracy" if attack.goal == "untargeted" else "success rate"
        for point in attack.points:
            for name, figure in zip(names, point.per_class, strict=False):
                yield [attack.name, attack.goal, what, point.eps, name, *_parts(figure)]
    for series in results.series:
        figure_of = f"{series.statistic} {series.name}"
        yield ["none", "", figure_of, None, series.part, *_parts(series.clean)]
        for name, points in series.attacks.items():
            for one in points:
                yield [name, "", figure_of, one.eps, series.part, *_parts(one.figure)]


def _subgroups(material: Material) -> Iterator[list[Any]]:
    for group in material.results.subgroups:
        for row in group.rows:
            yield [group.by, row.name, row.images, "clean", None, *_parts(row.clean)]
            yield [group.by, row.name, row.images, "worst case", group.eps, *_parts(row.robust)]


def _artefacts(material: Material) -> Iterator[list[Any]]:
    summary = material.results.artefacts
    for one in () if summary is None else summary.items:
        for point in one.points:
            yield [one.name, "random", point.severity, "acceptable", *_parts(point.acceptable)]
        if one.worst is not None:
            yield [one.name, "worst found", None, "acceptable", *_parts(one.worst.acceptable)]


def _images(material: Material) -> Iterator[list[Any]]:
    """One row per image, attack and budget; images are numbered from 0, as in the report and the view."""
    frame = material.run.frame(fields=_IMAGE)
    classes = material.results.task.classes
    groups = {name: f"group {number}" for number, name in enumerate(dict.fromkeys(frame["group"]), 1)}
    for place in range(len(frame["row"])):
        cells = {name: frame[name][place] for name in _IMAGE}
        row = int(cells["row"])
        if not material.names:
            cells |= {"image": f"image {row}", "group": groups[cells["group"]]}
        for name in _CLASSES:
            cells[name] = classes[int(cells[name])] if 0 <= int(cells[name]) < len(classes) else None
        yield list(cells.values())
