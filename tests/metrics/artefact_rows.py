"""Rows of artefacts written by hand, and their frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from palpate.storage.artefacts import CLEAN, FAILING, FOUND, RANDOM, WORST_OF, ArtefactRow
from palpate.storage.frames import Frame
from palpate.storage.frames import frame_of as columns
from palpate.storage.runs import ARTEFACT_SCHEMA

NAN = float("nan")


def artefact_row(row: int, kind: str, severity: float = 0.0, **fields: Any) -> ArtefactRow:
    """A row of an image that is right, with some fields changed."""
    values: dict[str, Any] = {
        "image": f"{row}.png", "row": row, "group": f"p{row}", "site": "", "scanner": "", "label": -1,
        "artefact": "metal", "item": "aa", "goal": "untargeted", "kind": kind, "severity": severity,
        "theta": () if kind == CLEAN else (severity, 0.5), "eligible": True, "margin": 0.5, "right": True,
        "score": 0.9, "prediction": -1, "disease_score": NAN, "measures": (), "found": (), "l2": 0.0, "linf": 0.0,
        "step": "", "queries": 100, "backwards": 4, "left": 0, "seed": row, "non_finite": False,
    }  # fmt: skip
    return ArtefactRow(**values | fields)


def image_rows(
    row: int,
    *,
    clean: float = 0.9,
    random: dict[float, list[float]] | None = None,
    worst_of: float = 0.5,
    worst: float = 0.3,
    failing: float | None = None,
    floor: float = 0.6,
    searched: float = 5.0,
    step: str = "evolution",
    **fields: Any,
) -> list[ArtefactRow]:
    """All rows of one image, from the scores of its decisions; a score at or below `floor` fails."""

    def made(kind: str, severity: float, score: float, **more: Any) -> ArtefactRow:
        judged = {"score": score, "margin": score - floor, "right": score > floor}
        return artefact_row(row, kind, severity, **{"eligible": clean > floor, **judged, **fields, **more})

    rows = [made(CLEAN, 0.0, clean)]
    for severity, scores in (random or {}).items():
        rows += [made(RANDOM, severity, score) for score in scores]
    rows += [made(WORST_OF, searched, worst_of), made(FOUND, searched, worst, step=step, l2=12.0)]
    if failing is not None:
        rows.append(made(FAILING, failing, NAN, right=False, margin=NAN))
    return rows


def frame_of(rows: Iterable[ArtefactRow]) -> Frame:
    """Rows as columns, in the way in which a run folder gives them."""
    table = pa.Table.from_pylist([asdict(one) for one in rows], schema=ARTEFACT_SCHEMA)
    return columns([table], ArtefactRow, ARTEFACT_SCHEMA)
