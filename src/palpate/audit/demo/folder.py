"""The demo: audits' folders as a user would have them, with phantoms for images and small networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from palpate.audit.demo.plans import CLASSIFICATION, DETECTION, SEGMENTATION, model_file
from palpate.data.phantoms.folder import write_endoscopy_folder, write_fundus_folder, write_thorax_folder
from palpate.errors import StorageError
from palpate.storage.runs import write_atomically

SEED = 2024
"""Of the phantoms; the networks were trained on others."""


@dataclass(frozen=True)
class Demo:
    """One task of the demo.

    Attributes:
        images: how many phantoms there are.
        phantoms: writes them with what is true of them.
        model: text of `model.py`.
        plan: text of `plan.toml`.
        files: names of everything that the folder holds.
    """

    images: int
    phantoms: Callable[[Path, int, int], None]
    model: str
    plan: str
    files: frozenset[str]


DEMOS = {
    "classification": Demo(
        60,  # twelve of each grade
        write_fundus_folder,
        model_file("demo", "grades phantoms"),
        CLASSIFICATION,
        frozenset({"images", "labels.csv", "model.py", "plan.toml", "runs"}),
    ),
    "segmentation": Demo(
        24,
        write_thorax_folder,
        model_file("demo_thorax", "outlines lungs and lesions"),
        SEGMENTATION,
        frozenset({"images", "masks", "images.csv", "model.py", "plan.toml", "runs"}),
    ),
    "detection": Demo(
        24,
        write_endoscopy_folder,
        model_file("demo_endoscopy", "finds artefacts"),
        DETECTION,
        frozenset({"images", "images.csv", "boxes.csv", "model.py", "plan.toml", "runs"}),
    ),
}
"""The paper's three tasks, each in a folder of its own."""


def write_demo(folder: Path, task: str, images: int | None = None) -> Path:
    """Write phantoms with what is true of them, a model file and a plan, and return the plan's path.

    They go to `folder/task`. A plan that is there is left as it is, with all that belongs to it, so that a changed
    demo can be run again.

    Args:
        folder: The demo's folder.
        task: One of `DEMOS`.
        images: How many phantoms, if not the demo's own number.

    Raises:
        StorageError: a folder holds other things, or cannot be written.
    """
    demo, place = DEMOS[task], folder / task
    plan = place / "plan.toml"
    if plan.is_file():
        return plan
    _require_ours(folder, frozenset(DEMOS))
    _require_ours(place, demo.files)
    demo.phantoms(place, demo.images if images is None else images, SEED)
    write_atomically(place / "model.py", demo.model.encode())
    # Written last: where it stands, everything else does.
    write_atomically(plan, demo.plan.encode())
    return plan


def _require_ours(folder: Path, names: frozenset[str]) -> None:
    try:
        strange = sorted(path.name for path in folder.iterdir() if path.name not in names) if folder.exists() else []
    except OSError as error:
        raise StorageError(f"{folder} cannot be read: {error.strerror}. Choose another folder with --out.") from error
    if strange:
        raise StorageError(
            f"{folder} holds other things than the demo ({', '.join(strange[:3])}). Choose another folder with --out."
        )
