"""The demo: a folder for each audit as a user would have it, with phantoms as images and small networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from palpate.audit.demo.plans import CLASSIFICATION, DETECTION, SEGMENTATION, model_file
from palpate.data.phantoms.folder import write_endoscopy_folder, write_fundus_folder, write_thorax_folder
from palpate.errors import StorageError
from palpate.storage.writing import write_atomically

SEED = 2024
"""Seed of the phantoms; the networks were trained on other phantoms."""
TRAINING, TRAINING_SEED = 180, 5077
"""Phantoms that the grading network is hardened on, and their seed."""

PIXELS = 96
"""Width and height of fundus and endoscopy phantoms. The networks were trained at 128 pixels and do well on these, and
an audit takes half the time."""


@dataclass(frozen=True)
class Demo:
    """One task of the demo.

    Attributes:
        images: number of phantoms.
        phantoms: writes them with their annotations.
        model: text of `model.py`.
        plan: text of `plan.toml`.
        files: names of all files and folders in the demo's folder.
        training: whether its network is hardened too, on phantoms of its own.
    """

    images: int
    phantoms: Callable[[Path, int, int], None]
    model: str
    plan: str
    files: frozenset[str]
    training: bool = False


DEMOS = {
    "classification": Demo(
        25,  # five of each grade
        partial(write_fundus_folder, size=PIXELS),
        model_file("demo.fundus", "grades phantoms"),
        CLASSIFICATION,
        frozenset(
            {"images", "labels.csv", "model.py", "plan.toml", "runs", "training", "hardened", "plan-hardened.toml"}
        ),
        training=True,
    ),
    "segmentation": Demo(
        10,
        partial(write_thorax_folder, hounsfield=True),
        model_file("demo.thorax", "outlines lungs and lesions"),
        SEGMENTATION,
        frozenset({"images", "masks", "images.csv", "model.py", "plan.toml", "runs"}),
    ),
    "detection": Demo(
        12,
        partial(write_endoscopy_folder, size=PIXELS),
        model_file("demo.endoscopy", "finds artefacts"),
        DETECTION,
        frozenset({"images", "images.csv", "boxes.csv", "model.py", "plan.toml", "runs"}),
    ),
}
"""The three tasks of the SMIA paper, each in a separate folder."""


def write_demo(folder: Path, task: str, images: int | None = None) -> Path:
    """Write phantoms with their annotations, a model file and a plan, and return the plan's path.

    They go to `folder/task`. If a plan exists there, nothing is written, so that a changed demo can be run again.

    Args:
        folder: The demo's folder.
        task: One of `DEMOS`.
        images: Number of phantoms; by default the demo's own number.

    Raises:
        StorageError: a folder holds other files, or cannot be written.
    """
    demo, place = DEMOS[task], folder / task
    plan = place / "plan.toml"
    if plan.is_file():
        return plan
    _require_ours(folder, frozenset(DEMOS))
    _require_ours(place, demo.files)
    demo.phantoms(place, demo.images if images is None else images, SEED)
    if demo.training:
        demo.phantoms(place / "training", TRAINING if images is None else 2 * images, TRAINING_SEED)
    write_atomically(place / "model.py", demo.model.encode())
    # Written last: if the plan exists, everything else does too.
    write_atomically(plan, demo.plan.encode())
    return plan


def _require_ours(folder: Path, names: frozenset[str]) -> None:
    try:
        strange = sorted(path.name for path in folder.iterdir() if path.name not in names) if folder.exists() else []
    except OSError as error:
        raise StorageError(f"{folder} cannot be read: {error.strerror}. Choose another folder with --out.") from error
    if strange:
        raise StorageError(
            f"{folder} holds other files than the demo ({', '.join(strange[:3])}). Choose another folder with --out."
        )
