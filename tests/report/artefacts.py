"""Runs with artefacts: every image has a severity at which it fails, every artefact a strength."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from palpate.storage.artefacts import CLEAN, FAILING, FOUND, RANDOM, WORST_OF, ArtefactRow
from palpate.storage.runs import RunFolder
from palpate.storage.writing import write_atomically
from tests.metrics.artefact_rows import artefact_row
from tests.report.dense import WORLDS, case_of, make_dense
from tests.report.world import HOSTILE, Patients, _png, make_run

ATTACKS = ("pgd",)
DRAWS = 3
ARTEFACTS = {"metal": 1.0, "patient motion": 0.45}
"""Name -> how strong it is."""


def parameters(text: str) -> list[dict[str, Any]]:
    """A strength, a strength of both signs, a place and a choice."""
    shared = {"source": f"Someone et al., 2020{text}", "null": 0.0, "signed": False, "choices": []}
    return [
        {**shared, "name": f"diameter{text}", "unit": f"mm{text}", "low": 0.0, "high": 12.0,
         "levels": [2, 4, 6, 9, 12]},
        {**shared, "name": "rotation", "unit": "degrees", "low": -5.0, "high": 5.0, "levels": [1, 2, 3, 4, 5],
         "signed": True},
        {**shared, "name": "place", "unit": "share of the width", "low": 0.0, "high": 1.0, "levels": None},
        {**shared, "name": "material", "unit": "", "low": 0.0, "high": 2.0, "levels": None,
         "choices": ["titanium", f"iron{text}"]},
    ]  # fmt: skip


def item_of(name: str, text: str, moves: bool) -> dict[str, Any]:
    """One artefact of `run.json`."""
    return {
        "name": f"{name}{text}", "item": f"{name.replace(' ', '-')}-item", "catalog": name, "goal": "untargeted",
        "summary": f"A made-up artefact, {name}.{text}", "reference": f"Physics of {name}, 1990.{text}",
        "modalities": ["ct"], "moves": moves, "parameters": parameters(text),
        "levels": [f"diameter {level} mm{text}" for level in (2, 4, 6, 9, 12)],
        "ladder": {"draws": DRAWS, "tries": 8, "evolution": 20, "polish": 4, "bisection": 6, "severity": 3.0},
        "seconds": 12.5,
    }  # fmt: skip


def limit(row: int, strength: float) -> float:
    """The severity at which an image fails at its worst; above 5 it never does."""
    return float(np.exp(np.random.default_rng(row).normal(0.4, 0.7))) / strength


def _theta(severity: float) -> tuple[float, ...]:
    return (severity * 2.0, severity * 0.7, 0.25, 1.0)


def rows_of(name: str, strength: float, images: Sequence[dict[str, Any]], text: str) -> list[ArtefactRow]:
    """The rows of one artefact; `images` give row, group, label, clean prediction, clean score and measures."""
    return [row for image in images for row in _image_rows(name, strength, image, text)]


def _image_rows(name: str, strength: float, image: dict[str, Any], text: str) -> list[ArtefactRow]:
    row, right, label = image["row"], image["right"], image["label"]
    falls = limit(row, strength)
    shared = {
        "image": image["image"], "group": image["group"], "artefact": f"{name}{text}",
        "item": f"{name.replace(' ', '-')}-item", "label": label, "eligible": right, "queries": 60, "left": row % 2,
    }  # fmt: skip

    def decided(kind: str, severity: float, reach: float, **more: Any) -> ArtefactRow:
        fell = severity * reach >= falls
        fails = fell or not right
        fields = {
            "theta": () if kind == CLEAN else _theta(severity),
            "right": not fails,
            "score": image["score"] * (0.3 if fell else 1.0),
            "margin": -0.5 if fails else 0.5,
            "prediction": max(0, label - 1) if fell and label >= 0 else image["prediction"],
            "measures": image["measures"],
        }
        return artefact_row(row, kind, severity, **{**shared, **fields, **more})

    made = [decided(CLEAN, 0.0, 0.0)]
    for severity in (1.0, 2.0, 3.0, 4.0, 5.0):
        made += [decided(RANDOM, severity, 0.3 + 0.2 * draw, measures=()) for draw in range(DRAWS)]
    made += [decided(WORST_OF, 3.0, 0.9), decided(FOUND, 3.0, 1.0, step="evolution" if row % 3 else "draws")]
    return [*made, decided(FAILING, falls, 1.0)] if right and falls <= 5 else made


def _pictures(run: RunFolder, items: Sequence[dict[str, Any]], image: dict[str, Any], marks: Any) -> list[Any]:
    shown = []
    for item in items:
        names = {kind: f"images/artefact-{item['item']}-{kind}.png" for kind in ("before", "after")}
        for place, path in enumerate(names.values()):
            write_atomically(run.path / path, _png(np.full((24, 24), 60.0 + 90 * place)))
        plane = {**names, "marks": marks, "truth_before": marks.get("clean") if item["moves"] else None}
        shown.append({
            "artefact": item["name"], "item": item["item"], "row": image["row"], "image": image["image"],
            "severity": 3.0, "words": "", "theta": list(_theta(3.0)), "label": image["label"],
            "clean_prediction": image["prediction"], "prediction": max(-1, image["label"] - 1),
            "clean_score": image["score"], "score": 0.3 * image["score"], "failed": True, "slices": [plane],
            "clean_measures": list(image["measures"]), "measures": list(image["measures"]),
        })  # fmt: skip
    return shown


def add_artefacts(
    run: RunFolder,
    images: Sequence[dict[str, Any]],
    *,
    text: str = "",
    leave_out: Sequence[str] = (),
    marks: Any = None,
    **changes: Any,
) -> RunFolder:
    """Write artefacts into a run folder; of those in `leave_out` nothing is finished."""
    items = [item_of(name, text, moves=name == "patient motion") for name in ARTEFACTS]
    telling = next(image for image in images if image["right"] and image["label"] != 0)
    described = {
        "modality": "ct", "shards": [item["item"] for item in items], "items": items,
        "pictures": _pictures(run, items, telling, marks or {}), **changes,
    }  # fmt: skip
    run.save_description({**run.describe(), "artefacts": described})
    for name, strength in ARTEFACTS.items():
        if name not in leave_out:
            run.write_artefacts(f"{name.replace(' ', '-')}-item", rows_of(name, strength, images, text))
    return run


def make_graded(
    path: Path, *, hostile: bool = False, images: int = 60, leave_out: Sequence[str] = (), **changes: Any
) -> RunFolder:
    """A grader's run with artefacts; `changes` are those of `run.json`."""
    text, patients = HOSTILE if hostile else "", Patients.make(images, 1, hostile)
    run = make_run(path, hostile=hostile, attacks=ATTACKS, images=images, **changes)
    columns = zip(patients.label.tolist(), patients.clean.tolist(), patients.names, strict=True)
    described = [
        {"row": row, "image": name, "group": f"{text}p{row}", "label": label, "prediction": clean,
         "right": label == clean, "score": float(label == clean), "measures": ()}
        for row, (label, clean, name) in enumerate(columns)
    ]  # fmt: skip
    return add_artefacts(run, described, text=text, leave_out=leave_out)


def make_masks(path: Path, kind: str = "segmentation", *, hostile: bool = False, **how: Any) -> RunFolder:
    """A run of masks or boxes with artefacts."""
    text, world = HOSTILE if hostile else "", WORLDS[kind]()
    run = make_dense(path, kind, hostile=hostile, pictures=1)
    described = []
    for row in range(world.images):
        case = case_of(kind, row, 0.0)
        described.append({
            "row": row, "image": f"{text}case_{row:03d}.nii.gz", "group": f"p{row // 2}", "label": -1,
            "prediction": -1, "right": case.score > world.floor, "score": case.score, "measures": case.measures,
        })  # fmt: skip
    marks = run.describe()["gallery"][0]["slices"][0]["marks"]
    return add_artefacts(run, described, text=text, marks=marks, **how)
