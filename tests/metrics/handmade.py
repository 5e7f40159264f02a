"""Records written by hand, one field at a time, and their frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from palpate.metrics.panel import Panel, arrange
from palpate.storage.frames import Frame
from palpate.storage.lists import Lists
from palpate.storage.records import FIELD_NAMES, Record

_TEXT = {"image", "group", "site", "scanner", "attack", "item", "goal", "norm", "evidence", "stage"}
_LISTS = {
    "truth", "clean_found", "found", "clean_measures", "measures", "spacing", "clean_handled", "clean_handled_scores",
    "handled", "handled_scores", "stage_passes",
}  # fmt: skip


def record(row: int = 0, **fields: Any) -> Record:
    """A record of a rightly decided image of class 0 that no attack beat, with some fields changed."""
    values: dict[str, Any] = {
        "image": f"{row}.png",
        "row": row,
        "group": str(row),
        "label": 0,
        "attack": "pgd",
        "item": "00",
        "goal": "untargeted",
        "norm": "linf",
        "eps": 1.0,
        "clean_prediction": fields.get("label", 0),
        "clean_right": fields.get("clean_prediction", fields.get("label", 0)) == fields.get("label", 0),
        "clean_score": 1.0,
        "clean_measures": (),
        "truth": (),
        "clean_found": (),
        "clean_margin": 1.0,
        "clean_disease_score": 0.1,
        "eligible": True,
        "prediction": fields.get("label", 0),
        "score": 1.0,
        "measures": (),
        "found": (),
        "margin": 0.5,
        "disease_score": 0.2,
        "success": False,
        "first_success": -1,
        "evidence": "attacked",
        "linf": fields.get("eps", 1.0),
        "l2": 5.0,
        "l1": 20.0,
        "site": "",
        "scanner": "",
        "spacing": (),
        "psnr": 48.0,
        "ssim": 0.99,
        "saved_linf": 0.0,
        "clean_handled": (),
        "clean_handled_scores": (),
        "handled": (),
        "handled_scores": (),
        "forwards": 11,
        "backwards": 10,
        "seed": 7,
        "zero_gradient": False,
        "blocked_gradient": False,
        "non_finite": False,
        "stage": "",
        "stage_passes": (),
    }
    return Record(**{**values, **fields})


def frame(records: Iterable[Record]) -> Frame:
    """Records as `RunFolder.frame` gives them."""
    rows = [asdict(one) for one in records]
    columns = {name: [row[name] for row in rows] for name in FIELD_NAMES}
    return {name: Lists.of(values) if name in _LISTS else _array(name, values) for name, values in columns.items()}


def _array(name: str, values: list[Any]) -> np.ndarray:
    return np.array(values, dtype=object if name in _TEXT else None)


def panel(records: Iterable[Record]) -> Panel:
    """Records as panels."""
    return arrange(frame(records))


def curve(attack: str, falls: Iterable[float], eps: Iterable[float] = (1.0, 2.0, 4.0), **fields: Any) -> list[Record]:
    """One attack's records where image i falls at every budget of `falls[i]` or more."""
    return [
        record(
            row,
            attack=attack,
            eps=budget,
            success=budget >= falls_at,
            prediction=int(budget >= falls_at),
            margin=-0.5 if budget >= falls_at else 0.5,
            **fields,
        )
        for budget in eps
        for row, falls_at in enumerate(falls)
    ]
