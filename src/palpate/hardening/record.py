"""`harden.json`: everything that defines a training, and what came out of it. It names no image and no patient."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from palpate.audit.subject.machine import machine, versions
from palpate.hardening.contracts import Course, Trained
from palpate.hardening.courses import described_course
from palpate.hardening.data.overlap import patients
from palpate.hardening.material import DICOM, Material
from palpate.hardening.weights import SavedModel
from palpate.storage.writing import write_atomically
from palpate.units import amounts

VERSION = 1
FILE = "harden.json"
_CRAFTED = "Attacks were crafted with the model in evaluation mode and with frozen weights; the training step used "
MODES = {
    "train": f"{_CRAFTED}training mode, so batch norms saw attacked images. The drift of their running statistics is "
    "given per epoch in standard deviations.",
    "frozen": f"{_CRAFTED}training mode, but batch norms kept their running statistics.",
}


def record(
    material: Material, course: Course, trained: Trained, saved: SavedModel, before: str, after: str
) -> dict[str, Any]:
    """The contents of `harden.json`.

    Args:
        material: what was trained on.
        course: how.
        trained: what came out.
        saved: where the weights are.
        before: hash of the weights before.
        after: hash of the chosen weights.
    """
    plan, training, validation = material.plan, material.training, material.validation
    dicom = material.settings.data.group == DICOM
    return {
        "version": VERSION,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "title": plan.title,
        "seed": plan.seed,
        "settings": material.settings.model_dump(mode="json", exclude={"data", "validation"}),
        "threat": plan.threat.model_dump(mode="json"),
        "eps": {"value": material.eps, "words": list(amounts(material.eps, training.scale))},
        "course": described_course(course),
        "mode": MODES[material.settings.batch_norm],
        "training": _images(
            training.table.fingerprint(material.rows.training), training, material.rows.training, dicom
        ),
        "validation": _images(
            validation.table.fingerprint(material.rows.validation), validation, material.rows.validation, dicom
        ),
        "model": {
            "source": training.model,
            "weights_before": before,
            "weights_after": after,
            "file": saved.path.name,
            "field": saved.field,
            **({} if saved.confidence is None else {"confidence": saved.confidence}),
        },
        "best": trained.best,
        "averaged": trained.averaged,
        "epochs": [{key: _plain(value) for key, value in row._asdict().items()} for row in trained.epochs],
        "events": list(trained.events),
        "notes": list(material.notes),
        "versions": versions(),
        "machine": machine(training.device),
    }


def write_record(folder: Path, contents: dict[str, Any]) -> None:
    """Write `harden.json`, completely or not at all; a file that says the same keeps its time."""
    if _same(folder / FILE, contents):
        return
    write_atomically(folder / FILE, (json.dumps(contents, indent=2, ensure_ascii=False) + "\n").encode())


def _same(path: Path, contents: dict[str, Any]) -> bool:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    made = json.loads(json.dumps(contents))
    return isinstance(stored, dict) and {**stored, "finished": None} == {**made, "finished": None}


def _images(fingerprint: str, subject: Any, rows: tuple[int, ...], dicom: bool) -> dict[str, Any]:
    table = subject.table.take(rows)
    known = patients(table, dicom)
    return {
        "images": len(rows),
        "patients": len(set(known.values())) + len(rows) - len(known) if known else None,
        "classes": dict(zip(table.classes, table.counts(), strict=True)) if any(table.counts()) else None,
        "fingerprint": fingerprint,
    }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
